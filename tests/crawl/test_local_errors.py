"""Errors of this machine never count as finished URLs, and runs never harm each other's files."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fake_session import FakeSession
from support.site import Site, text_page

import asks_fast
from asks_fast.crawl.bulk_fetch import BulkFetch, CheckpointWriter, OutputError, StreamWriter
from asks_fast.crawl.checkpoint import Checkpoint, CheckpointError
from asks_fast.crawl.formats import RecordFormat, get_format
from asks_fast.crawl.local_errors import NotWritten, is_local_error, local_errors
from asks_fast.crawl.options import FetchOptions
from asks_fast.crawl.page import FetchRecord, file_name
from asks_fast.crawl.partial_files import PartialFile, remove_abandoned
from asks_fast.errors import ConnectionFailed

ROOT = Path(asks_fast.__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
PLAIN = FetchOptions(robots=False, retries=0, connections=10)
pytestmark = pytest.mark.timeout(180)
needs_cli = pytest.mark.skipif(
    not all(__import__("importlib.util").util.find_spec(name) for name in ("click", "rich")),
    reason="the extra cli is not installed",
)


# -- partial files


def test_partial_file_of_a_live_process_stays(tmp_path: Path) -> None:
    """`remove_abandoned` keeps files of live processes."""
    with PartialFile(tmp_path) as file:
        file.write(b"half")
        abandoned = tmp_path / ".partial" / "1-abandoned"
        abandoned.write_bytes(b"x")
        remove_abandoned(tmp_path)
        assert not abandoned.exists()
        file.write(b"whole")
        file.move_to(tmp_path / "deep" / "file")
    assert (tmp_path / "deep" / "file").read_bytes() == b"halfwhole"
    assert not list((tmp_path / ".partial").iterdir())


def test_partial_file_of_a_dead_process_goes(tmp_path: Path) -> None:
    """The lock of a killed process is released, and its partial file is removed."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from asks_fast.crawl.partial_files import PartialFile\n"
        "with PartialFile(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); print(flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], env=ENVIRONMENT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        remove_abandoned(tmp_path)
        assert len(list((tmp_path / ".partial").iterdir())) == 1
        process.kill()
    remove_abandoned(tmp_path)
    assert not list((tmp_path / ".partial").iterdir())


def test_partial_file_is_removed_after_an_error(tmp_path: Path) -> None:
    """An error or cancellation leaves no partial file; a missing directory is not an error."""
    with pytest.raises(NotWritten), PartialFile(tmp_path / "new"), local_errors("go on"):
        raise OSError(5, "broken")
    assert not list((tmp_path / "new" / ".partial").iterdir())
    remove_abandoned(tmp_path / "nowhere")


# -- which errors are local


def test_local_errors() -> None:
    """Errors of files, encoders and exhausted resources are local, those of the network are not."""
    with pytest.raises(NotWritten, match="it: No space left") as full, local_errors("save it"):
        raise OSError(28, "No space left on device")
    assert full.value.is_disk_full
    with pytest.raises(NotWritten, match="UnicodeEncodeError") as bad, local_errors("save it"):
        "\ud800".encode()
    assert not bad.value.is_disk_full
    is_input_ended = ConnectionFailed("could not connect")
    is_input_ended.__cause__ = OSError(24, "Too many open files")
    refused = ConnectionFailed("could not connect")
    refused.__cause__ = OSError(111, "Connection refused")
    assert [is_local_error(one) for one in (full.value, MemoryError(), is_input_ended)] == [
        True
    ] * 3
    assert [is_local_error(one) for one in (refused, ValueError(), None)] == [False] * 3


def _failing(form: RecordFormat, word: str) -> RecordFormat:
    """The format, unable to encode records of URLs with this word."""

    def record(fetched: FetchRecord) -> bytes:
        if word in fetched.url and fetched.page is not None:
            return "\ud800".encode()
        return form.record(fetched)

    return RecordFormat(form.name, record, form.batch)


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz", "o.warc"])
async def test_record_that_cannot_be_encoded(tmp_path: Path, name: str) -> None:
    """A record that cannot be encoded is a failure, and a later run fetches the URL again."""
    out = tmp_path / name
    form = get_format(name, None, "auto", False)
    urls = [f"http://h/{n}" for n in range(20)]
    session = FakeSession()
    reported: list[FetchRecord] = []
    with Checkpoint(out, form.name) as checkpoint:
        writer = CheckpointWriter(checkpoint, _failing(form, "/7"))
        stats = await BulkFetch(session, PLAIN, urls, writer, on_result=reported.append).run()
        assert (stats.done, stats.failed, stats.not_written) == (19, 1, 1)
        assert len(checkpoint.done) == 19
    failed = [one for one in reported if one.error is not None]
    assert [(one.url, type(one.error)) for one in failed] == [("http://h/7", NotWritten)]
    with Checkpoint(out, form.name, resume=True) as checkpoint:
        stats = await BulkFetch(session, PLAIN, urls, CheckpointWriter(checkpoint, form)).run()
        assert (stats.done, stats.skipped, stats.not_written) == (1, 19, 0)


async def test_stream_gets_a_record_of_the_error(tmp_path: Path) -> None:
    """An output that cannot be resumed says what failed."""
    with (tmp_path / "o").open("wb") as file:
        form = _failing(get_format("-", "jsonl", "auto", False), "/1")
        urls = ["http://h/0", "http://h/1"]
        stats = await BulkFetch(FakeSession(), PLAIN, urls, StreamWriter(file.fileno(), form)).run()
    rows = [json.loads(line) for line in (tmp_path / "o").read_text().splitlines()]
    assert sorted(row["url"] for row in rows) == urls
    assert [row["error"]["kind"] for row in rows if "error" in row] == ["NotWritten"]
    assert stats.not_written == 1


async def test_full_disk_ends_the_run(tmp_path: Path) -> None:
    """A full disk ends the run at the first page."""

    def answer(url: str) -> Any:
        if url.endswith("/30"):
            with local_errors("save it"):
                raise OSError(28, "No space left on device")
        return FakeSession().answer(url)

    out = tmp_path / "o.jsonl"
    form = get_format(str(out), None, "auto", False)
    session = FakeSession(answer)
    with Checkpoint(out, form.name) as checkpoint:
        fetch = BulkFetch(
            session,
            PLAIN,
            (f"http://h/{n}" for n in range(9000)),
            CheckpointWriter(checkpoint, form),
        )
        with pytest.raises(OutputError, match="No space left on device; --resume"):
            await fetch.run()
        assert len(checkpoint.done) == fetch.stats.done < 9000


# -- one output, several runs


def test_overwrite_needs_the_output_alone(tmp_path: Path) -> None:
    """An output that another run has open is not overwritten."""
    out = tmp_path / "o"
    with Checkpoint(out, "f") as checkpoint:
        checkpoint.commit([(1, b"one\n")], lambda records, first: b"".join(records))
        with pytest.raises(CheckpointError, match="is being written by another run"):
            Checkpoint(out, "f", overwrite=True)
        with Checkpoint(out, "f", resume=True) as other:
            other.commit([(2, b"two\n")], lambda records, first: b"".join(records))
        checkpoint.commit([(3, b"three\n")], lambda records, first: b"".join(records))
    assert out.read_bytes() == b"one\ntwo\nthree\n"
    Checkpoint(out, "f", overwrite=True).close()
    assert out.read_bytes() == b""


@pytest.mark.parametrize("which", ["output", "checkpoint"])
@pytest.mark.parametrize("harm", ["removed", "replaced", "truncated"])
def test_files_taken_away(tmp_path: Path, which: str, harm: str) -> None:
    """Removing, replacing or truncating a file that is written ends the run with an error."""
    out = tmp_path / "o.jsonl"
    form = get_format(str(out), None, "auto", False)
    with Checkpoint(out, "jsonl") as checkpoint:
        checkpoint.commit([(1, b"one\n")], form.batch)
        path = out if which == "output" else checkpoint.path
        if harm == "truncated":
            os.truncate(path, 1)
        else:
            path.rename(tmp_path / "elsewhere")
        if harm == "replaced":
            path.write_bytes(b"")
        writer = CheckpointWriter(checkpoint, form)
        fetched = FetchRecord("http://h/", None, None, ValueError("x"), 1, 0.0, "")
        writer.add(2, fetched, 0.0)
        with pytest.raises(OutputError, match=f"{path.name} was {harm}"):
            writer.flush()


def test_message_of_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message stays true if a smaller batch was committed later."""
    out = tmp_path / "o.jsonl"
    form = get_format(str(out), None, "auto", False)
    with Checkpoint(out, "jsonl") as checkpoint:
        writer = CheckpointWriter(checkpoint, form)
        fetched = FetchRecord("http://h/", None, None, ValueError("x"), 1, 0.0, "")
        writer.add(1, fetched, 0.0)
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", lambda *args: (_ for _ in ()).throw(OSError(28, "full")))
            with pytest.raises(OutputError) as error:
                writer.flush()
        writer.add(2, fetched, 0.0)
        writer.finish()
    assert str(error.value) == (
        f"cannot write to {out}: full; the records in it are whole, "
        "and --resume continues from there"
    )
    assert len(out.read_text().splitlines()) == 1


# -- file names


@pytest.mark.parametrize(
    "path",
    [
        "漢字" * 90,
        "漢字" * 90 + ".html",
        "a" * 500,
        "/".join(["深い" * 60] * 40) + "/x.html",
        "é/" * 400,
        "x.漢漢漢漢漢漢漢漢",
        "%E6%BC%A2" * 60,
    ],
)
def test_file_names_fit(tmp_path: Path, path: str) -> None:
    """Each name has at most 255 bytes, and the whole path can be created."""
    name = file_name(f"http://h/{path}", "text/html")
    assert all(0 < len(piece.encode()) <= 255 for piece in name.split("/"))
    with PartialFile(tmp_path) as file:
        file.move_to(tmp_path / name)
    assert (tmp_path / name).exists()
    assert file_name(f"http://h/{path}?other", "text/html") != name


def test_long_names_are_kept() -> None:
    """Names within the limit are not truncated."""
    assert file_name("https://h/" + "n" * 200 + ".html") == "h/" + "n" * 200 + ".html"
    assert file_name("https://h/" + "n" * 200).startswith("h/" + "n" * 200 + "-")


# -- the command


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(text_page, hosts=3, delay=0.01) as one:
        yield one


@pytest.fixture
def urls(site: Site, tmp_path: Path) -> Callable[[int], Path]:
    """Return a file with `count` URLs, over all hosts of the site."""

    def write(count: int) -> Path:
        path = tmp_path / "urls.txt"
        path.write_text("".join(f"{site.urls[n % 3]}/{n}\n" for n in range(count)))
        return path

    return write


def start(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from asks_fast.cli import main; main()", "fetch"]
    return subprocess.Popen(
        [*command, *map(str, args)], env=ENVIRONMENT, stderr=subprocess.PIPE, **options
    )


def run(*args: Any, **options: Any) -> tuple[int, str]:
    with start(*args, **options) as process:
        _, err = process.communicate(timeout=150)
    return process.returncode, err.decode()


def check_directory(directory: Path, source: Path) -> None:
    """Each URL of the input is in the index once, without error, and its file is whole."""
    rows = [json.loads(line) for line in (directory / "index.jsonl").read_text().splitlines()]
    assert Counter(row["url"] for row in rows) == Counter(source.read_text().split())
    for row in rows:
        assert "error" not in row
        assert (directory / row["file"]).stat().st_size == row["size"]
    assert not list((directory / ".partial").iterdir())


@needs_cli
@pytest.mark.parametrize("workers", ["1", "2"])
def test_resumed_while_workers_live(
    site: Site, urls: Callable[[int], Path], tmp_path: Path, workers: str
) -> None:
    """If the parent is killed and the run resumed at once, no URL fails or is lost."""
    source, directory = urls(160), tmp_path / "site"
    with start(
        source, "--output-dir", directory, "--workers", workers, "--flush-interval", "0.05"
    ) as first:
        while len(site.asked) < 40:
            time.sleep(0.002)
        first.kill()
        code, err = run(source, "--output-dir", directory, "--resume", "--workers", workers)
    assert code == 0, err
    code, err = run(source, "--output-dir", directory, "--resume")
    assert code == 0, err
    check_directory(directory, source)


@needs_cli
def test_two_runs_at_once(site: Site, urls: Callable[[int], Path], tmp_path: Path) -> None:
    """Two concurrent --resume runs both succeed."""
    source, directory = urls(120), tmp_path / "site"
    with start(
        source, "--output-dir", directory, "--flush-interval", "0.05", "--per-host", "1"
    ) as first:
        while len(site.asked) < 20:
            time.sleep(0.002)
        code, err = run(source, "--output-dir", directory, "--resume")
        assert code == 0, err
        first.communicate(timeout=150)
    assert first.returncode == 0
    check_directory(directory, source)


@needs_cli
@pytest.mark.parametrize("workers", ["1", "2"])
def test_file_that_cannot_be_saved(
    site: Site, urls: Callable[[int], Path], tmp_path: Path, workers: str
) -> None:
    """A body that cannot be saved gives status 23 and is fetched again by --resume."""
    source, directory = urls(30), tmp_path / "site"
    directory.mkdir()
    in_the_way = directory / Path(file_name(site.urls[0] + "/")).parts[0]
    in_the_way.write_text("a file where a directory must be")
    args = (source, "--output-dir", directory, "--workers", workers)
    code, err = run(*args)
    assert code == 23, err
    assert "10 results could not be written on this machine; --resume fetches them again" in err
    rows = [json.loads(line) for line in (directory / "index.jsonl").read_text().splitlines()]
    assert len(rows) == 20
    in_the_way.unlink()
    code, err = run(*args, "--resume")
    assert code == 0, err
    check_directory(directory, source)


@needs_cli
@pytest.mark.parametrize("workers", ["1", "2"])
def test_overwrite_beside_another_run(
    site: Site, urls: Callable[[int], Path], tmp_path: Path, workers: str
) -> None:
    """--overwrite is refused with status 2 while another run has the file, which stays whole."""
    source, out = urls(300), tmp_path / "o.jsonl"
    lines = source.read_bytes()
    args = ("-", "-o", out, "--flush-interval", "0.05", "--workers", workers)
    with start(*args, stdin=subprocess.PIPE) as first:
        assert first.stdin is not None
        first.stdin.write(lines[:1000])
        first.stdin.flush()
        while len(site.asked) < 20:
            time.sleep(0.002)
        code, err = run(source, "-o", out, "--overwrite")
        assert (code, "is being written by another run" in err) == (2, True), err
        first.communicate(lines[1000:], timeout=150)
    assert first.returncode == 0
    rows = [json.loads(line)["url"] for line in out.read_text().splitlines()]
    assert Counter(rows) == Counter(source.read_text().split())


@needs_cli
def test_too_few_descriptors(site: Site, urls: Callable[[int], Path], tmp_path: Path) -> None:
    """URLs that fail because this process has no descriptors left are not finished."""
    source, out = urls(120), tmp_path / "o.jsonl"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    args = (
        source,
        "-o",
        out,
        "--no-robots",
        "--per-host",
        "0",
        "--retries",
        "0",
        "--max-failures",
        "0",
    )
    code, err = run(*args, preexec_fn=limit)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert code == 23, err
    assert not [row for row in rows if "error" in row]
    code, err = run(*args, "--resume")
    assert code == 0, err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert Counter(row["url"] for row in rows) == Counter(source.read_text().split())


@needs_cli
def test_first_batch_does_not_fit(site: Site, tmp_path: Path) -> None:
    """The message is right when a smaller batch was committed after the one that failed."""
    with Site(lambda host, path: (200, {}, b"x" * (60_000 if path == "/big" else 10))) as pages:
        source, out = tmp_path / "urls.txt", tmp_path / "o.jsonl"
        source.write_text("".join(f"{pages.urls[0]}/{name}\n" for name in ("big", 1, 2, 3)))

        def limit() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

        args = (source, "-o", out, "--no-robots", "--flush-interval", "0.01")
        code, err = run(*args, preexec_fn=limit)
        assert code == 23
        assert "bytes" not in err.split("cannot write to")[1]
        assert "the records in it are whole, and --resume continues from there" in err
        code, err = run(*args, "--resume")
        assert code == 0, err
    rows = [json.loads(line)["url"] for line in out.read_text().splitlines()]
    assert Counter(rows) == Counter(source.read_text().split())
