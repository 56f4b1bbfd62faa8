"""The registrations in epoll, read from /proc/self/fdinfo."""

from __future__ import annotations

import os
import select
import socket
import sys
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import curio
import pytest
from curio.io import _Fd
from curio.traps import _io_release, _io_waiting, _read_wait, _write_wait

import asks_fast
from asks_fast._kernel import HAS_EPOLL

pytestmark = pytest.mark.skipif(not HAS_EPOLL, reason="needs epoll")

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def kernel() -> Iterator[asks_fast.Kernel]:
    """A kernel that has run once, so that only the test's files are new in epoll."""
    with asks_fast.Kernel() as kernel:
        kernel.run(curio.sleep, 0)
        yield kernel


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield near, far


def registered(kernel: asks_fast.Kernel) -> dict[int, tuple[str, str]]:
    """The registrations in epoll: {descriptor: (events in hex, user data)}."""
    with open(f"/proc/self/fdinfo/{kernel._selector.fileno()}") as info:
        rows = [line.split() for line in info if line.startswith("tfd:")]
    return {int(row[1]): (row[3], row[5]) for row in rows}


def is_quiet(kernel: asks_fast.Kernel) -> bool:
    """Whether epoll has no event to report, which would be a busy loop."""
    poll = select.poll()
    poll.register(kernel._selector.fileno(), select.POLLIN)
    return not poll.poll(0)


def registration(kernel: asks_fast.Kernel, sock: socket.socket) -> tuple[str, str] | None:
    return registered(kernel).get(sock.fileno())


def test_waiting_again_registers_once(kernel: asks_fast.Kernel, pair: Pair) -> None:
    """A task that waits for the same file repeatedly is registered once."""
    near, far = pair
    file = _Fd(near.fileno())
    labels = set()

    async def main() -> None:
        for _ in range(5):
            far.send(b"x")
            await _read_wait(file)
            near.recv(1)
            labels.add(registration(kernel, near))

    kernel.run(main)
    assert len(labels) == 1
    assert None not in labels


def test_registration_passes_to_next_task(kernel: asks_fast.Kernel, pair: Pair) -> None:
    """The registration of a file stays when another task waits for it."""
    near, far = pair
    file = _Fd(near.fileno())

    async def request() -> Any:
        far.send(b"x")
        await _read_wait(file)
        near.recv(1)
        return registration(kernel, near)

    async def main() -> list[Any]:
        seen = []
        for _ in range(3):
            task = await curio.spawn(request)
            seen.append(await task.join())
            seen.append(registration(kernel, near))
        return seen

    seen = kernel.run(main)
    assert len(set(seen)) == 1
    assert seen[0] is not None


def test_unwanted_event_comes_once(kernel: asks_fast.Kernel, pair: Pair) -> None:
    """An event that no task waits for removes the registration, so there is no busy loop."""
    near, far = pair
    file = _Fd(near.fileno())

    async def main() -> None:
        far.send(b"x")
        await _read_wait(file)
        near.recv(1)
        await curio.sleep(0)
        assert registration(kernel, near) is not None
        far.send(b"y")
        await curio.sleep(0)
        await curio.sleep(0)
        assert is_quiet(kernel)
        assert registration(kernel, near) is None
        await _read_wait(file)
        assert near.recv(1) == b"y"

    kernel.run(main)


def test_registration_for_writing_is_not_kept(kernel: asks_fast.Kernel, pair: Pair) -> None:
    """A registration for writing ends with the wait, because most sockets are always writable."""
    near, _ = pair
    file = _Fd(near.fileno())

    async def main() -> None:
        await _write_wait(file)
        await curio.sleep(0)
        assert registration(kernel, near) is None

    kernel.run(main)


@pytest.mark.parametrize("kind", ["integer", "reopening_object"])
def test_files_without_stable_fd_are_deregistered(
    kernel: asks_fast.Kernel, pair: Pair, kind: str
) -> None:
    """The registration of an integer, or of an object that may reopen, ends with the wait."""
    near, far = pair

    class Reopening:
        def fileno(self) -> int:
            return near.fileno()

    file = near.fileno() if kind == "integer" else Reopening()

    async def main() -> None:
        far.send(b"x")
        await _read_wait(file)
        near.recv(1)  # otherwise the unwanted event would remove it
        if kind == "integer":
            assert registration(kernel, near) is None
        await curio.sleep(0)
        assert registration(kernel, near) is None

    kernel.run(main)


def test_class_with_has_stable_fd(kernel: asks_fast.Kernel, pair: Pair) -> None:
    """`has_stable_fd = True` on a class keeps the registration of its objects."""
    near, far = pair

    class Stable:
        has_stable_fd = True

        def fileno(self) -> int:
            return near.fileno()

    async def main() -> None:
        far.send(b"x")
        await _read_wait(Stable())
        near.recv(1)
        await curio.sleep(0)
        assert registration(kernel, near) is not None

    kernel.run(main)


def test_files_are_not_kept_alive(kernel: asks_fast.Kernel) -> None:
    """The kernel does not keep a file object alive after the wait."""

    class File:
        def __init__(self, sock: socket.socket) -> None:
            self.fileno = sock.fileno

    async def main(pair: Pair) -> None:
        near, far = pair
        file = File(near)
        gone = weakref.ref(file)
        far.send(b"x")
        await _read_wait(file)
        await curio.sleep(0)
        del file
        assert gone() is None

    near, far = socket.socketpair()
    with near, far:
        kernel.run(main, (near, far))


def test_release_ends_registration(kernel: asks_fast.Kernel, pair: Pair) -> None:
    """`_io_release`, which curio's sockets call before they close, ends the registration."""
    near, far = pair
    file = _Fd(near.fileno())

    async def main() -> None:
        far.send(b"x")
        await _read_wait(file)
        await _io_release(file)
        assert registration(kernel, near) is None
        await _io_release(file)

    kernel.run(main)


def test_closed_while_registered(kernel: asks_fast.Kernel) -> None:
    """A new socket gets the number of a closed one that was not released: its events arrive."""

    async def main() -> None:
        numbers = set()
        for _ in range(20):
            near, far = socket.socketpair()
            near.setblocking(False)
            with near, far:
                numbers.add(near.fileno())
                far.send(b"x")
                await curio.timeout_after(60, _read_wait, _Fd(near.fileno()))
                assert near.recv(1) == b"x"
        assert len(numbers) == 1

    kernel.run(main)


def test_closed_while_registered_then_released(kernel: asks_fast.Kernel) -> None:
    """Releasing a closed file, or cancelling a wait for it, is not an error."""

    async def main() -> None:
        near, far = socket.socketpair()
        with far:
            file = _Fd(near.fileno())
            far.send(b"x")
            await _read_wait(file)
            near.close()
            await _io_release(file)
            await _io_release(_Fd(-1))
            assert await _io_waiting(_Fd(-1)) == (None, None)

        near, far = socket.socketpair()
        with far:
            task = await curio.spawn(_read_wait, _Fd(near.fileno()))
            await curio.sleep(0)
            near.close()
            await task.cancel()

    kernel.run(main)


@pytest.mark.skipif(sys.platform != "linux", reason="needs os.fork and epoll")
def test_closed_file_with_duplicate(kernel: asks_fast.Kernel) -> None:
    """Events of a closed socket with a duplicate wake no task and make no busy loop.

    epoll reports them under the old descriptor, which cannot be used to remove it any more.
    """

    async def main() -> None:
        near, far = socket.socketpair()
        duplicate = near.dup()  # like a forked process: it keeps the open file
        number = near.fileno()
        far.send(b"x")
        await _read_wait(_Fd(number))
        near.recv(1)
        near.close()
        near, new_far = socket.socketpair()
        assert near.fileno() == number
        waiter = await curio.spawn(_read_wait, _Fd(number))
        await curio.sleep(0)
        far.send(b"for the duplicate")
        await curio.sleep(0)
        await curio.sleep(0)
        assert is_quiet(kernel)
        assert waiter.state == "READ_WAIT"
        new_far.send(b"y")
        await curio.timeout_after(60, waiter.join)
        for sock in (near, far, duplicate, new_far):
            sock.close()

    kernel.run(main)


def test_closed_file_with_duplicate_and_no_new_file(kernel: asks_fast.Kernel) -> None:
    """The same if no new file has the old number."""

    async def main() -> None:
        near, far = socket.socketpair()
        with near.dup(), far:
            far.send(b"x")
            await _read_wait(_Fd(near.fileno()))
            near.recv(1)
            near.close()
            far.send(b"for the duplicate")
            await curio.sleep(0)
            await curio.sleep(0)
            assert is_quiet(kernel)
        assert await curio.run_in_thread(int, "7") == 7  # the kernel's own socket still works

    kernel.run(main)


def test_hang_up_wakes_both_sides(kernel: asks_fast.Kernel, pair: Pair) -> None:
    """A hang-up wakes the reader and the writer."""
    near, far = pair
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    while True:
        try:
            near.send(bytes(65536))
        except BlockingIOError:
            break

    async def main() -> None:
        file = _Fd(near.fileno())
        reader = await curio.spawn(_read_wait, file)
        writer = await curio.spawn(_write_wait, file)
        await curio.sleep(0)
        assert await _io_waiting(file) == (reader, writer)
        assert kernel._selector.get_key(file).data == (reader, writer)
        assert set(kernel._selector.get_map()) >= {near.fileno()}
        far.close()
        await curio.timeout_after(60, reader.join)
        await curio.timeout_after(60, writer.join)
        assert await _io_waiting(file) == (None, None)

    kernel.run(main)


def test_second_reader_is_rejected(kernel: asks_fast.Kernel, pair: Pair) -> None:
    """A second reader of a file gets curio's error and can go on."""
    near, _ = pair

    async def main() -> None:
        first = await curio.spawn(_read_wait, _Fd(near.fileno()))
        await curio.sleep(0)
        with pytest.raises(curio.ReadResourceBusy):
            await _read_wait(_Fd(near.fileno()))
        await _write_wait(_Fd(near.fileno()))
        await first.cancel()
        with pytest.raises(curio.TaskTimeout):
            await curio.timeout_after(0.01, _read_wait, _Fd(near.fileno()))

    kernel.run(main)


def test_file_that_cannot_be_waited_for(kernel: asks_fast.Kernel) -> None:
    """A file that cannot be waited for raises in the task; it does not end the kernel."""

    async def main() -> None:
        with tempfile.TemporaryFile() as file, pytest.raises(PermissionError):
            await _read_wait(file)
        with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
            await _read_wait(-1)
        with pytest.raises(ValueError, match="Invalid file object"):
            await _read_wait("a string")
        spare = os.dup(0)
        os.close(spare)
        with pytest.raises(OSError, match="Bad file descriptor"):
            await _read_wait(spare)

    kernel.run(main)


def test_selector_repr(kernel: asks_fast.Kernel) -> None:
    """The repr of `Kernel._selector` shows its state."""
    kernel.run(curio.sleep, 0)
    assert repr(kernel._selector).endswith("1 descriptors waited for>")
    kernel.run(shutdown=True)
    assert repr(kernel._selector) == "<Epoll closed>"
    kernel._selector.close()
