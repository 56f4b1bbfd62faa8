"""Sending and receiving before there is an exchange: for CONNECT and SOCKS.

Facts:  a plain socket that would block raises `BlockingIOError`, a TLS one `SSLWantReadError` or
        `SSLWantWriteError`: both mean "wait and call again".
Rules:  nothing is read beyond what was asked for. Nothing is closed here.
Not here: the hot path's own reading and writing.
"""

from __future__ import annotations

from typing import Any

from .._curio import read_wait, write_wait
from .sockets import Descriptor

__all__ = ["receive", "receive_exactly", "send_all"]


async def send_all(sock: Any, data: bytes) -> None:
    """Send all of `data`; raises OSError. Cancelled, part of it is sent."""
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            await write_wait(Descriptor(sock))
        except OSError as error:
            await _wait_for_tls(sock, error)


async def receive(sock: Any, size: int) -> bytes:
    """What is there, at least one byte unless the peer is done, at most `size`."""
    while True:
        try:
            data: bytes = sock.recv(size)
        except BlockingIOError:
            await read_wait(Descriptor(sock))
        except OSError as error:
            await _wait_for_tls(sock, error)
        else:
            return data


async def receive_exactly(sock: Any, size: int) -> bytes:
    """Exactly `size` bytes; raises `EOFError` if the peer is done before."""
    data = b""
    while len(data) < size:
        more = await receive(sock, size - len(data))
        if not more:
            raise EOFError(f"the connection ended after {len(data)} of {size} bytes")
        data += more
    return data


async def _wait_for_tls(sock: Any, error: OSError) -> None:
    import ssl

    if isinstance(error, ssl.SSLWantReadError):
        await read_wait(Descriptor(sock))
    elif isinstance(error, ssl.SSLWantWriteError):
        await write_wait(Descriptor(sock))
    else:
        raise error
