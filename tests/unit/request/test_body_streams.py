"""Bodies from iterables, announced lengths, and passes that are left early."""

from __future__ import annotations

import array
import os

import curio
import pytest
from support.bodies import at_once, later, made, read

from asks_fast._request.body_source import CHUNK_SIZE
from asks_fast.errors import BodyLengthMismatch, UnreplayableBody


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


@pytest.mark.parametrize("again", [Again, AgainLater], ids=["sync", "async"])
def test_iterable(again):
    """An iterable is streamed without empty chunks, and iterated again to be sent again."""
    body = made(data=again())
    assert (body.length, body.content_type) == (None, "application/octet-stream")
    assert body.is_replayable
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
    """A generator is sent once; a second pass raises UnreplayableBody."""
    body = made(data=once())
    body.chunks()  # nothing was read yet: a connection that could not be made costs nothing
    assert body.is_replayable
    assert read(body) == b"abcd"
    assert not body.is_replayable
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
    """A chunk that is not bytes raises a TypeError with its type and source."""

    def now():
        yield wrong

    async def then():
        yield wrong

    with pytest.raises(TypeError, match=f"returned {type(wrong).__name__}"):
        read(made(data=then() if is_async else now()))


def test_error_of_the_generator():
    """An exception of the user's generator is raised unchanged."""

    def failing():
        yield b"x"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        read(made(data=failing()))


# -- lengths


def test_announced_length():
    """A stream under a given Content-Length has a length."""
    body = made(data=at_once())
    body.set_length(4)
    assert body.length == 4
    assert read(body) == b"abcd"


@pytest.mark.parametrize(("announced", "found"), [(3, "at least 4"), (5, "has 4")])
def test_wrong_announcement(announced, found):
    """More or fewer bytes than announced raise, and no byte beyond is returned."""
    body = made(data=at_once())
    body.set_length(announced)
    with pytest.raises(BodyLengthMismatch, match=found):
        read(body)


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
    """A pass that is closed early closes its file."""
    path = tmp_path / "x"
    path.write_bytes(bytes(3 * CHUNK_SIZE))

    async def main():
        await curio.run_in_thread(len, b"")  # threads and their descriptors exist from here on
        before = open_files()
        await _leave_early(made(data=path))
        assert open_files() == before

    curio.run(main)


@pytest.mark.parametrize("is_async", [False, True])
def test_close_runs_finally(is_async):
    """A generator that is closed early runs its `finally`."""
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
    """After cancellation during a slow disk read, the file is closed when the read returns."""
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
