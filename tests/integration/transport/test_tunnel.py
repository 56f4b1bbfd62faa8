"""CONNECT: the request, accepted and rejected responses, attacks; TLS inside TLS."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import curio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cancel_at_each_await import cancel_at_each_await
from support.relay import relay
from support.script_steps import OK, close, drip, expect, expect_head, reset, send, stall
from support.scripted_server import MakePeer, Peer, PeerConnection

from asks_fast import errors
from asks_fast._transport.connector import Connector
from asks_fast._transport.http_tunnel import open_tunnel
from asks_fast._transport.proxies import make_proxy
from asks_fast._transport.tls_in_tls import TlsOverTls
from asks_fast.errors import ProxyError

OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


def proxied(proxy: Peer, **options: Any) -> Connector:
    return Connector(proxy=f"http://user:secret@127.0.0.1:{proxy.port}", **options)


async def failure(answer: list[Any], peer: MakePeer) -> ProxyError:
    """The error for this script of a proxy."""
    proxy = peer([expect("CONNECT"), *answer])
    connector = proxied(proxy)
    with pytest.raises(ProxyError) as caught:
        await connector.connect(connector.route_for("https", "origin.test", 443))
    await proxy.all_closed()
    assert "secret" not in str(caught.value)
    assert "dXNlc" not in str(caught.value)
    return caught.value


async def test_tunnel_to_https_origin(
    peer: MakePeer, tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """The proxy receives CONNECT with its credentials; the origin only TLS."""
    origin, proxy = tls_peer([expect(), send(OK)]), peer([expect("CONNECT"), send(OPEN), relay])
    steps: list[str] = []
    connector = proxied(proxy, ssl_context=client_context)
    route = connector.route_for("https", "127.0.0.1", origin.port)
    sock = await connector.connect(route, on_step=lambda step, when: steps.append(step))
    wrapped = curio.io.Socket(sock)
    await wrapped.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await wrapped.recv(1000) == OK
    await wrapped.close()
    (asked,) = proxy.requests
    assert (
        asked.raw
        == (
            f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1\r\nHost: 127.0.0.1:{origin.port}\r\n"
            "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"
        ).encode()
    )
    assert steps == ["resolved", "connected", "tunnel_established", "tls"]
    assert b"Proxy-Authorization" not in bytes(origin.connections[0].received)


async def test_connect_to_ipv6_origin_uses_brackets(peer: MakePeer) -> None:
    """The authority form of an IPv6 address has brackets (RFC 9112 §3.2.3)."""
    proxy = peer([expect("CONNECT", "[2001:db8::1]:443"), close()])
    connector = proxied(proxy)
    with pytest.raises(ProxyError, match="without a response"):
        await connector.connect(connector.route_for("https", "2001:db8::1", 443))


@pytest.mark.parametrize(
    "answer",
    [
        OPEN,
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 200 OK\nVia: x\n\n",
        b"HTTP/1.1 204 No\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n" + OPEN,
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_accepted_responses_to_connect(answer: bytes, size: int, peer: MakePeer) -> None:
    """Any 2xx is accepted, however it is split; interim responses are ignored."""
    proxy = peer([expect("CONNECT"), drip(answer, size)])
    connector = Connector()
    port = proxy.port
    sock = await connector.connect(connector.route_for("http", "127.0.0.1", port))
    try:
        reply = await open_tunnel(sock, "origin.test:443", (), "the proxy")
    finally:
        await curio.io.Socket(sock).close()
    assert 200 <= reply.status_code < 300


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([send(b"HTTP/1.1 403 Forbidden\r\n\r\nby policy"), close()], "403 Forbidden.*by policy"),
        ([send(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")], "407 Who.*user name"),
        ([send(b"HTTP/1.1 302 Found\r\nLocation: http://evil\r\n\r\n")], "302 Found"),
        ([send(b"HTTP/1.1 500 \xff\x1b[31m\r\n\r\n")], r"500 \S*\\x1b"),
        ([send(OPEN + b"early")], "b'early' after its response"),
        ([send(b"HTTP/1.1 101 Switching\r\n\r\n")], "too many 1xx"),
        ([send(b"HTTP/1.1 100 C\r\n\r\n" * 40)], "too many 1xx"),
        ([send(b"SSH-2.0-OpenSSH\r\n\r\n")], "which is not HTTP/1"),
        ([send(b"HTTP/2 200 OK\r\n\r\n")], "which is not HTTP/1"),
        ([send(b"HTTP/1.1 20 OK\r\n\r\n")], "which is not HTTP/1"),
        ([send(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n")], "header line b'no colon'"),
        ([send(b"HTTP/1.1 200 OK\r\nname : x\r\n\r\n")], "header line"),
        ([send(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000)], "bytes of head"),
        ([send(b"HTTP/1.1 200"), close()], "after b'HTTP/1.1 200'"),
        ([close()], "without a response"),
        ([reset()], "the connection to .* failed|without a response"),
    ],
)
async def test_rejected_responses_to_connect(
    answer: list[Any], message: str, peer: MakePeer
) -> None:
    """All others are a `ProxyError` that shows the response, truncated and escaped."""
    error = await failure(answer, peer)
    assert re.search(message, str(error)), str(error)
    assert len(str(error)) < 500
    assert isinstance(error, ConnectionError)


async def test_error_contains_the_response(peer: MakePeer) -> None:
    """`response` has status, fields in any case, and the body that arrived."""
    script = send(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nX: 1\r\nx: 2\r\n\r\nlater")
    reply = (await failure([script], peer)).response
    assert (reply.status_code, reply.reason_phrase, reply.text) == (503, "Busy", "later")
    assert reply.values("RETRY-AFTER") == ["7"]
    assert reply.values("x") == ["1", "2"]
    assert repr(reply) == "<ProxyReply 503 Busy>"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
async def test_any_bytes_are_a_reply_or_a_proxy_error(junk: bytes) -> None:
    """Any bytes of a proxy give a reply or a `ProxyError`, soon."""
    ours, theirs = socket.socketpair()
    try:
        theirs.sendall(junk)
        theirs.shutdown(socket.SHUT_WR)
        ours.setblocking(False)
        with contextlib.suppress(ProxyError):
            await open_tunnel(ours, "a:1", (), "the proxy")
    finally:
        await curio.traps._io_release(ours)
        ours.close()
        theirs.close()


async def test_unreachable_proxy(peer: MakePeer) -> None:
    """An unreachable proxy is a `ProxyError` that names it without its password."""
    connector = Connector(proxy="http://user:secret@127.0.0.1:1")
    for scheme in ("http", "https"):
        with pytest.raises(ProxyError, match=r"http://127\.0\.0\.1:1 .*refused") as caught:
            await connector.connect(connector.route_for(scheme, "origin.test", 80))
        assert "secret" not in str(caught.value)


# -- Digest ----------------------------------------------------------------------------------------

CHALLENGE = (
    b'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="p"\r\nProxy-Authenticate: Digest '
    b'realm="p", nonce="n1", qop="auth", algorithm=SHA-256\r\nContent-Length: 0\r\n\r\n'
)


async def test_digest_response_on_a_new_connection(
    peer: MakePeer, tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """A challenge is met, its nonce is used for the next tunnel, and no Basic follows Digest."""
    origin = tls_peer([expect(), send(OK)])
    proxy = peer(
        [expect("CONNECT"), send(CHALLENGE), close()],
        [expect("CONNECT"), send(OPEN), relay],
    )
    url = f"http://user:secret@127.0.0.1:{proxy.port}"
    connector = Connector(proxy=make_proxy(url, digest=True), ssl_context=client_context)
    route = connector.route_for("https", "127.0.0.1", origin.port)
    for _ in range(2):
        await curio.io.Socket(await connector.connect(route)).close()
    sent = [request.header("proxy-authorization") for request in proxy.requests]
    assert sent[0] is None
    for value in sent[1:]:
        assert value is not None
        assert value.startswith("Digest ")
        assert f'uri="127.0.0.1:{origin.port}"' in value
        assert "secret" not in value
    assert len(sent) == 3


async def test_digest_refused_repeatedly(peer: MakePeer) -> None:
    """Wrong credentials raise after a few attempts."""
    proxy = peer([expect("CONNECT"), send(CHALLENGE), close()])
    connector = proxied(proxy)
    with pytest.raises(ProxyError, match="407"):
        await connector.connect(connector.route_for("https", "origin.test", 443))
    assert 2 <= len(proxy.requests) <= 3


async def test_digest_state_is_not_shared_between_proxies(peer: MakePeer) -> None:
    """Nonce and realm of one proxy are never sent to another one."""
    first, second = peer([expect(), send(CHALLENGE), close()]), peer([expect(), close()])
    urls = [f"http://u{n}:secret@127.0.0.1:{p.port}" for n, p in enumerate((first, second))]
    connector = Connector(proxy=[make_proxy(url, digest=True) for url in urls])
    for _ in range(2):
        with pytest.raises(ProxyError):
            await connector.connect(connector.route_for("https", "origin.test", 443))
    assert [request.header("proxy-authorization") for request in second.requests] == [None]


# -- TLS with the proxy, TLS inside it -------------------------------------------------------------


@pytest.fixture
def secure_proxy(peer: MakePeer, server_context: ssl.SSLContext) -> Peer:
    """A proxy over TLS."""
    return peer([expect("CONNECT"), send(OPEN), relay], tls=server_context)


async def test_tls_in_tls(
    secure_proxy: Peer, tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """Large data both ways through an https proxy to an https origin, closed cleanly."""
    size = 3_000_000
    origin = tls_peer([lambda c: c.put(bytes(c.take(size))[::-1])])
    connector = Connector(
        proxy=f"https://localhost:{secure_proxy.port}", ssl_context=client_context
    )
    sock = await connector.connect(connector.route_for("https", "localhost", origin.port))
    assert isinstance(sock, TlsOverTls)
    assert repr(sock).startswith("<TlsOverTls TLSv1.3 fd=")
    assert sock.selected_alpn_protocol() is None
    assert sock.getpeername() == ("127.0.0.1", secure_proxy.port)
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    wrapped = curio.io.Socket(sock)
    sender = await curio.spawn(wrapped.sendall, data)
    received = bytearray(size)
    view, got = memoryview(received), 0
    await sender.join()
    while got < size:
        got += await wrapped.recv_into(view[got:])
    assert received == data[::-1]
    await wrapped.close()
    assert sock.fileno() == -1


async def test_tls_sessions_of_proxy_and_origin_are_separate(
    secure_proxy: Peer, tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """The second tunnel resumes both TLS sessions."""
    origin = tls_peer([expect(), send(OK)])
    connector = Connector(
        proxy=f"https://localhost:{secure_proxy.port}", ssl_context=client_context
    )
    route = connector.route_for("https", "127.0.0.1", origin.port)
    reused = []
    for _ in range(2):
        sock = await connector.connect(route)
        wrapped = curio.io.Socket(sock)
        await wrapped.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await wrapped.recv(1000) == OK
        reused.append((sock.session_reused, sock._outer.session_reused))
        await wrapped.close()
    assert reused == [(False, False), (True, True)]


async def test_proxy_certificate_is_verified_for_the_proxy_name(
    secure_proxy: Peer, client_context: ssl.SSLContext
) -> None:
    """An https proxy with a certificate for another name receives neither CONNECT nor password."""
    connector = Connector(
        proxy=f"https://user:secret@other.test:{secure_proxy.port}",
        hosts={"other.test": "127.0.0.1"},
        ssl_context=client_context,
    )
    for scheme in ("http", "https"):
        with pytest.raises(errors.CertificateError, match="the proxy https://other"):
            await connector.connect(connector.route_for(scheme, "localhost", 443))
    await secure_proxy.all_closed()
    assert secure_proxy.requests == []


async def test_tls_settings_of_a_proxy(
    secure_proxy: Peer, tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """`make_proxy(ssl_context=)` applies to the proxy only; the origin is verified as usual."""
    origin = tls_peer([])
    proxy = make_proxy(f"https://localhost:{secure_proxy.port}", ssl_context=client_context)
    connector = Connector(proxy=proxy)
    with pytest.raises(errors.CertificateError, match=f"https://localhost:{origin.port}"):
        await connector.connect(connector.route_for("https", "localhost", origin.port))


async def test_client_certificate_is_not_sent_to_the_proxy(
    peer: MakePeer,
    certificate_authority: Any,
    server_certificate: Any,
    tmp_path: Path,
) -> None:
    """The client certificate and fingerprint are for the origin only."""
    ca, both = tmp_path / "ca.pem", tmp_path / "client.pem"
    certificate_authority.cert_pem.write_to_path(ca)
    identity = certificate_authority.issue_cert("client@example.test")
    identity.private_key_and_cert_chain_pem.write_to_path(both)
    shown: list[bool] = []

    def note(connection: PeerConnection) -> None:
        assert isinstance(connection.sock, ssl.SSLSocket)
        shown.append(bool(connection.sock.getpeercert()))

    contexts = []
    for certificate in (certificate_authority.issue_cert("localhost"), server_certificate):
        contexts.append(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        certificate.configure_cert(contexts[-1])
        certificate_authority.configure_trust(contexts[-1])
        contexts[-1].verify_mode = ssl.CERT_OPTIONAL
    proxy = peer([note, expect("CONNECT"), send(OPEN), relay], tls=contexts[0])
    origin = peer([note, expect(), send(OK)], tls=contexts[1])
    pem = server_certificate.cert_chain_pems[0].bytes().decode()
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    connector = Connector(
        proxy=f"https://localhost:{proxy.port}", verify=ca, cert=both, fingerprint=pin
    )
    sock = await connector.connect(connector.route_for("https", "localhost", origin.port))
    wrapped = curio.io.Socket(sock)
    await wrapped.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await wrapped.recv(1000) == OK
    await wrapped.close()
    assert shown == [False, True]


async def test_end_of_inner_tls_without_close_notify(
    secure_proxy: Peer, tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """An origin that closes without close_notify raises, through both layers."""
    origin = tls_peer([send(b"half"), close()])
    connector = Connector(
        proxy=f"https://localhost:{secure_proxy.port}", ssl_context=client_context
    )
    sock = await connector.connect(connector.route_for("https", "localhost", origin.port))
    wrapped = curio.io.Socket(sock)
    assert await wrapped.recv(100) == b"half"
    secure_proxy.stopping = True  # the relay ends, and with it the outer connection
    with pytest.raises(ssl.SSLError, match="EOF"):
        await wrapped.recv(100)
    await wrapped.close()


# -- leaving at every point ------------------------------------------------------------------------


@pytest.fixture
def stalls(peer: MakePeer, server_context: ssl.SSLContext) -> Iterator[Any]:
    """Proxies that stall where the test says."""

    def make(*steps: Any, tls: bool = False) -> Peer:
        return peer([*steps, stall()], tls=server_context if tls else None)

    return make


@pytest.mark.parametrize("phase", ["proxy tls", "answer", "half an answer", "origin tls"])
@pytest.mark.parametrize("tls", [False, True])
async def test_timeout_in_each_phase(
    phase: str, tls: bool, stalls: Any, client_context: ssl.SSLContext
) -> None:
    """A stalled proxy ends at the caller's limit, and its connection is closed."""
    if phase == "proxy tls":
        proxy, tls = stalls(), True
    elif phase == "answer":
        proxy = stalls(expect_head(), tls=tls)
    elif phase == "half an answer":
        proxy = stalls(expect_head(), send(OPEN[:20]), tls=tls)
    else:
        proxy = stalls(expect_head(), send(OPEN), tls=tls)
    scheme = "https" if tls else "http"
    connector = Connector(proxy=f"{scheme}://localhost:{proxy.port}", ssl_context=client_context)
    with pytest.raises(curio.TaskTimeout):
        await curio.timeout_after(
            0.1, connector.connect, connector.route_for("https", "localhost", 443)
        )
    await proxy.all_closed()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_cancel_at_each_await_closes_the_socket(
    scheme: str,
    peer: MakePeer,
    tls_peer: MakePeer,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
) -> None:
    """After cancellation at each wait of TCP, TLS and CONNECT no socket stays open."""
    origin = tls_peer([])
    context = server_context if scheme == "https" else None
    proxy = peer([expect("CONNECT"), send(OPEN), relay], tls=context)
    connector = Connector(proxy=f"{scheme}://localhost:{proxy.port}", ssl_context=client_context)
    route = connector.route_for("https", "127.0.0.1", origin.port)

    async def all_closed() -> None:
        await proxy.all_closed()
        await origin.all_closed()

    for _ in range(3):  # how many waits there are is the wire's affair
        _, sock = await cancel_at_each_await(lambda: connector.connect(route), all_closed)
        sock.close()
