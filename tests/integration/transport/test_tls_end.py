"""The end of TLS, or an error in it, that arrives together with a full record."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from typing import Any

import curio
import pytest
from support.script_steps import OK, discard, expect, mark, send, stop_reading
from support.scripted_server import POLL_INTERVAL, MakePeer, Peer, PeerConnection, Step

from asks_fast import HSession
from asks_fast.errors import ConnectivityError

pytest.importorskip("trustme", reason="trustme is not installed")


def send_close_notify(connection: PeerConnection) -> None:
    """Send close_notify and keep the connection open, as servers do that wait for the client's."""
    assert isinstance(connection.sock, ssl.SSLSocket)
    connection.sock.settimeout(0)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.sock.unwrap()
    connection.sock.settimeout(POLL_INTERVAL)


def send_bad_record(connection: PeerConnection) -> None:
    """Send a record that cannot be decrypted."""
    socket.socket.send(connection.sock, b"\x17\x03\x03\x00\x40" + b"\0" * 0x40)


def full_record(fields: bytes) -> bytes:
    """A head and the beginning of its body, which fill one TLS record."""
    head = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n"
    return head + b"x" * (16384 - len(head))


async def get_when_all_is_there(
    server: Peer, may_send: threading.Event, session: HSession, **options: Any
) -> Any:
    """Send a request, and read the response when the server has sent it and what follows."""

    async def get() -> Any:
        response = await session.get(path="/", **options)
        return await response.body.read() if options else response.content

    async with curio.TaskGroup() as group:
        await group.spawn(get)
        await server.reached("asked")
        may_send.set()
        while "sent" not in server._marks:  # no other task runs, so nothing is read
            time.sleep(0.001)
    return group.result


@pytest.mark.parametrize("options", [{}, {"stream": True}], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("send_end", "size", "error"),
    [
        (send_close_notify, None, None),
        (send_close_notify, 1_000_000, "closed the connection after"),
        (send_bad_record, 20_000, "broke the connection"),
        (send_bad_record, 1_000_000, "broke the connection"),
    ],
)
async def test_end_of_tls_after_a_full_record(
    tls_peer: MakePeer,
    client_context: ssl.SSLContext,
    send_end: Step,
    size: int | None,
    error: str | None,
    options: dict[str, bool],
) -> None:
    """The end of TLS, or an error in it, is seen at once, also if it came with a full record.

    TLS reads it together with the record, so the descriptor does not report it.
    """
    may_send = threading.Event()
    record = full_record(b"" if size is None else b"Content-Length: %d\r\n" % size)
    script = [expect(), mark("asked"), lambda _: discard(may_send.wait()), send(record), send_end]
    server = tls_peer([*script, mark("sent"), stop_reading()])
    async with HSession(server.url, ssl_context=client_context, read_timeout=10) as session:
        asking = get_when_all_is_there(server, may_send, session, **options)
        if error is None:
            assert len(await asking) == record.count(b"x")
        else:
            with pytest.raises(ConnectivityError, match=error):
                await asking


async def test_connection_with_an_end_of_tls_is_not_reused(
    tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """The next request uses a new connection if TLS has read its end with the last record."""
    may_send = threading.Event()
    size = full_record(b"Content-Length: 12345\r\n").count(b"x")
    script = [expect(), mark("asked"), lambda _: discard(may_send.wait())]
    script += [send(full_record(b"Content-Length: %d\r\n" % size)), send_close_notify]
    server = tls_peer([*script, mark("sent"), stop_reading()], [expect(), send(OK)])
    async with HSession(server.url, ssl_context=client_context, read_timeout=10) as session:
        assert len(await get_when_all_is_there(server, may_send, session)) == size
        assert (await session.get(path="/")).content == b"ok"
