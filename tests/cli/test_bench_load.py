"""`asks-fast bench URL` as a load tool, against a server that delays, rejects or closes early."""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import PROGRAM, bench
from support.script_steps import OK, expect, send, stall
from support.scripted_server import MakePeer
from support.site import Answer, Site, text_page

NO_WARM_UP = ("--warm-up", "0")


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(text_page) as one:
        yield one


def load(site: Site, *arguments: str, status: int = 0) -> Any:
    """Return the JSON results of a run."""
    done = bench(site.urls[0] + "/x", *arguments, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_count_of_a_closed_loop(site: Site) -> None:
    """-n requests are made, and one before them as a check."""
    found = load(site, "-n", "200", "-c", "5", *NO_WARM_UP)
    assert len(site.asked) == 201
    assert (found["loop"], found["requests"], found["statuses"]) == ("closed", 200, {"200": 200})
    assert found["bytes"] == 200 * len(text_page(0, "/x")[2])
    latency = found["latency"]
    names = ["min", "p50", "p75", "p90", "p95", "p99", "p99.9", "max"]
    assert 0 < latency["min"] <= latency["mean"] <= latency["max"]
    assert [latency[name] for name in names] == sorted(latency[name] for name in names)
    assert sum(count for _, count in found["histogram"]) == 200
    assert sum(second["requests"] for second in found["each_second"]) == 200


def test_warm_up_does_not_count(site: Site) -> None:
    """Requests of the warm-up are made and do not count."""
    found = load(site, "-n", "20", "-c", "2", "--warm-up", "0.3")
    assert found["requests"] == 20
    assert len(site.asked) > 30


def test_duration(site: Site) -> None:
    """Requests are started for --duration seconds."""
    found = load(site, "-d", "0.5", "-c", "2", *NO_WARM_UP)
    assert 0.4 < found["seconds"] < 5
    assert found["requests"] == len(site.asked) - 1


@pytest.mark.parametrize("size", [("-n", "100"), ("-d", "1")])
def test_open_loop(site: Site, size: tuple[str, str]) -> None:
    """With --rate requests start at that rate, with --requests and with --duration."""
    found = load(site, *size, "--rate", "100", "-c", "50", *NO_WARM_UP)
    assert (found["loop"], found["rate"]) == ("open", 100)
    assert found["requests"] + found["not_started"] == 100
    assert found["seconds"] > 0.9


def test_coordinated_omission() -> None:
    """While the server stalls, each request that is due gets the latency of its wait."""
    delays = itertools.chain([0.0] * 20, [0.5], itertools.repeat(0.0))
    with Site(text_page, delay=lambda: next(delays)) as site:
        found = load(site, "-n", "100", "-c", "1", "--rate", "100", *NO_WARM_UP)
    slow = sum(count for bound, count in found["histogram"] if bound > 0.1)
    assert slow > 30  # about 40 were due in the first 0.4 s of the stall
    assert found["latency"]["max"] > 0.45
    assert found["latency_from_sending"]["p90"] < found["latency"]["p90"]


def test_server_slower_than_the_rate() -> None:
    """Requests that were due and not started by the end are counted, and a note says so."""
    with Site(text_page, delay=0.1) as site:
        found = load(site, "-d", "0.5", "-c", "1", "--rate", "100", *NO_WARM_UP)
        assert found["not_started"] + found["requests"] == 50
        assert found["not_started"] > 30
        done = bench(site.urls[0], "-d", "0.5", "-c", "1", "--rate", "100", *NO_WARM_UP)
    assert "were due and not started in time" in done.stdout


def pages(*answers: Answer | bytes) -> Callable[[int, str], Answer | bytes]:
    """Return a page function that returns these responses in turn, after a successful one."""
    given = itertools.chain([(200, {}, b"first")], itertools.cycle(answers))
    return lambda host, path: next(given)


def test_statuses_and_errors() -> None:
    """Statuses and kinds of errors are counted; either gives exit status 1."""
    with Site(pages((200, {}, b"ok"), (503, {}, b""), b"HTTP/1.1 2")) as site:
        found = load(site, "-n", "30", "-c", "1", *NO_WARM_UP, status=1)
        assert found["statuses"] == {"200": 10, "503": 10}
        assert (found["failed"], found["requests"]) == (10, 30)
        ((name, count),) = found["errors"].items()
        assert count == 10
        assert site.urls[0] in found["messages"][name]
    with Site(pages((404, {}, b""))) as site:
        done = bench(site.urls[0], "-n", "3", *NO_WARM_UP)
        assert done.returncode == 1
        assert "404 (3)" in done.stdout


def test_timeout() -> None:
    """A request over --timeout is an error, not a latency."""
    delays = itertools.chain([0.0], itertools.repeat(5.0))
    with Site(text_page, delay=lambda: next(delays)) as site:
        found = load(site, "-n", "2", "-c", "2", "--timeout", "0.1", *NO_WARM_UP, status=1)
    assert found["errors"] == {"TotalTimeout": 2}
    assert found["latency"]["max"] == 0


def test_server_that_is_not_there() -> None:
    """If the first request gets no response, nothing is measured."""
    done = bench("127.0.0.1:1", "-n", "3")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: GET http://127.0.0.1:1/: could not connect")
    assert not done.stdout


def test_request(site: Site, tmp_path: Path) -> None:
    """Method, fields and body are those of the options; --data alone makes it POST."""
    (tmp_path / "body").write_bytes(b"12345")
    more = ("-n", "1", *NO_WARM_UP)
    load(site, "--data", f"@{tmp_path / 'body'}", "-H", "X-A: b", *more)
    load(site, "-X", "PUT", "--data", "12", *more)
    assert site.asked == ["POST 0 /x"] * 2 + ["PUT 0 /x"] * 2
    assert site.headers[0]["content-length"] == "5"
    assert site.headers[0]["x-a"] == "b"


def test_csv(site: Site) -> None:
    """CSV has a row for each second and one for the total."""
    done = bench(site.urls[0], "-n", "50", "--csv", *NO_WARM_UP)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["second"] for row in rows] == ["1", "total"]
    assert rows[-1]["requests"] == "50"
    assert float(rows[-1]["p99.9"]) >= float(rows[-1]["p50"]) > 0


def test_text(site: Site) -> None:
    """The text has the percentiles and a histogram; nothing goes to a pipe as live view."""
    done = bench(site.urls[0], "-n", "50", *NO_WARM_UP)
    assert done.returncode == 0
    assert done.stderr == ""
    for part in ("closed loop, 50 connections, 50 requests", "200 (50)", "p99.9", "█"):
        assert part in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("http://127.0.0.1:1", "-n", "5", "-d", "5"),
        ("http://127.0.0.1:1", "--json", "--csv"),
        ("http://127.0.0.1:1", "--rounds", "2"),
        ("--rate", "5"),
        ("http://127.0.0.1:1", "--data", "@/nonexistent"),
        ("http://127.0.0.1:1", "--rate", "0"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...]) -> None:
    """Options that contradict each other are usage errors."""
    done = bench(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage:")


def read_until(fd: int, text: bytes) -> bytes:
    got = b""
    while text not in got:
        got += os.read(fd, 65536)
    return got


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "load", [(), ("--rate", "1000"), ("-n", "9")], ids=["closed", "open", "-n"]
)
@pytest.mark.parametrize("answered", [0, 5])
def test_a_silent_server_and_a_signal(
    peer: MakePeer, answered: int, load: tuple[str, ...], number: signal.Signals
) -> None:
    """The first signal ends the run at once, whatever --timeout is, and prints its results."""
    server = peer([expect(), send(OK)] * answered + [expect(), stall()])
    with subprocess.Popen(
        [
            *PROGRAM,
            "bench",
            server.url,
            "-c",
            "1",
            *load,
            "--timeout",
            "600",
            "--json",
            *NO_WARM_UP,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        server.wait(lambda: len(server.requests) == answered + 1)
        process.send_signal(number)
        output, messages = process.communicate(timeout=120)
    assert process.returncode == 128 + number, messages
    assert json.loads(output)["requests"] == max(0, answered - 1)  # without the check
    assert not messages


def test_results_of_an_interrupted_check(peer: MakePeer) -> None:
    """A run that is interrupted before its first response prints its results as text too."""
    server = peer([expect(), stall()])
    with subprocess.Popen(
        [*PROGRAM, "bench", server.url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        server.wait(lambda: len(server.requests) == 1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"interrupted" in output


def test_live_view_and_interrupt(site: Site) -> None:
    """On a terminal there is a live view; Ctrl-C ends the run and prints its results."""
    parent, child = os.openpty()
    with subprocess.Popen(
        [*PROGRAM, "bench", site.urls[0], "-d", "100", "--rate", "50", "--json", *NO_WARM_UP],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=child,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.close(child)
        read_until(parent, b"so far, ms: p50")
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        found = json.loads(process.stdout.read())
        assert process.wait() == 130
        os.close(parent)
    assert found["requests"] > 0
    assert found["not_started"] == 0
