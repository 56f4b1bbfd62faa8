"""Parquet output: shards of `fetch_partition`, and `asks-fast fetch -o FILE.parquet`."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as arrow
import pytest
from support.commands import fetch, start_fetch
from support.site import Site, text_page

from asks_fast.crawl import parquet
from asks_fast.crawl.checkpoint import CheckpointError
from asks_fast.scaleout import FetchOptions, fetch_partition

OPTIONS = FetchOptions(robots=False, retries=0)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(text_page, hosts=8, delay=0.01) as one:
        yield one


def urls_of(site: Site, count: int) -> list[str]:
    return [f"{site.urls[n % len(site.urls)]}/{n}" for n in range(count)]


def parquet_urls(shard: Path) -> list[str]:
    urls: list[str] = arrow.read_table(shard).column("url").to_pylist()
    return sorted(urls)


def test_parquet_shard(site: Site, tmp_path: Path) -> None:
    """A Parquet shard appears when it is complete; another run fetches nothing."""
    shard = tmp_path / "part.parquet"
    fetch_partition(urls_of(site, 20), OPTIONS, shard=shard)
    asked = len(site.asked)
    assert fetch_partition(urls_of(site, 20), OPTIONS, shard=shard)["total"] == 20
    assert len(site.asked) == asked
    table = arrow.read_table(shard)
    assert sorted(table.column("url").to_pylist()) == sorted(urls_of(site, 20))
    assert list(tmp_path.iterdir()) == [shard]


def test_parquet_shard_with_more_requests(site: Site, tmp_path: Path) -> None:
    """Another call with more requests fetches only the new ones."""
    shard = tmp_path / "part.parquet"
    options = FetchOptions(robots=False, retries=0, only_status=("2xx",))
    for count, new in ((20, 20), (50, 30), (50, 0), (55, 5)):
        summary = fetch_partition(urls_of(site, count), options, shard=shard)
        assert (summary["done"], summary["total"]) == (new, count)
        assert parquet_urls(shard) == sorted(urls_of(site, count))
    assert len(site.asked) == 55
    assert list(tmp_path.iterdir()) == [shard]


@pytest.mark.parametrize("when", ["before the merge", "after the shard", "after the records"])
def test_parquet_shard_of_a_killed_call(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A kill during the merge loses and repeats nothing."""

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    shard = tmp_path / "part.parquet"
    fetch_partition(urls_of(site, 10), OPTIONS, shard=shard)
    places: dict[str, tuple[Any, str, Any]] = {
        "before the merge": (parquet.ParquetFile, "merge", kill),
        "after the shard": (parquet.ParquetFile, "_remove_rows", kill),
        "after the records": (Path, "unlink", _unlink_once(kill)),
    }
    with monkeypatch.context() as patched:
        patched.setattr(*places[when])
        with pytest.raises(Killed):
            fetch_partition(urls_of(site, 20), OPTIONS, shard=shard)
    fetch_partition(urls_of(site, 30), OPTIONS, shard=shard)
    assert parquet_urls(shard) == sorted(urls_of(site, 30))
    assert len(site.asked) == 30


def _unlink_once(kill: Any) -> Any:
    """`Path.unlink` that fails after the records are removed."""
    unlink = Path.unlink

    def replacement(path: Path, missing_ok: bool = False) -> None:
        if path.name.endswith(".checkpoint"):
            kill()
        unlink(path, missing_ok=missing_ok)

    return replacement


def test_parquet_shard_in_two_calls_at_once(site: Site, tmp_path: Path) -> None:
    """The second call waits for the first; each URL is fetched once."""
    shard = tmp_path / "part.parquet"
    calls = [
        threading.Thread(
            target=fetch_partition, args=(urls_of(site, n), OPTIONS), kwargs={"shard": shard}
        )
        for n in (40, 60)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert parquet_urls(shard) == sorted(urls_of(site, 60))
    assert len(site.asked) == 60


def test_parquet_file_of_another_program(tmp_path: Path) -> None:
    """A file that is not a shard raises."""
    shard = tmp_path / "part.parquet"
    arrow.write_table(pyarrow.table({"a": [1]}), shard)
    with pytest.raises(CheckpointError, match="was not written by asks_fast"):
        fetch_partition(["http://127.0.0.1:1/"], OPTIONS, shard=shard)


def test_parquet_row_with_a_lone_surrogate(site: Site, tmp_path: Path) -> None:
    """Text that Arrow rejects does not end the partition."""
    shard = tmp_path / "part.parquet"
    requests = [{"url": f"{site.urls[0]}/1", "key": "a\ud800"}, f"{site.urls[0]}/2"]
    assert fetch_partition(requests, OPTIONS, shard=shard)["total"] == 2
    assert len(parquet_urls(shard)) == 2


def test_row_groups_are_bounded(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge holds at most `MAX_ROWS` records or `MAX_BYTES` of JSON at once."""
    shard = tmp_path / "part.parquet"
    monkeypatch.setattr(parquet, "MAX_ROWS", 7)
    fetch_partition(urls_of(site, 20), OPTIONS, shard=shard)
    monkeypatch.setattr(parquet, "MAX_ROWS", 10_000)
    monkeypatch.setattr(parquet, "MAX_BYTES", 2_000)
    fetch_partition(urls_of(site, 30), OPTIONS, shard=shard)
    with arrow.ParquetFile(shard) as file:
        groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert groups[:3] == [7, 7, 6]
    assert all(0 < rows < 5 for rows in groups[3:])
    assert sum(groups) == 30


# -- asks-fast fetch


@pytest.fixture
def source(site: Site, tmp_path: Path) -> Path:
    file = tmp_path / "urls.txt"
    file.write_text("\n".join(urls_of(site, 60)))
    return file


@pytest.mark.parametrize("workers", ["1", "2"])
def test_command(site: Site, source: Path, tmp_path: Path, workers: str) -> None:
    """The command writes a Parquet file with every URL; a second run with --resume fetches none."""
    output = tmp_path / "out" / "pages.parquet"
    arguments = (str(source), "-o", str(output), "--no-robots", "--workers", workers)
    assert fetch(*arguments).returncode == 0
    assert parquet_urls(output) == sorted(urls_of(site, 60))
    again = fetch(*arguments)
    assert again.returncode == 2
    assert "--resume continues it" in again.stderr
    assert fetch(*arguments, "--resume").returncode == 0
    assert len(site.asked) == 60
    assert fetch(*arguments, "--overwrite").returncode == 0
    assert len(site.asked) == 120
    assert parquet_urls(output) == sorted(urls_of(site, 60))
    assert [path.name for path in output.parent.iterdir()] == ["pages.parquet"]


def test_index_of_a_directory(site: Site, source: Path, tmp_path: Path) -> None:
    """With --output-dir, the Parquet file is the index of the saved bodies."""
    output = tmp_path / "pages.parquet"
    arguments = ("-o", str(output), "--output-dir", str(tmp_path / "files"), "--no-robots")
    assert fetch(str(source), *arguments).returncode == 0
    names = arrow.read_table(output).column("file").to_pylist()
    assert len(names) == 60
    assert all((tmp_path / "files" / name).is_file() for name in names)


def test_interrupted(site: Site, source: Path, tmp_path: Path) -> None:
    """Ctrl-C leaves a Parquet file that can be read, and --resume completes it."""
    output = tmp_path / "pages.parquet"
    arguments = (str(source), "-o", str(output), "--no-robots", "-c", "1")
    with start_fetch(*arguments) as process:
        site.wait_for(10)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert 0 < len(parquet_urls(output)) < 60
    assert fetch(*arguments, "--resume").returncode == 0
    assert parquet_urls(output) == sorted(urls_of(site, 60))
    assert len(site.asked) == 60


def test_killed(site: Site, source: Path, tmp_path: Path) -> None:
    """After kill -9, --resume completes the file without loss or duplicate."""
    output = tmp_path / "pages.parquet"
    arguments = (str(source), "-o", str(output), "--no-robots", "-c", "1")
    with start_fetch(*arguments, "--flush-interval", "0.05") as process:
        site.wait_for(20)
        process.kill()
        process.wait(60)
    assert not output.exists()
    assert fetch(*arguments, "--resume").returncode == 0
    assert Counter(parquet_urls(output)) == Counter(urls_of(site, 60))


def test_two_commands_at_once(site: Site, source: Path, tmp_path: Path) -> None:
    """While a run writes a Parquet file, another one is refused."""
    site.delay = 1.0
    output = tmp_path / "pages.parquet"
    arguments = (str(source), "-o", str(output), "--no-robots", "-c", "1")
    with start_fetch(*arguments) as process:
        site.wait_for(1)
        for more in ((), ("--resume",), ("--overwrite",)):
            second = fetch(*arguments, *more)
            assert second.returncode == 2
            assert "being written by another run" in second.stderr
        process.terminate()
        process.wait(60)


def test_standard_output(source: Path) -> None:
    """Parquet cannot go to standard output."""
    done = fetch(str(source), "--format", "parquet")
    assert done.returncode == 2
    assert "Parquet needs --output" in done.stderr
