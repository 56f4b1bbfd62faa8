"""Connect to the first of several addresses that accepts: Happy Eyeballs (RFC 8305).

A non-blocking connect proceeds by itself; the task waits only for its completion. A selector has a
descriptor that can be waited for, so one task can watch any number of attempts.

- Address families alternate, beginning with the first address of the resolver.
- The next attempt starts when one fails, or after `delay` seconds.
- The first connection wins. All other sockets are closed, and all of them on any `BaseException`.
- A single address needs no timer.

Name resolution is implemented in `dns_cache`, single connects in `sockets`.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .._curio import io_release, read_wait
from .._deadlines import ignore_after
from ..errors import ConnectionFailed
from .sockets import Address, close_socket, finish_connect, raise_connect_error, start_connect

if TYPE_CHECKING:
    from .sockets import SocketOption

__all__ = ["ATTEMPT_DELAY", "connect_to_any", "interleave"]

ATTEMPT_DELAY = 0.25  # seconds


def interleave(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses with alternating families, the first one's first (RFC 8305 §4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    if len(families) == 1:
        return families.popitem()[1]
    queues = [list(reversed(queue)) for queue in families.values()]
    mixed = []
    while queues:
        for queue in queues:
            mixed.append(queue.pop())
        queues = [queue for queue in queues if queue]
    return mixed


async def connect_to_any(
    addresses: Sequence[Address],
    *,
    options: Sequence[SocketOption] = (),
    source_address: tuple[str, int] | None = None,
    delay: float = ATTEMPT_DELAY,
    target: str = "",
) -> socket.socket:
    """Return a socket connected to one of `addresses`. If cancelled, it leaves nothing open.

    Args:
        addresses: numeric addresses, at least one.
        options: `(level, option, value)` tuples for `setsockopt`.
        source_address: the local IP address and port.
        delay: seconds before the next address is tried as well.
        target: the name of the destination, for errors.

    Raises:
        ConnectionFailed: lists each address and the reason of its failure.
    """
    race = _ConnectRace(options, source_address, target)
    try:
        return await race.run(interleave(addresses), delay)
    finally:
        await race.close_losers()


class _ConnectRace:
    """The connection attempts to one target that run at the same time."""

    def __init__(
        self,
        options: Sequence[SocketOption],
        source_address: tuple[str, int] | None,
        target: str,
    ) -> None:
        self._options = options
        self._source_address = source_address
        self._target = target
        self._running: dict[socket.socket, Address] = {}
        self._failures: list[tuple[Address, OSError]] = []
        self._selector: selectors.BaseSelector | None = None  # from the second attempt on

    async def run(self, addresses: list[Address], delay: float) -> socket.socket:
        for index, address in enumerate(addresses):
            winner = self._start(address)
            if winner is None and self._running:
                is_last = index == len(addresses) - 1
                winner = await self._wait(None if is_last else delay)
            if winner is not None:
                return winner
        while self._running:
            winner = await self._wait(None)
            if winner is not None:
                return winner
        raise ConnectionFailed(self._describe_failures()) from self._failures[-1][1]

    def _start(self, address: Address) -> socket.socket | None:
        try:
            sock, is_connected = start_connect(address, self._options, self._source_address)
        except OSError as error:
            self._failures.append((address, error))
            return None
        if is_connected:
            return sock
        self._running[sock] = address
        if self._selector is not None:
            self._selector.register(sock, selectors.EVENT_WRITE)
        return None

    async def _wait(self, seconds: float | None) -> socket.socket | None:
        """Wait until an attempt succeeds (returned), one fails, or `seconds` have passed."""
        return await ignore_after(seconds, self._next_outcome())

    async def _next_outcome(self) -> socket.socket | None:
        if len(self._running) == 1:
            (sock,) = self._running
            try:
                await finish_connect(sock)
            except OSError as error:
                await self._fail(sock, error)
                return None
            return self._take(sock)
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            for sock in self._running:
                self._selector.register(sock, selectors.EVENT_WRITE)
        await read_wait(self._selector)
        for key, _ in self._selector.select(0):
            ready: Any = key.fileobj
            try:
                raise_connect_error(ready)
            except OSError as error:
                await self._fail(ready, error)
            else:
                return self._take(ready)
        return None

    def _take(self, sock: socket.socket) -> socket.socket:
        del self._running[sock]
        if self._selector is not None:
            self._selector.unregister(sock)
        return sock

    async def _fail(self, sock: socket.socket, error: OSError) -> None:
        self._failures.append((self._running.pop(sock), error))
        if self._selector is not None:
            self._selector.unregister(sock)
        await close_socket(sock)

    async def close_losers(self) -> None:
        """Close the sockets of all other attempts."""
        if self._selector is not None:
            await io_release(self._selector)
            self._selector.close()
        while self._running:
            await close_socket(self._running.popitem()[0])

    def _describe_failures(self) -> str:
        tried = "; ".join(
            f"{_format_address(address)}: {error.strerror or error}"
            for address, error in self._failures
        )
        return f"could not connect to {self._target or 'any address'} ({tried})"


def _format_address(address: Address) -> str:
    host, port = address[1][:2]
    return f"[{host}]:{port}" if address[0] == socket.AF_INET6 else f"{host}:{port}"
