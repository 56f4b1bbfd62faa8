"""Send and receive on a socket before it belongs to an exchange: for CONNECT and SOCKS.

A non-blocking plain socket that is not ready raises `BlockingIOError`, a TLS socket
`SSLWantReadError` or `SSLWantWriteError`: then the call is repeated when the socket is ready.
No function reads more than it was asked for, and none closes the socket.

An exchange does its own I/O in the compiled code.
"""

from __future__ import annotations

from typing import Protocol

from .._curio import read_wait, write_wait
from .sockets import Descriptor

__all__ = ["StreamSocket", "receive", "receive_exactly", "send_all"]


class StreamSocket(Protocol):
    """A non-blocking stream: `socket.socket`, `ssl.SSLSocket` or `tls_in_tls.TlsOverTls`."""

    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: memoryview, /) -> int: ...
    def fileno(self) -> int: ...


async def send_all(sock: StreamSocket, data: bytes) -> None:
    """Send all of `data`. If cancelled, a part of it may have been sent. Raises `OSError`."""
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            await write_wait(Descriptor(sock))
        except OSError as error:
            await _wait_for_tls(sock, error)


async def receive(sock: StreamSocket, size: int) -> bytes:
    """Receive 1 to `size` bytes, or b"" at the end of the stream. Raises `OSError`."""
    while True:
        try:
            return sock.recv(size)
        except BlockingIOError:
            await read_wait(Descriptor(sock))
        except OSError as error:
            await _wait_for_tls(sock, error)


async def receive_exactly(sock: StreamSocket, size: int) -> bytes:
    """Receive exactly `size` bytes. Raises `EOFError` if the stream ends before, and `OSError`."""
    data = b""
    while len(data) < size:
        more = await receive(sock, size - len(data))
        if not more:
            raise EOFError(f"the connection ended after {len(data)} of {size} bytes")
        data += more
    return data


async def _wait_for_tls(sock: StreamSocket, error: OSError) -> None:
    import ssl

    if isinstance(error, ssl.SSLWantReadError):
        await read_wait(Descriptor(sock))
    elif isinstance(error, ssl.SSLWantWriteError):
        await write_wait(Descriptor(sock))
    else:
        raise error
