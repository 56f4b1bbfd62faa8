"""Waits for one open file through two file objects, one after the other."""

from __future__ import annotations

import socket

import curio
from curio.traps import _read_wait, _write_wait

import asks_fast


class OtherFile:
    """A second file object for a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def fileno(self) -> int:
        return self.sock.fileno()


def test_wait_through_second_file_object() -> None:
    """A task waits to write, then to read through another file object, and wakes both times."""
    near, far = socket.socketpair()

    async def main() -> bytes:
        await _write_wait(near)
        other = OtherFile(near)
        sender = await curio.spawn(far_end)
        async with curio.timeout_after(5):
            await _read_wait(other)
        await sender.join()
        return near.recv(10)

    async def far_end() -> None:
        far.send(b"here")

    with near, far:
        assert asks_fast.run(main) == b"here"
