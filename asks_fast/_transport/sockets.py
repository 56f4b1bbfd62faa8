"""Sockets as this package wants them: non-blocking, closed on exec, without delay.

Facts:  Python makes every socket non-inheritable; on Linux the non-blocking bit is set in the same
        call. A non-blocking connect is over when the socket is writable; `SO_ERROR` says how.
Rules:  addresses are numeric, so that nothing here can wait for a name. Each socket is closed on
        any `BaseException`, after the kernel has let go of its descriptor: a number still
        registered there would be mistaken for the next file of that number.
Not here: names, TLS, which of several addresses to take.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import curio

from .._curio import io_release, write_wait
from ..errors import InvalidRequest

SocketOption = tuple[int, int, int | bytes]

__all__ = [
    "Address",
    "Descriptor",
    "SocketSettings",
    "close_socket",
    "connect_unix",
    "finish_connect",
    "raise_connect_error",
    "start_connect",
]

Address = tuple[int, tuple[str, int] | tuple[str, int, int, int]]
"""Family and the numeric address as `socket.connect` wants it."""

_UNDERWAY = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK, errno.EINTR})
_ARRIVED = frozenset({0, errno.EISCONN})
_IP_BIND_ADDRESS_NO_PORT = 24  # of Linux; Python names it since 3.12
_UNIX_QUEUE_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK})
_UNIX_RETRY_SECONDS = 0.005
_UNIX_PATIENCE_SECONDS = 10.0


class Descriptor:
    """Stands for an open file in a wait. Curio's kernel asks for the repr of what it does not know
    yet, and that of a socket takes two system calls."""

    __slots__ = ("_fd",)

    has_stable_fd = True  # to our kernel: one open file all its life

    def __init__(self, file: Any) -> None:
        self._fd: int = file.fileno()

    def fileno(self) -> int:
        """The number, also after the file was closed: to be released before that."""
        return self._fd


def _keepalive_options(idle: int, interval: int, count: int) -> list[SocketOption]:
    options: list[SocketOption] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    # Linux calls the first TCP_KEEPIDLE, macOS TCP_KEEPALIVE (0x10, named since Python 3.10).
    for names, value in (
        (("TCP_KEEPIDLE", "TCP_KEEPALIVE"), idle),
        (("TCP_KEEPINTVL",), interval),
        (("TCP_KEEPCNT",), count),
    ):
        for name in names:
            if hasattr(socket, name):
                options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
                break
    return options


@dataclass(frozen=True, slots=True)
class SocketSettings:
    """What is set on each TCP socket before it connects.

    `keepalive` is the seconds of silence before the first probe (then every quarter of that, four
    times, until the connection counts as dead), or None for no probes. `options` are
    `(level, option, value)` for `setsockopt`, applied last.
    """

    keepalive: float | None = 60.0
    options: tuple[SocketOption, ...] = ()

    def __post_init__(self) -> None:
        if self.keepalive is not None and self.keepalive <= 0:
            raise InvalidRequest(f"keepalive= takes seconds above 0, not {self.keepalive!r}")

    def tcp_options(self) -> list[SocketOption]:
        """All options for a TCP socket, in the order to set them."""
        options: list[SocketOption] = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        if self.keepalive is not None:
            idle = max(1, round(self.keepalive))
            options += _keepalive_options(idle, max(1, idle // 4), 4)
        return options + list(self.options)


def _new_socket(family: int) -> socket.socket:
    # SOCK_NONBLOCK saves Linux a call; elsewhere setblocking does it.
    sock = socket.socket(family, socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0))
    sock.setblocking(False)
    return sock


def start_connect(
    address: Address,
    options: Iterable[SocketOption],
    source_address: tuple[str, int] | None = None,
) -> tuple[socket.socket, bool]:
    """A socket on its way to `address`, and whether it has arrived already.

    Raises OSError, with nothing left open, where that cannot even begin: the network is
    unreachable, no descriptor is left, an option or the local address is refused.
    """
    family, target = address
    sock = _new_socket(family)
    try:
        for level, option, value in options:
            sock.setsockopt(level, option, value)
        if source_address is not None:
            _bind(sock, source_address)
        code = sock.connect_ex(target)
        if code in _UNDERWAY:
            code = sock.connect_ex(target)  # on this machine it has arrived by now
        if code not in _ARRIVED and code not in _UNDERWAY:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock, code in _ARRIVED


def _bind(sock: socket.socket, source_address: tuple[str, int]) -> None:
    host, port = source_address
    if (sock.family == socket.AF_INET6) != (":" in host):
        raise OSError(errno.EAFNOSUPPORT, f"source_address {host} is of the other family")
    if not port and sys.platform == "linux":
        # The port is then chosen per destination: thousands of connections share one address.
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((host, port))


async def finish_connect(sock: socket.socket) -> None:
    """Wait until the connect begun on `sock` is over; raises OSError if it failed.

    Does not close the socket; cancelled, it leaves the connect going on.
    """
    await write_wait(Descriptor(sock))
    raise_connect_error(sock)


def raise_connect_error(sock: socket.socket) -> None:
    """Raise the OSError that the finished connect on `sock` ended with, if any."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


async def close_socket(sock: socket.socket) -> None:
    """Close `sock` after curio's kernel has let go of it. Never waits, is never cancelled."""
    await io_release(sock)
    sock.close()


async def connect_unix(path: str | bytes) -> socket.socket:
    """A connected socket on the Unix socket at `path` (Linux: also abstract, with a leading NUL).

    Raises OSError. A full queue of the server is waited for, at most ten seconds: unlike TCP,
    such a connect does not go on by itself. Cancelled, it leaves nothing open.
    """
    deadline = time.monotonic() + _UNIX_PATIENCE_SECONDS
    while True:
        sock = _new_socket(socket.AF_UNIX)
        try:
            code = sock.connect_ex(path)
            if not code:
                return sock
            if code in _UNIX_QUEUE_FULL and time.monotonic() < deadline:
                await curio.sleep(_UNIX_RETRY_SECONDS)
            elif code == errno.EINPROGRESS:
                await finish_connect(sock)
                return sock
            else:
                raise OSError(code, os.strerror(code))
        except BaseException:
            await close_socket(sock)
            raise
        sock.close()
