"""One `Body` from the arguments of a request: what is sent, under which type and length."""

from __future__ import annotations

import array
import gzip
import io
import json
import os
import socket
import tempfile
from pathlib import Path

import curio
import pytest

from asks_fast.body import Body, make_body
from asks_fast.errors import (
    BodyLengthMismatch,
    InvalidHeader,
    InvalidRequest,
    UnreplayableBody,
)
from asks_fast.sources import PIECE


def read(body: Body) -> bytes:
    async def main():
        pieces = [bytes(piece) async for piece in body.chunks()]
        assert all(pieces), "an empty piece would end a chunked body"
        return b"".join(pieces)

    return curio.run(main)


def made(*args, **kw) -> Body:
    body = make_body(*args, **kw)
    assert body is not None
    return body


# -- which argument


def test_nothing():
    """No argument, and what asks took for none, is no body."""
    assert make_body() is None
    assert make_body(files={}) is None
    for empty in ("", b"", {}, []):
        assert make_body(data=empty) is None


@pytest.mark.parametrize(
    "pair", [("data", "json"), ("data", "files"), ("json", "multipart"), ("files", "multipart")]
)
def test_exclusive(pair):
    """Two of the four are a TypeError that names both."""
    with pytest.raises(TypeError, match=f"{pair[0]} and {pair[1]} exclude"):
        make_body(**{pair[0]: {"a": "b"}, pair[1]: {"c": "d"}})


@pytest.mark.parametrize("wrong", [7, 2.5, object(), True])
def test_wrong_type(wrong):
    """Data that is no body is refused at the call and named."""
    with pytest.raises(TypeError, match=type(wrong).__name__):
        make_body(data=wrong)


# -- text, bytes


def test_text():
    """A str is sent in `encoding`, its length counted in bytes, as text/plain."""
    body = made(data="grüß")
    assert (body.buffered, body.length, body.content_type) == ("grüß".encode(), 6, "text/plain")
    assert made(data="ü", encoding="latin-1").buffered == b"\xfc"


def test_text_that_cannot_be_written():
    """Characters that the encoding lacks, and unknown encodings, fail before anything is sent."""
    with pytest.raises(InvalidRequest, match="'€'"):
        make_body(data="10 €", encoding="latin-1")
    with pytest.raises(InvalidRequest, match="klingon"):
        make_body(data="x", encoding="klingon")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes(kind):
    """Anything of bytes is sent as it is, text/plain as in asks unless `mimetype` says more."""
    body = made(data=kind(b"\x00\xff"), mimetype="image/png")
    assert (body.buffered, body.content_type, body.replayable) == (b"\x00\xff", "image/png", True)
    assert made(data=kind(b"x")).content_type == "text/plain"


def test_later_change_of_a_bytearray():
    """What is sent, and sent again, is what was given at the call."""
    data = bytearray(b"before")
    body = made(data=data)
    data[:] = b"after"
    assert read(body) == b"before"


def test_lent_memory():
    """An array is sent as its bytes, counted in bytes."""
    numbers = array.array("I", [1, 2])
    body = made(data=numbers)
    assert body.length == 2 * numbers.itemsize
    assert read(body) == numbers.tobytes()


@pytest.mark.parametrize("mimetype", ["text/plain\r\nX: y", "a\nb", "täxt/plain", "a\x00"])
def test_mimetype_cannot_forge_headers(mimetype):
    """Control and non-ASCII characters in `mimetype` are refused."""
    with pytest.raises(InvalidHeader):
        make_body(data="x", mimetype=mimetype)


# -- forms


@pytest.mark.parametrize(
    "data",
    [
        {"a": ["1", 2], "b": "& = + % #", "none": None, "zero": 0, "empty": ""},
        [("a", "1"), ("a", 2), ("b", "& = + % #"), ("zero", 0), ("empty", "")],
        {"a": ["1", 2], "b": "& = + % #", "zero": 0, "empty": ""}.items(),
    ],
    ids=["dict", "pairs", "items"],
)
def test_form(data):
    """Dicts and pairs are forms: names repeat, delimiters are quoted, None is left out."""
    body = made(data=data)
    assert body.content_type == "application/x-www-form-urlencoded"
    assert body.buffered == b"a=1&a=2&b=%26+%3D+%2B+%25+%23&zero=0&empty="


def test_form_encoding():
    """Text of a form is quoted in `encoding`."""
    assert made(data={"ä": "ö"}, encoding="latin-1").buffered == b"%E4=%F6"


# -- json


@pytest.mark.parametrize("value", [{}, [], 0, False, "", {"a": [1, None, "ü"]}, 1.5])
def test_json(value):
    """Whatever `json.dumps` takes is sent, falsy values included."""
    body = made(json=value)
    assert body.content_type == "application/json"
    assert json.loads(body.buffered) == value


def test_json_encoder():
    """Another encoder, of str or bytes, takes the place of `json.dumps`."""
    assert made(json=1, json_dumps=lambda value: b"bytes").buffered == b"bytes"
    assert made(json=1, json_dumps=lambda value: "ü").buffered == "ü".encode()


def test_json_of_what_json_lacks():
    """The encoder's own error comes at the call."""
    with pytest.raises(TypeError, match="set"):
        make_body(json={1, 2})


def test_json_type():
    """`mimetype` names a type derived from JSON."""
    assert made(json=1, mimetype="application/vnd.api+json").content_type.endswith("api+json")


# -- files


def test_path(tmp_path):
    """A path is streamed from disk with its length known and can be sent again."""
    path = tmp_path / "photo.png"
    content = os.urandom(3 * PIECE + 17)
    path.write_bytes(content)
    body = made(data=path)
    assert (body.length, body.content_type, body.buffered) == (len(content), "image/png", None)
    assert read(body) == content
    assert read(body) == content


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs /dev/shm")
def test_path_in_memory():
    """The same on a file system that cannot say what it has in memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        path = Path(directory, "x")
        content = os.urandom(3 * PIECE + 17)
        path.write_bytes(content)
        body = made(data=path)
        assert read(body) == read(body) == content


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="needs posix_fadvise")
@pytest.mark.parametrize("lag", [0, PIECE, PIECE + 100])
def test_path_partly_in_memory(tmp_path, lag):
    """What the cache has is taken from it, the rest is read from the disk, in the right order."""
    path = tmp_path / "x"
    content = os.urandom(5 * PIECE + 17)
    path.write_bytes(content)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), lag, 0, os.POSIX_FADV_DONTNEED)
    assert read(made(data=path)) == content


def test_missing_path(tmp_path):
    """A path that cannot be opened fails at the call, as `open` would."""
    with pytest.raises(FileNotFoundError):
        make_body(data=tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        make_body(data=tmp_path)


def test_packed_file_type(tmp_path):
    """A .tar.gz is sent as gzip, which it is, not as the tar inside."""
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"x")
    assert made(data=path).content_type == "application/gzip"


@pytest.mark.parametrize("skip", [0, 5])
def test_open_file(tmp_path, skip):
    """An open file is sent from where it stands, again from there, and stays open."""
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.read(skip)
        body = made(data=file)
        assert body.length == 10 - skip
        assert body.content_type == "application/octet-stream"
        for _ in range(2):
            assert read(body) == b"0123456789"[skip:]
        assert not file.closed


def test_memory_file():
    """A BytesIO has a length and can be sent again."""
    file = io.BytesIO(b"abcdef")
    file.seek(2)
    body = made(data=file)
    assert body.length == 4
    assert read(body) == read(body) == b"cdef"


def test_file_written_and_rewound():
    """What was written but not flushed counts."""
    with tempfile.TemporaryFile() as file:
        file.write(b"abc")
        file.seek(1)
        file.write(b"!")
        file.seek(0)
        body = made(data=file)
        assert body.length == 3
        assert read(body) == b"a!c"
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"abc")
        file.seek(0)
        assert made(data=file).length == 3


def test_decompressing_file(tmp_path):
    """A gzip file is sent decompressed, so its length on disk is not the length of the body."""
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"a" * 100_000))
    with gzip.open(path) as file:
        body = made(data=file)
        assert body.length is None
        assert read(body) == read(body) == b"a" * 100_000


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_file_that_lies_about_its_size():
    """Files of /proc say 0 bytes; they are sent all the same."""
    body = made(data=Path("/proc/self/status"))
    assert body.length is None
    assert read(body).startswith(b"Name:")
    with open("/proc/self/status", "rb") as file:
        assert read(made(data=file)).startswith(b"Name:")


def test_empty_file(tmp_path):
    """An empty file is a body of length 0, with its type."""
    path = tmp_path / "x.txt"
    path.touch()
    body = made(data=path)
    assert (body.length, body.content_type) == (0, "text/plain")
    assert read(body) == b""


def test_pipe():
    """A pipe has no length, is read to its end and only once."""
    reading, writing = os.pipe()
    os.write(writing, b"from a pipe")
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        body = made(data=file)
        assert body.length is None
        assert read(body) == b"from a pipe"
        with pytest.raises(UnreplayableBody):
            body.chunks()


def test_socket_file():
    """A socket's file works like any other stream."""
    here, there = socket.socketpair()
    there.sendall(b"x" * 1000)
    there.close()
    with here, here.makefile("rb") as file:
        assert read(made(data=file)) == b"x" * 1000


def test_text_mode(tmp_path):
    """A file in text mode would count characters as bytes: refused at the call."""
    path = tmp_path / "x"
    path.touch()
    with path.open("r") as file, pytest.raises(TypeError, match="'rb'"):
        make_body(data=file)
    with pytest.raises(TypeError, match="'rb'"):
        make_body(data=io.StringIO("x"))
    with tempfile.NamedTemporaryFile("w+") as file, pytest.raises(TypeError, match="'rb'"):
        make_body(data=file)


def test_write_only_file(tmp_path):
    """A file that cannot be read is refused at the call."""
    with (tmp_path / "x").open("wb") as file, pytest.raises(TypeError, match="reading"):
        make_body(data=file)


def test_closed_file(tmp_path):
    """A closed file is refused at the call."""
    path = tmp_path / "x"
    path.write_bytes(b"1")
    file = path.open("rb")
    file.close()
    with pytest.raises(ValueError, match="closed"):
        make_body(data=file)


async def _curio_file(path):
    async with curio.aopen(path, "rb") as file:
        await file.read(2)
        body = made(data=file)
        assert (body.length, body.content_type) == (8, "text/plain")
        for _ in range(2):
            assert b"".join([bytes(x) async for x in body.chunks()]) == b"23456789"
    async with curio.aopen(path, "r") as file:
        with pytest.raises(TypeError, match="'rb'"):
            make_body(data=file)


def test_curio_file(tmp_path):
    """curio's asynchronous files have a length and can be sent again."""
    path = tmp_path / "x.txt"
    path.write_bytes(b"0123456789")
    curio.run(_curio_file(path))


def test_other_async_file():
    """Any object whose `read` is awaited is streamed, once."""

    class File:
        left = 3

        async def read(self, size):
            self.left -= 1
            return b"ab" if self.left >= 0 else b""

    body = made(data=File())
    assert body.length is None
    assert read(body) == b"ababab"
    with pytest.raises(UnreplayableBody):
        body.chunks()


# -- iterables


class Again:
    def __iter__(self):
        return iter([b"ab", b"", b"cd"])


class AgainLater:
    def __aiter__(self):
        return later()


async def later():
    for piece in (b"ab", b"", b"cd"):
        yield piece


def at_once():
    yield from (b"ab", b"", b"cd")


@pytest.mark.parametrize("again", [Again, AgainLater], ids=["sync", "async"])
def test_iterable(again):
    """An iterable is streamed, empty pieces left out, and sent again by iterating again."""
    body = made(data=again())
    assert (body.length, body.content_type) == (None, "application/octet-stream")
    assert body.replayable
    assert read(body) == read(body) == b"abcd"


def test_list_of_pieces():
    """The length of pieces in a list is known."""
    body = made(data=[b"ab", bytearray(b"c"), memoryview(array.array("H", [1]))])
    assert body.length == 5
    assert len(read(body)) == 5


async def test_small_pieces():
    """Small pieces of a synchronous iterable are sent together, large ones as they are."""
    large = bytes(100_000)
    rows = [b"row", b"", b"row", large, *[b"x" * 1000] * 40]
    sizes = [len(piece) async for piece in made(data=iter(rows)).chunks()]
    assert sum(sizes) == sum(map(len, rows))
    assert len(sizes) == 4


@pytest.mark.parametrize("once", [at_once, later], ids=["sync", "async"])
def test_one_shot(once):
    """A generator is sent once; asked for a second time, the error says why."""
    body = made(data=once())
    body.chunks()  # nothing was read yet: a connection that could not be made costs nothing
    assert body.replayable
    assert read(body) == b"abcd"
    assert not body.replayable
    with pytest.raises(UnreplayableBody, match="one-shot"):
        body.chunks()


def test_one_shot_in_disguise():
    """An iterable that is empty the second time is an error, not an empty body."""

    class Once:
        def __init__(self):
            self.pieces = iter([b"ab"])

        def __iter__(self):
            return (piece for piece in self.pieces)

    body = made(data=Once())
    assert read(body) == b"ab"
    with pytest.raises(UnreplayableBody, match="ended after 0 bytes"):
        read(body)


@pytest.mark.parametrize("wrong", ["text", 7, None])
@pytest.mark.parametrize("is_async", [False, True])
def test_wrong_pieces(wrong, is_async):
    """A piece that is not bytes is a TypeError that says what came from where."""

    def now():
        yield wrong

    async def then():
        yield wrong

    with pytest.raises(TypeError, match=f"gave {type(wrong).__name__}"):
        read(made(data=then() if is_async else now()))


def test_error_of_the_generator():
    """What the user's generator raises comes out as it is."""

    def failing():
        yield b"x"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        read(made(data=failing()))


# -- lengths


def test_announced_length():
    """A stream under a given Content-Length has a length."""
    body = made(data=at_once())
    body.announce(4)
    assert body.length == 4
    assert read(body) == b"abcd"


@pytest.mark.parametrize(("announced", "found"), [(3, "at least 4"), (5, "has 4")])
def test_wrong_announcement(announced, found):
    """More or fewer bytes than announced is an error, and none beyond is given out."""
    body = made(data=at_once())
    body.announce(announced)
    with pytest.raises(BodyLengthMismatch, match=found):
        read(body)


def test_contradicting_announcement():
    """A Content-Length that is known to be wrong fails at the call."""
    with pytest.raises(InvalidRequest, match="7 was given for a body of 2"):
        made(data="ab").announce(7)


def test_file_cut_short(tmp_path):
    """A file that shrank since the call is an error, not a short upload."""
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    body = made(data=path)
    path.write_bytes(b"01234")
    with pytest.raises(BodyLengthMismatch, match=r"10 .* 5"):
        read(body)


def test_file_that_grew(tmp_path):
    """A log that grows is sent as long as it was at the call."""
    path = tmp_path / "x"
    path.write_bytes(b"01234")
    body = made(data=path)
    path.write_bytes(b"0123456789")
    assert read(body) == b"01234"


# -- ends


async def _leave_early(body):
    chunks = body.chunks()
    await chunks.__anext__()
    await body.close()
    with pytest.raises(StopAsyncIteration):
        await chunks.__anext__()


def open_files():
    return set(os.listdir("/proc/self/fd"))


def test_close_in_the_middle(tmp_path):
    """A pass left early leaves no file of ours open."""
    path = tmp_path / "x"
    path.write_bytes(bytes(3 * PIECE))

    async def main():
        await curio.run_in_thread(len, b"")  # threads and their descriptors exist from here on
        before = open_files()
        await _leave_early(made(data=path))
        assert open_files() == before

    curio.run(main)


@pytest.mark.parametrize("is_async", [False, True])
def test_close_runs_finally(is_async):
    """A generator left early runs its `finally`."""
    seen = []

    def now():
        try:
            yield b"a"
            yield b"b"
        finally:
            seen.append("end")

    async def then():
        try:
            yield b"a"
            yield b"b"
        finally:
            seen.append("end")

    curio.run(_leave_early(made(data=then() if is_async else now())))
    assert seen == ["end"]


def test_cancelled_read(tmp_path):
    """Cancelled while a slow disk is read: nothing stays open once the read returns."""
    fifo = tmp_path / "slow"
    os.mkfifo(fifo)

    async def main():
        await curio.run_in_thread(len, b"")
        before = open_files()
        body = made(data=fifo)
        task = await curio.spawn(body.chunks().__anext__)
        writing = await curio.run_in_thread(os.open, fifo, os.O_WRONLY)  # both ends are open now
        await task.cancel()
        os.write(writing, b"late")
        os.close(writing)
        while open_files() != before:
            await curio.sleep(0.001)

    with_limit = curio.timeout_after(60, main)
    curio.run(with_limit)


def test_repr():
    """The repr tells type and length, never content."""
    assert repr(made(data="secret")) == "<Body text/plain, 6 bytes>"
    assert repr(made(data=at_once())) == "<Body application/octet-stream, unknown length>"
