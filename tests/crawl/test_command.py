"""`asks-fast fetch` as a program: kills, signals, full disks, several processes."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.output_readers import decompressed
from support.site import Site, text_page

import asks_fast

pytest.importorskip("click", reason="the extra cli is not installed")
pytest.importorskip("rich", reason="the extra cli is not installed")

ROOT = Path(asks_fast.__file__).parent.parent
ASKS_FAST = [sys.executable, "-c", "from asks_fast.cli import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(text_page, hosts=3, delay=0.01) as record:
        yield record


@pytest.fixture
def urls(site: Site, tmp_path: Path) -> Callable[[int], Path]:
    """Return a file with `count` URLs, over all hosts of the site."""

    def write(count: int) -> Path:
        path = tmp_path / "urls.txt"
        path.write_text("".join(f"{site.urls[n % len(site.urls)]}/{n}\n" for n in range(count)))
        return path

    return write


def start(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
    given = [str(a) for a in args]
    return subprocess.Popen(
        [*ASKS_FAST, "fetch", *given],
        env=ENVIRONMENT,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def run(*args: Any, **options: Any) -> tuple[int, str, str]:
    stdin = options.pop("input", None)
    with start(*args, stdin=subprocess.PIPE, **options) as process:
        out, err = process.communicate(stdin, timeout=250)
    return process.returncode, out.decode(), err.decode()


def records(path: Path) -> list[dict[str, Any]]:
    """Return all records of an output, read by other programs; fails if it is incomplete."""
    if path.name.endswith((".warc", ".warc.gz")):
        file = io.BytesIO(path.read_bytes())
        iterator = pytest.importorskip("warcio.archiveiterator").ArchiveIterator(file)
        return [
            {
                "url": record.rec_headers["WARC-Target-URI"],
                "body": record.content_stream().read().decode(),
            }
            for record in iterator
            if record.rec_type == "response"
        ]
    data = decompressed(path)
    assert data == b"" or data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def check_whole(path: Path, source: Path, site: Site) -> None:
    """Check that every URL of the source is in the output exactly once, with its own body."""
    rows = records(path)
    wanted = source.read_text().split()
    assert sorted(row["url"] for row in rows) == sorted(wanted)
    for row in rows:
        base, _, path_ = row["url"].rpartition("/")
        assert row["body"].encode() == text_page(site.urls.index(base), f"/{path_}")[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kills", "more"),
    [
        ("o.jsonl", 20, []),
        ("o.jsonl.zst", 4, []),
        ("o.warc.gz", 4, []),
        ("o.jsonl.gz", 4, ["--workers", "2"]),
    ],
)
def test_killed_again_and_again(
    site: Site, urls: Callable[[int], Path], tmp_path: Path, name: str, kills: int, more: list[str]
) -> None:
    """After kills at random moments, a resumed run has every URL exactly once and whole."""
    source, out = urls(60 * kills), tmp_path / name
    rng = random.Random(name)
    killed = 0
    while killed < kills:
        before = len(site.asked)
        process = start(
            source, "-o", out, "--resume", "--flush-interval", "0.02", "--quiet", *more, stderr=None
        )
        until = before + rng.randrange(5, 60)
        while len(site.asked) < until and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.03)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        killed += 1
    code, _, err = run(source, "-o", out, "--resume", *more)
    assert code == 0, err
    check_whole(out, source, site)
    fetched = [line for line in site.asked if "robots" not in line]
    assert len(fetched) < 60 * kills + kills * 200, "most was not fetched anew"


def test_plain_run(site: Site, urls: Callable[[int], Path], tmp_path: Path) -> None:
    """A complete run has status 0 and a summary, and --resume skips every URL."""
    source, out = urls(50), tmp_path / "o.jsonl"
    code, printed, err = run(source, "-o", out)
    assert (code, printed) == (0, "")
    assert err.startswith("done: 50 done, 0 failed")
    check_whole(out, source, site)
    before = len(site.asked)
    code, _, err = run(source, "-o", out, "--resume")
    assert code == 0
    assert "50 were fetched by an earlier run" in err
    assert len(site.asked) == before
    code, _, err = run(source, "-o", out)
    assert code == 2
    assert "--resume continues it" in err


def test_standard_streams(site: Site) -> None:
    """URLs are read from standard input and records written to standard output."""
    lines = "\n".join(
        [
            "# a comment",
            site.urls[0] + "/1",
            "",
            json.dumps({"url": site.urls[1] + "/2", "key": "two", "headers": {"X-Mine": "1"}}),
        ]
    )
    code, out, _ = run("-", "--quiet", "--no-robots", input=lines.encode())
    rows = {row["url"]: row for row in map(json.loads, out.splitlines())}
    assert code == 0
    assert rows[site.urls[0] + "/1"]["body"].startswith("page 0 /1")
    assert rows[site.urls[1] + "/2"]["key"] == "two"
    assert "1" in [fields.get("x-mine") for fields in site.headers]


def test_some_failed(site: Site, tmp_path: Path) -> None:
    """Failed requests are in the output, with kind and message; the exit status is 1."""
    source, out = tmp_path / "u", tmp_path / "o.jsonl"
    source.write_text(
        f"{site.urls[0]}/fine\nhttp://127.0.0.1:1/refused\nhttp://bad host/\nftp://a/\n"
    )
    code, _, err = run(source, "-o", out, "--retries", "0", "--log", "json")
    rows = {row["url"]: row for row in records(out)}
    assert code == 1
    assert rows["http://127.0.0.1:1/refused"]["error"]["kind"] == "ConnectionFailed"
    assert rows["http://bad host/"]["error"]["kind"] == "InvalidURL"
    assert len(rows) == 4
    events = [json.loads(line) for line in err.splitlines()]
    assert events[-1]["event"] == "summary"
    assert (events[-1]["done"], events[-1]["failed"]) == (1, 3)
    assert sum(event["event"] == "failed" for event in events) == 3


def test_one_file_per_url(site: Site, urls: Callable[[int], Path], tmp_path: Path) -> None:
    """--output-dir saves and lists each body as a file and leaves no partial file."""
    source, directory = urls(20), tmp_path / "site"
    code, _, err = run(source, "--output-dir", directory)
    assert code == 0, err
    rows = records(directory / "index.jsonl")
    assert len(rows) == 20
    for row in rows:
        base, _, path = row["url"].rpartition("/")
        body = (directory / row["file"]).read_bytes()
        assert body == text_page(site.urls.index(base), f"/{path}")[2]
    assert not list((directory / ".partial").iterdir())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted(urls: Callable[[int], Path], site: Site, tmp_path: Path, workers: str) -> None:
    """Ctrl-C finishes the requests under way; status 130; the output can be resumed."""
    source, out = urls(3000), tmp_path / "o.jsonl"
    with start(source, "-o", out, "--workers", workers, "--flush-interval", "0.05") as process:
        while len(site.asked) < 100:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=250)
    assert process.returncode == 130, err
    assert b"finishing the requests under way" in err
    assert b"stopped: " in err
    asked = {line.split(" ", 2)[2] for line in site.asked if "robots" not in line}
    assert {"/" + row["url"].rpartition("/")[2] for row in records(out)} == asked
    assert 50 < len(asked) < 3000


def test_interrupted_twice(tmp_path: Path, urls: Callable[[int], Path]) -> None:
    """A second Ctrl-C cancels the requests under way; earlier results are in the output."""

    def page(host: int, path: str) -> Any:
        if "hang" in path:
            time.sleep(0.5)
        return text_page(host, path)

    with Site(page, delay=0.0) as site:
        slow = Site(text_page, delay=60.0)
        with slow:
            source, out = tmp_path / "u", tmp_path / "o.jsonl"
            source.write_text(
                f"{slow.urls[0]}/never\n" + "".join(f"{site.urls[0]}/{n}\n" for n in range(20))
            )
            with start(source, "-o", out, "--no-robots", "--flush-interval", "0.01") as process:
                while len(site.asked) < 20 or not out.exists() or len(records(out)) < 20:
                    time.sleep(0.005)
                process.send_signal(signal.SIGINT)
                assert process.stderr is not None
                assert b"interrupt again to cancel" in process.stderr.readline()
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=250)
    assert process.returncode == 130
    assert b"cancelled: 20 done" in err
    assert len(records(out)) == 20


@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_while_it_waits_for_input(site: Site, tmp_path: Path, workers: str) -> None:
    """Ctrl-C ends a run that waits for standard input; the results are in the output."""
    out = tmp_path / "o.jsonl"
    with start(
        "-", "-o", out, "--workers", workers, "--flush-interval", "0.05", stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write("".join(f"{site.urls[n % 3]}/{n}\n" for n in range(9)).encode())
        process.stdin.flush()
        while not out.exists() or len(records(out)) < 9:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert b"stopped: 9 done" in process.stderr.read()
    assert len(records(out)) == 9


def test_worker_killed(urls: Callable[[int], Path], site: Site, tmp_path: Path) -> None:
    """A killed worker process is started again; no URL is lost or repeated."""
    source, out = urls(900), tmp_path / "o.jsonl"
    with start(source, "-o", out, "--workers", "2", "--flush-interval", "0.02") as process:
        while len(site.asked) < 60:
            time.sleep(0.002)
        os.kill(children_of(process.pid)[0], signal.SIGKILL)
        _, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    check_whole(out, source, site)


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    if not path.exists():
        pytest.skip("needs /proc with children")
    return [int(child) for child in path.read_text().split()]


def test_workers_from_standard_input(
    site: Site, urls: Callable[[int], Path], tmp_path: Path
) -> None:
    """Standard input is distributed to the workers by host."""
    source, out = urls(120), tmp_path / "o.jsonl"
    code, _, err = run("-", "-o", out, "--workers", "2", input=source.read_bytes())
    assert code == 0, err
    check_whole(out, source, site)


def test_full_disk(site: Site, urls: Callable[[int], Path], tmp_path: Path) -> None:
    """A full disk ends the run with a clear message and status 23; the output can be resumed."""
    source, out = urls(300), tmp_path / "o.jsonl"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    code, _, err = run(source, "-o", out, "--flush-interval", "0.05", preexec_fn=limit)
    assert code == 23
    assert "cannot write to" in err
    assert "--resume continues from there" in err
    assert 0 < len(records(out)) < 300
    code, _, err = run(source, "-o", out, "--resume")
    assert code == 0, err
    check_whole(out, source, site)


def test_reader_goes_away(urls: Callable[[int], Path]) -> None:
    """A closed pipe (`fetch … | head -1`) gives one line and status 23, no traceback."""
    with start(urls(3000)) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["status"] == 200
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read().decode()
        process.wait(30)
    assert process.returncode == 23
    assert "closed by its reader" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["/nowhere"], "does not exist"),
        (["--rate", "fast"], "a rate is like"),
        (["--max-body", "big"], "a size is like"),
        (["--resume"], "needs --output"),
        (["--workers", "2"], "needs --output"),
        (["--only-status", "abc"], "status filter"),
        (["-H", "nonsense"], "a header is like"),
        (["-c", "0"], "connections must be at least 1"),
    ],
)
def test_invalid_options(tmp_path: Path, args: list[str], says: str) -> None:
    """Invalid options are reported before anything is fetched, with status 2."""
    source = tmp_path / "u"
    source.write_text("")
    given = args if args[0].startswith("/") else [str(source), *args]
    code, _, err = run(*given)
    assert code == 2
    assert says in " ".join(err.replace("│", " ").split())


def test_live_view(site: Site, urls: Callable[[int], Path], tmp_path: Path) -> None:
    """A terminal shows counts, progress, hosts and errors by kind, updated regularly."""
    source = urls(150)
    with source.open("a") as file:
        file.write("http://127.0.0.1:1/refused\n")
    ours, theirs = os.openpty()
    shown = bytearray()
    try:
        process = start(
            source,
            "-o",
            tmp_path / "o.jsonl",
            "--no-robots",
            "--retries",
            "0",
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the terminal's other end is closed
                break
            if not piece:
                break
            shown += piece
        assert process.wait(30) == 1
    finally:
        os.close(ours)
    text = shown.decode()
    for word in (
        "150 done",
        "1 failed",
        "requests/s",
        "MB/s",
        "127.0.0.1:1",
        "errors: ConnectionFailed 1",
        "done: 150 done, 1 failed",
    ):
        assert word in text
    assert text.count("under way") > 1, "redrawn"


def test_completion() -> None:
    """The shell can complete commands and options."""

    def complete(line: str, at: int) -> str:
        done = subprocess.run(
            [*ASKS_FAST],
            capture_output=True,
            text=True,
            timeout=250,
            env={
                **ENVIRONMENT,
                "_ASKS_FAST_COMPLETE": "bash_complete",
                "COMP_WORDS": line,
                "COMP_CWORD": str(at),
            },
        )
        return done.stdout

    assert "fetch" in complete("asks-fast f", 1)
    assert "--resume" in complete("asks-fast fetch --res", 2)
