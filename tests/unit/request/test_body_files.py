"""Bodies from files: paths, open files, pipes, asynchronous files; their lengths and types."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tempfile
from pathlib import Path

import curio
import pytest
from support.bodies import made, read

from asks_fast._request.body import make_body
from asks_fast._request.body_source import CHUNK_SIZE
from asks_fast.errors import BodyLengthMismatch, UnreplayableBody


def test_path(tmp_path):
    """A path is streamed from disk with its length known and can be sent again."""
    path = tmp_path / "photo.png"
    content = os.urandom(3 * CHUNK_SIZE + 17)
    path.write_bytes(content)
    body = made(data=path)
    assert (body.length, body.content_type, body.buffered) == (len(content), "image/png", None)
    assert read(body) == content
    assert read(body) == content


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs /dev/shm")
def test_path_in_memory():
    """A path is streamed on a file system without RWF_NOWAIT."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        path = Path(directory, "x")
        content = os.urandom(3 * CHUNK_SIZE + 17)
        path.write_bytes(content)
        body = made(data=path)
        assert read(body) == read(body) == content


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="needs posix_fadvise")
@pytest.mark.parametrize("lag", [0, CHUNK_SIZE, CHUNK_SIZE + 100])
def test_path_partly_in_memory(tmp_path, lag):
    """Cached data is read from the cache, the rest from the disk, in order."""
    path = tmp_path / "x"
    content = os.urandom(5 * CHUNK_SIZE + 17)
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
    """A .tar.gz is sent as application/gzip."""
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"x")
    assert made(data=path).content_type == "application/gzip"


@pytest.mark.parametrize("skip", [0, 5])
def test_open_file(tmp_path, skip):
    """An open file is sent from its position, can be sent again, and stays open."""
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
    """Data written but not flushed is sent."""
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
    """Files in /proc report 0 bytes; their content is sent."""
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
    """A file in text mode raises TypeError at the call."""
    path = tmp_path / "x"
    path.touch()
    with path.open("r") as file, pytest.raises(TypeError, match="'rb'"):
        make_body(data=file)
    with pytest.raises(TypeError, match="'rb'"):
        make_body(data=io.StringIO("x"))
    with tempfile.NamedTemporaryFile("w+") as file, pytest.raises(TypeError, match="'rb'"):
        make_body(data=file)


def test_write_only_file(tmp_path):
    """A file that is not readable raises at the call."""
    with (tmp_path / "x").open("wb") as file, pytest.raises(TypeError, match="reading"):
        make_body(data=file)


def test_closed_file(tmp_path):
    """A closed file raises at the call."""
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
