"""What the compiled kernel tells epoll, read from where Linux shows it: /proc/self/fdinfo."""

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

pytestmark = pytest.mark.skipif(not HAS_EPOLL, reason="epoll is Linux's")

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def own() -> Iterator[asks_fast.Kernel]:
    """Our kernel, running since before the test, so that only the test's files are new in it."""
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
    """What epoll holds: {descriptor: (events in hex, label)}."""
    with open(f"/proc/self/fdinfo/{kernel._selector.fileno()}") as info:
        rows = [line.split() for line in info if line.startswith("tfd:")]
    return {int(row[1]): (row[3], row[5]) for row in rows}


def is_quiet(kernel: asks_fast.Kernel) -> bool:
    """epoll has nothing to report: otherwise the kernel would turn round and round."""
    noise = select.poll()
    noise.register(kernel._selector.fileno(), select.POLLIN)
    return not noise.poll(0)


def of(kernel: asks_fast.Kernel, sock: socket.socket) -> tuple[str, str] | None:
    return registered(kernel).get(sock.fileno())


def test_waiting_again_registers_once(own: asks_fast.Kernel, pair: Pair) -> None:
    """A task that waits for the same file again and again is registered for the first time only."""
    near, far = pair
    file = _Fd(near.fileno())
    labels = set()

    async def main() -> None:
        for _ in range(5):
            far.send(b"x")
            await _read_wait(file)
            near.recv(1)
            labels.add(of(own, near))

    own.run(main)
    assert len(labels) == 1
    assert None not in labels


def test_registration_goes_from_task_to_task(own: asks_fast.Kernel, pair: Pair) -> None:
    """A connection that the next task takes over is still registered, at no cost."""
    near, far = pair
    file = _Fd(near.fileno())

    async def request() -> Any:
        far.send(b"x")
        await _read_wait(file)
        near.recv(1)
        return of(own, near)

    async def main() -> list[Any]:
        seen = []
        for _ in range(3):
            task = await curio.spawn(request)
            seen.append(await task.join())
            seen.append(of(own, near))
        return seen

    seen = own.run(main)
    assert len(set(seen)) == 1
    assert seen[0] is not None


def test_event_for_nobody_comes_once(own: asks_fast.Kernel, pair: Pair) -> None:
    """Data on a file that nobody waits for takes it out of epoll: no busy loop."""
    near, far = pair
    file = _Fd(near.fileno())

    async def main() -> None:
        far.send(b"x")
        await _read_wait(file)
        near.recv(1)
        await curio.sleep(0)
        assert of(own, near) is not None
        far.send(b"y")
        await curio.sleep(0)
        await curio.sleep(0)
        assert is_quiet(own)
        assert of(own, near) is None
        await _read_wait(file)
        assert near.recv(1) == b"y"

    own.run(main)


def test_writability_is_not_kept(own: asks_fast.Kernel, pair: Pair) -> None:
    """Nearly every socket is writable nearly always: that registration ends with the wait."""
    near, _ = pair
    file = _Fd(near.fileno())

    async def main() -> None:
        await _write_wait(file)
        await curio.sleep(0)
        assert of(own, near) is None

    own.run(main)


@pytest.mark.parametrize("kind", ["number", "reopening object"])
def test_unsteady_files_are_not_kept(own: asks_fast.Kernel, pair: Pair, kind: str) -> None:
    """A number, or an object that may reopen behind its fileno(), leaves epoll after the wait."""
    near, far = pair

    class Reopening:
        def fileno(self) -> int:
            return near.fileno()

    file = near.fileno() if kind == "number" else Reopening()

    async def main() -> None:
        far.send(b"x")
        await _read_wait(file)
        near.recv(1)  # or else the event for nobody would take it out
        if kind == "number":
            assert of(own, near) is None
        await curio.sleep(0)
        assert of(own, near) is None

    own.run(main)


def test_class_that_says_it_has_stable_fd_class(own: asks_fast.Kernel, pair: Pair) -> None:
    """`has_stable_fd = True` on a class keeps the registration of its objects."""
    near, far = pair

    class Steady:
        has_stable_fd = True

        def fileno(self) -> int:
            return near.fileno()

    async def main() -> None:
        far.send(b"x")
        await _read_wait(Steady())
        near.recv(1)
        await curio.sleep(0)
        assert of(own, near) is not None

    own.run(main)


def test_waited_for_files_are_not_kept_alive(own: asks_fast.Kernel) -> None:
    """A file object that nobody waits for any more belongs to its owner alone."""

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
        own.run(main, (near, far))


def test_release_takes_it_out(own: asks_fast.Kernel, pair: Pair) -> None:
    """curio's release of a file, which its sockets do before they close, unregisters it."""
    near, far = pair
    file = _Fd(near.fileno())

    async def main() -> None:
        far.send(b"x")
        await _read_wait(file)
        await _io_release(file)
        assert of(own, near) is None
        await _io_release(file)

    own.run(main)


def test_closed_while_registered(own: asks_fast.Kernel) -> None:
    """A socket closed without a word, a new one of the same number: the new one is waited for."""

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

    own.run(main)


def test_closed_while_registered_then_released(own: asks_fast.Kernel) -> None:
    """To release, or stop waiting for, a file that is closed already is no error."""

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

    own.run(main)


@pytest.mark.skipif(sys.platform != "linux", reason="needs os.fork and epoll")
def test_closed_file_that_lives_on_elsewhere(own: asks_fast.Kernel) -> None:
    """A closed socket whose twin in another process gets data makes no busy loop, wakes nobody.

    epoll goes on reporting it under its old number, which can't be used any more to take it out.
    """

    async def main() -> None:
        near, far = socket.socketpair()
        _copy_head = near.dup()  # as good as a forked process: the open file outlives our number
        number = near.fileno()
        far.send(b"x")
        await _read_wait(_Fd(number))
        near.recv(1)
        near.close()
        near, new_far = socket.socketpair()
        assert near.fileno() == number
        waiter = await curio.spawn(_read_wait, _Fd(number))
        await curio.sleep(0)
        far.send(b"for the twin")
        await curio.sleep(0)
        await curio.sleep(0)
        assert is_quiet(own)
        assert waiter.state == "READ_WAIT"
        new_far.send(b"y")
        await curio.timeout_after(60, waiter.join)
        for sock in (near, far, _copy_head, new_far):
            sock.close()

    own.run(main)


def test_same_twin_without_a_new_file(own: asks_fast.Kernel) -> None:
    """The same when the number was not taken again."""

    async def main() -> None:
        near, far = socket.socketpair()
        with near.dup(), far:
            far.send(b"x")
            await _read_wait(_Fd(near.fileno()))
            near.recv(1)
            near.close()
            far.send(b"for the twin")
            await curio.sleep(0)
            await curio.sleep(0)
            assert is_quiet(own)
        assert await curio.run_in_thread(int, "7") == 7  # the kernel's own socket survived it

    own.run(main)


def test_hang_up_wakes_both_sides(own: asks_fast.Kernel, pair: Pair) -> None:
    """The end of a connection wakes its reader and its writer."""
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
        assert own._selector.get_key(file).data == (reader, writer)
        assert set(own._selector.get_map()) >= {near.fileno()}
        far.close()
        await curio.timeout_after(60, reader.join)
        await curio.timeout_after(60, writer.join)
        assert await _io_waiting(file) == (None, None)

    own.run(main)


def test_two_readers_are_refused(own: asks_fast.Kernel, pair: Pair) -> None:
    """One reader and one writer per file; the second gets curio's error and may go on."""
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

    own.run(main)


def test_file_that_cannot_be_waited_for(own: asks_fast.Kernel) -> None:
    """An error of the task that asked; curio's own kernel dies of it."""

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

    own.run(main)


def test_selector_is_shown_for_reading(own: asks_fast.Kernel) -> None:
    """`Kernel._selector` tells its state."""
    own.run(curio.sleep, 0)
    assert repr(own._selector).endswith("1 descriptors waited for>")
    own.run(shutdown=True)
    assert repr(own._selector) == "<Epoll closed>"
    own._selector.close()
