"""One open file, known to the kernel by two objects, one after the other."""

from __future__ import annotations

import socket

import curio
from curio.traps import _read_wait, _write_wait

import asks_fast


class Name:
    """An object that stands for a socket by its number."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def fileno(self) -> int:
        return self.sock.fileno()


def test_a_wait_by_another_object_of_the_same_file_is_registered() -> None:
    """A task that waited to write on a socket, and then waits to read by another name, wakes."""
    near, far = socket.socketpair()

    async def main() -> bytes:
        await _write_wait(near)
        other = Name(near)
        sender = await curio.spawn(far_end)
        async with curio.timeout_after(5):
            await _read_wait(other)
        await sender.join()
        return near.recv(10)

    async def far_end() -> None:
        far.send(b"here")

    with near, far:
        assert asks_fast.run(main) == b"here"
