"""The frontier: each URL once, order, limits, and the state after a kill."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asks_fast.crawl.checkpoint import key_of
from asks_fast.crawl.frontier import Entry, Frontier, FrontierError


def names(entries: list[Entry]) -> list[str]:
    return [entry.url for entry in entries]


def finish(frontier: Frontier, entries: list[Entry]) -> None:
    for entry in entries:
        frontier.finish(entry)
    frontier.mark_done(entry.key for entry in entries)


def test_order() -> None:
    """Within a host: priority, then depth. Hosts take turns."""
    frontier = Frontier()
    for n in range(300):
        frontier.add(f"http://a/{n}", depth=2)
    frontier.add("http://a/high", depth=9, priority=1)
    frontier.add("http://a/shallow", depth=1)
    frontier.add("http://b/1")
    entries = frontier.take(10)
    assert names(entries)[:2] == ["http://a/high", "http://a/shallow"]
    assert "http://b/1" in names(entries)
    assert entries[0] == Entry(key_of("http://a/high"), "http://a/high", 9, 0, 0, "a")
    assert repr(frontier) == "<Frontier 303 URLs, 293 waiting, 10 taken, 2 hosts>"
    frontier.close()


def test_one_host_does_not_fill_the_run() -> None:
    """A bounded number of URLs of one host are taken and not finished."""
    frontier = Frontier()
    for n in range(2000):
        frontier.add(f"http://a/{n}")
    taken = frontier.take(5000)
    assert len(taken) == 200
    assert frontier.take() == []
    finish(frontier, taken[:50])
    assert frontier.take() == [], "not for each finished URL"
    finish(frontier, taken[50:100])
    assert len(frontier.take()) == 100
    frontier.close()


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_each_url_once(data: st.DataObject) -> None:
    """For any order of additions and ends, each URL is taken once."""
    with closing(Frontier()) as frontier:  # also if hypothesis ends the example early
        known: set[str] = set()
        taken: list[Entry] = []
        under_way: list[Entry] = []
        urls = st.builds("http://{}/{}".format, st.sampled_from("abc"), st.integers(0, 30))
        for _ in range(data.draw(st.integers(0, 60))):
            if data.draw(st.booleans()):
                url = data.draw(urls)
                assert frontier.add(url, depth=data.draw(st.integers(0, 3))) == (url not in known)
                known.add(url)
            elif data.draw(st.booleans()) and under_way:
                finish(frontier, [under_way.pop()])
            else:
                more = frontier.take(data.draw(st.integers(1, 5)))
                taken += more
                under_way += more
            if data.draw(st.booleans()):
                frontier.commit()
        while more := frontier.take():
            taken += more
        assert sorted(names(taken)) == sorted(known)
        assert (frontier.known, frontier.waiting) == (len(known), 0)


def test_limits() -> None:
    """Pages in all and per host, hosts, and queries of one path are bounded."""
    frontier = Frontier(max_pages=12, max_pages_per_host=10, max_hosts=2, max_queries=3)
    for n in range(20):
        frontier.add(f"http://a/{n}")
        frontier.add(f"http://b/search?q={n}")
        frontier.add(f"http://b/search?q={n}")
        frontier.add(f"http://h{n}/")
    assert frontier.known == 13
    assert len(frontier.take()) == 12
    assert not frontier.has_ready
    frontier.close()


def test_resume(tmp_path: Path) -> None:
    """After a kill, URLs that were not done are taken again, and done ones are not."""
    path = tmp_path / "f"
    frontier = Frontier(path)
    for n in range(10):
        frontier.add(f"http://a/{n}")
    first, second, third, *_ = frontier.take(6)
    frontier.commit()
    frontier.mark_done([second.key])
    frontier.commit()
    frontier.add("http://a/lost")
    frontier.close()  # without a commit, as by a kill
    with pytest.raises(FrontierError, match="earlier run"):
        Frontier(path)
    frontier = Frontier(path, resume=True)
    frontier.restore([third.key])
    assert (frontier.known, frontier.waiting, frontier.requested_pages) == (10, 8, 2)
    assert not frontier.add("http://a/3")
    assert first.url in names(frontier.take())
    with pytest.raises(FrontierError, match="another process has it open"):
        Frontier(path, resume=True)
    frontier.close()
    with_other = Frontier(path, overwrite=True)
    assert len(with_other) == 0
    with_other.close()


def test_not_a_frontier(tmp_path: Path) -> None:
    """Another file is refused and not changed."""
    path = tmp_path / "f"
    path.write_text("text that is no database, " * 1000)
    before = path.read_bytes()
    with pytest.raises(FrontierError, match="not a database"):
        Frontier(path, resume=True)
    assert path.read_bytes() == before


def test_a_full_disk(tmp_path: Path) -> None:
    """A failed commit is an OSError; what was committed before is whole."""
    script = f"""
import resource, signal
from pathlib import Path
from asks_fast.crawl.frontier import Frontier
frontier = Frontier(Path({str(tmp_path / "f")!r}))
frontier.add("http://a/0")
frontier.commit()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for n in range(1, 30_000):
        frontier.add(f"http://a/{{n}}")
    frontier.commit()
except OSError as error:
    print("full", error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.startswith("full"), done.stderr
    frontier = Frontier(tmp_path / "f", resume=True)
    frontier.restore()
    assert frontier.known >= 1
    frontier.close()
