"""Limits, TLS, proxies and sockets of the transports for httpx and httpx2."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.proxy_steps import http_proxy, socks_proxy
from support.script_steps import (
    OK,
    close,
    expect,
    expect_head,
    repeat,
    send,
)
from support.scripted_server import Peer
from support.servers import Server

pytestmark = pytest.mark.usefixtures("kernel_of_thread")

Call = Callable[..., Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"


@pytest.mark.parametrize(
    ("limits", "connections"),
    [
        ({}, 1),
        ({"max_keepalive_connections": 0}, 3),
        ({"keepalive_expiry": 0}, 3),
        ({"max_connections": None, "keepalive_expiry": None}, 1),
    ],
    ids=["default", "none-kept", "no-expiry", "unlimited"],
)
def test_keep_alive_limits(
    transports: Any, httpx: Any, peer: Callable[..., Peer], limits: Any, connections: int
) -> None:
    """Connections are kept as the limits say."""
    server = peer([repeat(expect(), send(OK))])
    with httpx.Client(transport=transports.Transport(limits=httpx.Limits(**limits))) as client:
        for _ in range(3):
            client.get(server.url)
    assert len({request.connection for request in server.requests}) == connections


def test_verify(httpx: Any, call: Call, tls_server: Server, client_context: ssl.SSLContext) -> None:
    """`verify` is a context, or False; an unknown certificate is a ConnectError."""
    assert call("GET", f"{tls_server.url}/get", {"verify": client_context}).status_code == 200
    assert call("GET", f"{tls_server.url}/get", {"verify": False}).status_code == 200
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
        call("GET", f"{tls_server.url}/get")


def test_client_certificate(
    call: Call,
    peer: Callable[..., Peer],
    certificate_authority: Any,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    tmp_path: Path,
) -> None:
    """The certificate in the context, or in `cert`, is shown to a server that asks for one."""
    certificate_authority.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    server = peer([expect(), send(OK)], tls=server_context)
    own = certificate_authority.issue_cert("client@example.test")
    file = tmp_path / "client.pem"
    own.private_key_and_cert_chain_pem.write_to_path(file)
    with pytest.warns(DeprecationWarning, match="cert"):  # by httpx
        response = call("GET", server.url, {"verify": client_context, "cert": str(file)})
    assert response.text == "ok"


def test_sni_hostname(
    httpx: Any, call: Call, tls_server: Server, client_context: ssl.SSLContext
) -> None:
    """The `sni_hostname` extension names the server to verify."""
    url, transport = f"{tls_server.url}/get", {"verify": client_context}
    good = call("GET", url, transport, extensions={"sni_hostname": "example.test"})
    assert good.status_code == 200
    with pytest.raises(httpx.ConnectError):
        call("GET", url, transport, extensions={"sni_hostname": "other.test"})


@pytest.mark.parametrize("kind", ["url", "auth", "httpx-url"])
def test_http_proxy(
    httpx: Any,
    call: Call,
    peer: Callable[..., Peer],
    tls_server: Server,
    app_server: Server,
    client_context: ssl.SSLContext,
    kind: str,
) -> None:
    """http goes to the proxy with the whole URL, https through a tunnel, with credentials."""
    proxy = peer([http_proxy("user", "pass:%")])
    host = proxy.url.removeprefix("http://")
    given: Any = f"http://user:pass%3A%25@{host}"
    if kind == "auth":
        given = httpx.Proxy(proxy.url, auth=("user", "pass:%"))
    elif kind == "httpx-url":
        given = httpx.URL(given)
    transport = {"proxy": given, "verify": client_context}
    assert call("GET", f"{app_server.url}/get", transport).status_code == 200
    assert call("GET", f"{tls_server.url}/get", transport).status_code == 200


def test_socks_proxy(call: Call, peer: Callable[..., Peer], app_server: Server) -> None:
    """A SOCKS5 proxy takes the credentials of its URL."""
    proxy = peer([socks_proxy("user", "secret")])
    given = proxy.url.replace("http://", "socks5h://user:secret@")
    assert call("GET", f"{app_server.url}/get", {"proxy": given}).status_code == 200


def test_a_proxy_that_refuses(httpx: Any, call: Call, peer: Callable[..., Peer]) -> None:
    """A refused tunnel is a ProxyError, and so is a proxy that cannot be reached."""
    proxy = peer([expect_head(), send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), close()])
    for url in (proxy.url, "http://127.0.0.1:1"):
        with pytest.raises(httpx.ProxyError):
            call("GET", "https://server.test/", {"proxy": url})


def test_unix_socket(call: Call, peer: Callable[..., Peer], tmp_path: Path) -> None:
    """`uds` connects to a Unix socket; Host stays that of the URL."""
    path = str(tmp_path / "socket")
    server = peer([expect(), send(OK)], unix=path)
    assert call("GET", "http://server.test/", {"uds": path}).text == "ok"
    assert server.requests[0].header("host") == "server.test"


def test_only_http_1(
    transports: Any,
) -> None:
    """HTTP/2 is refused when the transport is made."""
    for options in ({"http2": True}, {"http1": False}):
        for kind in (transports.AsyncTransport, transports.Transport):
            with pytest.raises(ValueError, match=r"HTTP/1\.1 only"):
                kind(**options)


def test_connect_retries(httpx: Any, call: Call) -> None:
    """`retries` repeats what failed before there was a connection, and nothing else."""
    with pytest.raises(httpx.ConnectError) as caught:
        call("GET", "http://127.0.0.1:1/", {"retries": 1})
    assert caught.value.__cause__.attempts == 2


def test_retries_do_not_repeat_an_exchange(
    httpx: Any, call: Call, peer: Callable[..., Peer]
) -> None:
    """A request that reached the server is not sent again, for any `retries`."""
    server = peer([expect(), close()], [expect(), send(OK)])
    with pytest.raises(httpx.RemoteProtocolError):
        call("GET", server.url, {"retries": 3})
    assert len(server.requests) == 1
