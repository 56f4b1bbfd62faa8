"""Create and connect non-blocking sockets.

Python makes every socket non-inheritable. A non-blocking connect is complete when the socket is
writable; `SO_ERROR` then has its result. Addresses are numeric, so nothing here resolves a name.

A socket is closed on any `BaseException`, after the kernel has released its descriptor. A number
that stays registered would be mistaken for the next file with that number.

TLS is implemented in `tls`, the choice among several addresses in `happy_eyeballs`.
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
"""The address family, and the numeric address as `socket.connect` takes it."""

_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK, errno.EINTR})
_CONNECTED = frozenset({0, errno.EISCONN})
_IP_BIND_ADDRESS_NO_PORT = 24  # of Linux; Python names it since 3.12
_UNIX_QUEUE_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK})
_UNIX_RETRY_INTERVAL = 0.005
_UNIX_CONNECT_TIMEOUT = 10.0


class Descriptor:
    """The descriptor of an open file, as an object to wait for.

    curio's kernel takes the repr of each new object; the repr of a socket costs two system calls.
    """

    __slots__ = ("_fd",)

    has_stable_fd = True  # for our kernel: the same open file as long as it exists

    def __init__(self, file: Any) -> None:
        self._fd: int = file.fileno()

    def fileno(self) -> int:
        """Return the number, also after the file was closed."""
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
    """The options that each TCP socket gets before it connects.

    Attributes:
        keepalive: seconds without data before the first probe; None sends none. Four more follow,
            a quarter of that time apart, then the connection counts as lost.
        options: `(level, option, value)` for `setsockopt`, set last.
    """

    keepalive: float | None = 60.0
    options: tuple[SocketOption, ...] = ()

    def __post_init__(self) -> None:
        if self.keepalive is not None and self.keepalive <= 0:
            raise InvalidRequest(f"keepalive= must be more than 0 seconds, not {self.keepalive!r}")

    def tcp_options(self) -> list[SocketOption]:
        """Return all options for a TCP socket, in the order to set them."""
        options: list[SocketOption] = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        if self.keepalive is not None:
            idle = max(1, round(self.keepalive))
            options += _keepalive_options(idle, max(1, idle // 4), 4)
        return options + list(self.options)


def _new_socket(family: int) -> socket.socket:
    # SOCK_NONBLOCK saves a system call on Linux.
    sock = socket.socket(family, socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0))
    sock.setblocking(False)
    return sock


def start_connect(
    address: Address,
    options: Iterable[SocketOption],
    source_address: tuple[str, int] | None = None,
) -> tuple[socket.socket, bool]:
    """Start to connect to `address`. Return the socket and whether it is connected already.

    Raises `OSError` and closes the socket if the connect cannot begin: the network is
    unreachable, no descriptor is available, or an option or the local address is invalid.
    """
    family, target = address
    sock = _new_socket(family)
    try:
        for level, option, value in options:
            sock.setsockopt(level, option, value)
        if source_address is not None:
            _bind(sock, source_address)
        code = sock.connect_ex(target)
        if code in _IN_PROGRESS:
            code = sock.connect_ex(target)  # on loopback it is connected by now
        if code not in _CONNECTED and code not in _IN_PROGRESS:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock, code in _CONNECTED


def _bind(sock: socket.socket, source_address: tuple[str, int]) -> None:
    host, port = source_address
    if (sock.family == socket.AF_INET6) != (":" in host):
        raise OSError(errno.EAFNOSUPPORT, f"source_address {host} has another address family")
    if not port and sys.platform == "linux":
        # The port is then chosen per destination, so more connections can share one address.
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((host, port))


async def finish_connect(sock: socket.socket) -> None:
    """Wait until the connect of `sock` is complete. Raises `OSError` if it failed.

    Does not close the socket. If cancelled, the connect continues.
    """
    await write_wait(Descriptor(sock))
    raise_connect_error(sock)


def raise_connect_error(sock: socket.socket) -> None:
    """Raise the `OSError` of the completed connect of `sock`, if it failed."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


async def close_socket(sock: socket.socket) -> None:
    """Close `sock` after the kernel has released it. Does not wait, so it is never cancelled."""
    await io_release(sock)
    sock.close()


async def connect_unix(path: str | bytes) -> socket.socket:
    """Connect to the Unix socket at `path` (on Linux also an abstract one, with a leading NUL).

    If the queue of the server is full, the connect is repeated for up to ten seconds: unlike with
    TCP, it does not proceed by itself. Raises `OSError`. If cancelled, it leaves nothing open.
    """
    deadline = time.monotonic() + _UNIX_CONNECT_TIMEOUT
    while True:
        sock = _new_socket(socket.AF_UNIX)
        try:
            code = sock.connect_ex(path)
            if not code:
                return sock
            if code in _UNIX_QUEUE_FULL and time.monotonic() < deadline:
                await curio.sleep(_UNIX_RETRY_INTERVAL)
            elif code == errno.EINPROGRESS:
                await finish_connect(sock)
                return sock
            else:
                raise OSError(code, os.strerror(code))
        except BaseException:
            await close_socket(sock)
            raise
        sock.close()
