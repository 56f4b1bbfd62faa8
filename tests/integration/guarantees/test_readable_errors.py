"""The output of an uncaught error: the user's frames, the cause and the remedy in few lines."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.script_steps import OK, close, expect, send
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import HSession, Session
from asks_fast.errors import AsksException, ConnectionFailed, ReadTimeout

URL = "http://127.0.0.1:1/"
REMEDY = "No program listens at that address and port: is the server running?"
PROGRAMS = {
    "one-shot": f"r = await asks_fast.get({URL!r})",
    "verb": f"await asks_fast.post({URL!r}, json=1)",
    "session": f"async with asks_fast.Session({URL!r}) as s: await s.get()",
    "retries": f"async with asks_fast.Session({URL!r}, retries=1, timeout=9) as s: await s.get()",
    "stream": f"await asks_fast.get({URL!r}, stream=True)",
    "unwrap": f"async with asks_fast.DSession() as s: (await s.gather([{URL!r}]))[0].unwrap()",
}


def lines_of(program: str, run: str, folder: Path) -> list[str]:
    """What a program prints that does nothing but this, and does not catch its error."""
    file = folder / "program.py"
    file.write_text(f"import asks_fast, curio\n\nasync def main():\n    {program}\n\n{run}(main)\n")
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=100, cwd=folder
    )
    assert done.returncode == 1
    return done.stderr.splitlines()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_refused_connection(name: str, tmp_path: Path) -> None:
    """At most 20 lines: the cause, the user's own lines, the error, and what to do about it."""
    lines = lines_of(PROGRAMS[name], "asks_fast.run", tmp_path)
    text = "\n".join(lines)
    assert len(lines) <= 20, text
    assert sum('program.py"' in line for line in lines) == 2
    assert "ConnectionRefusedError: [Errno" in text
    assert "could not connect (127.0.0.1:1: Connection refused)" in text
    if sys.version_info >= (3, 11):
        assert lines[-1] == REMEDY


def test_a_refused_connection_on_stock_curio(tmp_path: Path) -> None:
    """On `curio.run`, curio's own frames come to it, and one of ours."""
    lines = lines_of(PROGRAMS["one-shot"], "curio.run", tmp_path)
    frames = [line for line in lines if line.startswith("  File ")]
    assert len([line for line in frames if "asks_fast" in line]) == 1, "\n".join(lines)
    assert len(lines) <= 28


def frames_of(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


async def test_the_fast_path_is_as_short(peer: MakePeer) -> None:
    """An error of a request that was sent from a template shows no inner frame either."""
    server = peer([expect(), send(OK), expect(), send(b"HTTP/1.1 nonsense\r\n\r\n")])
    async with HSession(server.url) as session:
        await session.get()
        with pytest.raises(AsksException) as caught:
            await session.get()
    assert frames_of(caught.value) == ["test_the_fast_path_is_as_short", "run_exchange"]


async def test_frames_of_compiled_code(peer: MakePeer, caplog: pytest.LogCaptureFixture) -> None:
    """Each frame names the function of its line, whatever failed in that line of another file."""
    caplog.set_level(logging.DEBUG, logger="asks_fast")
    nonsense = b"HTTP/1.1 nonsense\r\n\r\n"
    server = peer([expect(), send(OK), expect(), send(nonsense)], [expect(), send(nonsense)])
    folder = Path(asks_fast.__file__).parent.parent
    async with HSession(server.url) as session:
        await session.get()
        for options in ({"headers": {"X": "a\nb"}}, {}, {"stream": True}, {"retries": 1}):
            with pytest.raises(AsksException) as caught:
                await session.get(**options)  # type: ignore[call-overload]
            frames = traceback.extract_tb(caught.value.__traceback__)
            compiled = [frame for frame in frames if frame.filename.endswith(".pyx")]
            assert compiled
            for frame in compiled:
                above = (folder / frame.filename).read_text().splitlines()[: frame.lineno]
                starts = [
                    line for line in above if re.match(r" *(async def|def|cp?def) .*\(", line)
                ]
                assert f" {frame.name.rpartition('.')[2]}(" in starts[-1]


async def test_a_stream_is_as_short(peer: MakePeer) -> None:
    """An error in the middle of a body has the frame of the stream, and no inner one."""
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), close()])
    async with Session(server.url) as session:
        response = await session.get(stream=True)
        with pytest.raises(AsksException) as caught:
            async for _ in response.body:
                pass
    assert frames_of(caught.value) == ["test_a_stream_is_as_short", "_read_chunk"]


async def test_frames_of_the_user_stay(peer: MakePeer) -> None:
    """A body of the user's that fails is seen in the traceback."""

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        raise ReadTimeout("the source of this body was silent")

    server = peer([expect(), send(OK)])
    with pytest.raises(ReadTimeout) as late:
        await asks_fast.post(server.url, data=body())
    assert "body" in frames_of(late.value)


async def test_all_frames_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    """With the log at DEBUG errors keep all frames."""
    caplog.set_level(logging.DEBUG, logger="asks_fast")
    with pytest.raises(ConnectionFailed) as caught:
        await asks_fast.get(URL)
    assert {"connect_to_any", "_send_once"} <= set(frames_of(caught.value))


async def test_the_context_of_the_user_stays() -> None:
    """A request made while another exception is handled: both are shown, whole."""

    async def program() -> None:
        try:
            raise KeyError("mine")
        except KeyError:
            await asks_fast.get(URL)

    with pytest.raises(ConnectionFailed) as caught:
        await program()
    context = caught.value.__context__
    while context is not None and not isinstance(context, KeyError):
        context = context.__context__
    assert context is not None
    assert frames_of(context) == ["program"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes came with Python 3.11")
@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("http://nowhere.invalid/", {}, "Check the spelling of the host"),
        ("http://a.test/", {"proxy": URL}, "Check proxy="),
        (URL, {}, "is the server running?"),
    ],
)
async def test_notes(url: str, options: dict[str, str], says: str) -> None:
    """The remedy is a note, added once, also if the error is raised again."""
    with pytest.raises(AsksException) as caught:
        await asks_fast.get(url, **options)  # type: ignore[call-overload]
    (note,) = caught.value.__notes__  # type: ignore[attr-defined]
    assert says in note
