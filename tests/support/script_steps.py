"""The steps of a server script: each does one thing with one connection.

    [expect("GET", "/x"), send(b"HTTP/1.1 200 OK\\r\\n"), mark("half"), stall(), reset()]

A step blocks only the thread of its connection, and ends early when the client closes or the test
is over. `close`, `reset` and `tls_close` end the script.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable

from support.scripted_server import (
    POLL_INTERVAL,
    WAIT_TIMEOUT,
    ClientGone,
    PeerConnection,
    PeerStopped,
    Step,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def expect(method: str | None = None, target: str | None = None) -> Step:
    """Read one whole request; its method and target must be these, if given."""

    def step(connection: PeerConnection) -> None:
        request = connection.take_head()
        assert method in (None, request.method), f"expected {method}, got {request.raw!r}"
        assert target in (None, request.target), f"expected {target}, got {request.raw!r}"
        connection.take_body(request)

    return step


def expect_head() -> Step:
    """Read a request up to the blank line, not its body."""
    return lambda connection: discard(connection.take_head())


def expect_body() -> Step:
    """Read the body of the last request head."""
    return lambda connection: connection.take_body(connection.requests[-1])


def read(size: int) -> Step:
    """Read exactly `size` bytes."""
    return lambda connection: discard(connection.take(size))


def send(data: bytes | Callable[[PeerConnection], bytes]) -> Step:
    """Send these bytes, or the result of a function of the connection (to echo a request)."""
    return lambda connection: connection.put(data if isinstance(data, bytes) else data(connection))


def drip(data: bytes, size: int = 1, pause: float = 0.0) -> Step:
    """Send `data` in segments of `size` bytes, `pause` seconds apart."""

    def step(connection: PeerConnection) -> None:
        if connection.sock.family != getattr(socket, "AF_UNIX", None):
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            connection.put(data[start : start + size])
            time.sleep(pause)

    return step


def close() -> Step:
    """Close the connection now."""

    def step(connection: PeerConnection) -> None:
        connection.sock.close()
        raise PeerStopped

    return step


def reset() -> Step:
    """End the connection with RST: bytes that the client has not read are lost."""

    def step(connection: PeerConnection) -> None:
        linger = struct.pack("ii", 1, 0)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.sock.close()
        raise PeerStopped

    return step


def half_close() -> Step:
    """Send FIN, keep reading."""
    return lambda connection: connection.sock.shutdown(socket.SHUT_WR)


def tls_close() -> Step:
    """Send TLS close_notify, then close: the end of a response without a length."""

    def step(connection: PeerConnection) -> None:
        assert isinstance(connection.sock, ssl.SSLSocket)
        connection.sock.settimeout(0)
        with contextlib.suppress(OSError):  # does not wait for the client's close_notify
            connection.sock.unwrap()
        connection.sock.close()
        raise PeerStopped

    return step


def stall() -> Step:
    """Collect data until `Peer.release()`, or until the client closes."""

    def step(connection: PeerConnection) -> None:
        before = connection.sock.gettimeout()
        connection.sock.settimeout(POLL_INTERVAL)
        try:
            while not connection.peer.released.is_set():
                try:
                    data = connection.sock.recv(65536)
                except (TimeoutError, ssl.SSLWantReadError):
                    continue
                except (ConnectionError, ssl.SSLError) as error:
                    connection.client_closed = "reset"
                    raise ClientGone from error
                if not data:
                    connection.client_closed = "eof"
                    raise ClientGone
                connection.received += data
                connection.unread += data
            if connection.peer.stopping:
                raise PeerStopped
        finally:
            if connection.sock.fileno() >= 0:
                connection.sock.settimeout(before)

    return step


def stop_reading() -> Step:
    """Read nothing until `Peer.release()`: the client's sends fill the buffers and block."""
    return lambda connection: discard(connection.peer.released.wait(WAIT_TIMEOUT * 2))


def mark(name: str) -> Step:
    """Note that the script got here; a test waits for it with `await peer.reached(name)`."""
    return lambda connection: connection.peer._marks.append(name)


def repeat(*steps: Step, times: int | None = None) -> Step:
    """Repeat the steps until the client closes, or `times` times."""

    def step(connection: PeerConnection) -> None:
        done = 0
        while times is None or done < times:
            for inner in steps:
                inner(connection)
            done += 1

    return step


def discard(_: object) -> None:
    """Ignore a value, so that a lambda is a `Step`."""


FOREVER = repeat(expect(), send(OK))  # answers every request with 200
SERVING = [FOREVER]
