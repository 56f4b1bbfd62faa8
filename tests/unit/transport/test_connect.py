"""Routes and connections without TLS and proxies."""

from __future__ import annotations

import errno
import os
import resource
import socket
import struct
from pathlib import Path
from typing import Any

import curio
import pytest
from support.cancel_at_each_await import cancel_at_each_await
from support.script_steps import OK, expect, send
from support.scripted_server import MakePeer

from asks_fast._transport.connector import UNSET, Connector
from asks_fast.errors import ConnectionFailed, InvalidRequest, NameResolutionError


def option(sock: socket.socket, level: int, name: int) -> int:
    return sock.getsockopt(level, name)


async def test_default_socket_options(peer: MakePeer) -> None:
    """Non-blocking, closed on exec, without delay, with keep-alive probes."""
    server = peer([])
    connector = Connector()
    sock = await connector.connect(connector.route_for("http", "127.0.0.1", server.port))
    try:
        assert sock.getblocking() is False
        assert os.get_inheritable(sock.fileno()) is False
        assert option(sock, socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert option(sock, socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert option(sock, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            assert option(sock, socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 15
    finally:
        sock.close()


async def test_user_socket_options(peer: MakePeer) -> None:
    """`socket_options` are set last, `keepalive=None` disables probes, the source is bound."""
    server = peer([])
    connector = Connector(
        socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)],
        keepalive=None,
        source_address="127.0.0.5",
    )
    sock = await connector.connect(connector.route_for("http", "127.0.0.1", server.port))
    assert option(sock, socket.SOL_SOCKET, socket.SO_RCVBUF) >= 65536
    assert not option(sock, socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockname()[0] == "127.0.0.5"
    sock.close()


async def test_source_address_of_another_family(peer: MakePeer) -> None:
    """An IPv6 source address cannot reach an IPv4 address; the error says so."""
    server = peer([])
    connector = Connector(source_address="::1")
    with pytest.raises(ConnectionFailed, match="another address family"):
        await connector.connect(connector.route_for("http", "127.0.0.1", server.port))


@pytest.mark.parametrize(
    "options",
    [
        {"source_address": "example.com"},
        {"source_address": ("127.0.0.1", 70000)},
        {"keepalive": 0},
        {"happy_eyeballs_delay": -1},
        {"dns_ttl": -1},
        {"unix_socket": ""},
        {"unix_socket": 5},
        {"verify": ""},
        {"verify": 3},
        {"cert": ()},
        {"fingerprint": "abcd"},
        {"fingerprint": "zz"},
        {"ssl_context": object(), "verify": False},
        {"hosts": {"a": "b"}},
        {"resolver": 5},
        {"proxy": []},
        {"proxy": 5},
        {"proxy": "ftp://x"},
        {"proxy": "http://p", "unix_socket": "/x"},
    ],
)
def test_invalid_options(options: dict[str, Any]) -> None:
    """An invalid option raises before a socket is opened."""
    with pytest.raises(InvalidRequest):
        Connector(**options)


def test_unknown_options() -> None:
    """A misspelt option is an error."""
    with pytest.raises(TypeError):
        Connector(verfy=False)
    with pytest.raises(TypeError, match="verfy"):
        Connector().route_for("https", "a", 443, verfy=False)


def test_equal_options_give_the_same_route() -> None:
    """Equal arguments give the same route, different ones another."""
    connector = Connector()
    plain = connector.route_for("https", "a.test", 443)
    assert connector.route_for("https", "a.test", 443, verify=UNSET) is plain
    others = [
        connector.route_for("http", "a.test", 443),
        connector.route_for("https", "b.test", 443),
        connector.route_for("https", "a.test", 444),
        connector.route_for("https", "a.test", 443, verify=False),
        connector.route_for("https", "a.test", 443, verify="/ca.pem"),
        connector.route_for("https", "a.test", 443, cert="/c.pem"),
        connector.route_for("https", "a.test", 443, ssl_context=object()),
        connector.route_for("https", "a.test", 443, ssl_context=object()),
        connector.route_for("https", "a.test", 443, fingerprint="ab" * 32),
        connector.route_for("https", "a.test", 443, fingerprint=["cd" * 32]),
        connector.route_for("https", "a.test", 443, server_hostname="b.test"),
        connector.route_for("https", "a.test", 443, source_address="127.0.0.1"),
        connector.route_for("https", "a.test", 443, unix_socket="/s"),
        connector.route_for("https", "a.test", 443, resolver=lambda host: ["10.0.0.1"]),
        connector.route_for("https", "a.test", 443, proxy="http://p:1"),
        connector.route_for("https", "a.test", 443, proxy="http://u:v@p:1"),
        connector.route_for("https", "a.test", 443, proxy="http://u:w@p:1"),
        connector.route_for("https", "a.test", 443, proxy="socks5://p:1"),
        connector.route_for("https", "a.test", 443, proxy="https://p:1"),
        connector.route_for("https", "a.test", 443, proxy="https://p:1", verify=False),
    ]
    assert len({plain, *others}) == len(others) + 1


def test_route_repr() -> None:
    """The repr contains origin, proxy and TLS, and no secret."""
    connector = Connector()
    assert repr(connector.route_for("http", "::1", 80)) == "<Route 'http://[::1]:80'>"
    said = repr(connector.route_for("http", "a", 80, proxy="http://user:secret@p:3128"))
    assert said == "<Route 'http://a:80' forwarded by http://p:3128>"
    said = repr(connector.route_for("https", "a", 443, proxy="http://user:secret@p:3128"))
    assert said == "<Route 'https://a:443' through http://p:3128>"
    said = repr(connector.route_for("https", "a", 443, cert=("/c", "/k", "secret"), verify=False))
    assert said == "<Route 'https://a:443' <TlsSettings verify=False cert='/c'>>"


def test_tls_options_of_a_request() -> None:
    """A TLS option of a request replaces a conflicting one of the session."""
    context = object()
    connector = Connector(ssl_context=context)
    own = connector.route_for("https", "a", 443).tls
    assert own is not None
    assert own.context is context
    loose = connector.route_for("https", "a", 443, verify=False).tls
    assert loose is not None
    assert (loose.context, loose.verify) == (None, False)
    assert connector.route_for("https", "a", 443).tls is own
    strict = Connector(verify=False).route_for("https", "a", 443, ssl_context=context).tls
    assert strict is not None
    assert (strict.context, strict.verify) == (context, True)


async def test_static_hosts_are_not_resolved(peer: MakePeer) -> None:
    """A name in `hosts` uses its address, and only that name."""
    server = peer([])

    async def unused_resolver(host: str) -> list[str]:
        raise AssertionError(host)

    connector = Connector(hosts={"a.test": ["127.0.0.1"]}, resolver=unused_resolver)
    sock = await connector.connect(connector.route_for("http", "a.test", server.port))
    sock.close()
    with pytest.raises(NameResolutionError, match=r"b\.test"):
        await connector.connect(connector.route_for("http", "b.test", server.port))


async def test_resolver_of_a_request(peer: MakePeer) -> None:
    """`resolver=` of a request is used for that request and has its own cache."""
    server, asked = peer([]), []

    async def resolver(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    connector = Connector()
    route = connector.route_for("http", "a.invalid", server.port, resolver=resolver)
    for _ in range(2):
        sock = await connector.connect(route)
        sock.close()
    assert asked == ["a.invalid"]
    with pytest.raises(NameResolutionError):
        await connector.connect(connector.route_for("http", "a.invalid", server.port))


async def test_on_step(peer: MakePeer) -> None:
    """`on_step` is called for each step, in order, with increasing times."""
    server, steps = peer([]), []
    connector = Connector()
    route = connector.route_for("http", "localhost", server.port)
    sock = await connector.connect(route, on_step=lambda step, when: steps.append((when, step)))
    sock.close()
    assert [step for _, step in steps] == ["resolved", "connected"]
    assert steps == sorted(steps)


async def test_no_descriptor_available(peer: MakePeer) -> None:
    """Without a free descriptor the request fails; with one the next request succeeds."""
    server = peer([])
    connector = Connector()
    route = connector.route_for("http", "127.0.0.1", server.port)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        with pytest.raises(ConnectionFailed) as caught:
            await connector.connect(route)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EMFILE
    (await connector.connect(route)).close()


async def test_peer_resets(peer: MakePeer) -> None:
    """A connection that is reset immediately after connecting is still returned."""
    server = peer([lambda connection: connection.sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))])  # fmt: skip
    connector = Connector()
    sock = await connector.connect(connector.route_for("http", "127.0.0.1", server.port))
    sock.close()


# -- Unix sockets ----------------------------------------------------------------------------------


async def ask(sock: Any) -> bytes:
    """Send a request over a connection and read once."""
    wrapped = curio.io.Socket(sock)
    try:
        await wrapped.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := await wrapped.recv(65536):
            answer += more
        return answer
    finally:
        await wrapped.close()


async def test_unix_socket(peer: MakePeer, tmp_path: Path) -> None:
    """`unix_socket=` connects to that socket, whatever the host, and resolves no name."""
    path = str(tmp_path / "server.sock")
    server = peer([expect("GET", "/small"), send(OK)], unix=path)
    connector = Connector(unix_socket=path)
    sock = await connector.connect(connector.route_for("http", "nowhere.invalid", 80))
    assert sock.family == socket.AF_UNIX
    wrapped = curio.io.Socket(sock)
    await wrapped.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await wrapped.recv(100) == OK
    await wrapped.close()
    assert len(server.requests) == 1


async def test_unix_socket_without_server(tmp_path: Path) -> None:
    """The error names the path and the reason."""
    connector = Connector(unix_socket=tmp_path / "none.sock")
    with pytest.raises(ConnectionFailed, match=r"none\.sock.*No such file"):
        await connector.connect(connector.route_for("http", "a", 80))


async def test_unix_socket_with_full_queue(peer: MakePeer, tmp_path: Path) -> None:
    """Connecting waits for a server that does not accept yet; after cancellation nothing stays
    open.
    """
    path = str(tmp_path / "server.sock")
    server = peer([], unix=path, backlog=0, accepting=False)
    connector = Connector(unix_socket=path)
    route = connector.route_for("http", "a", 80)
    taken = []
    for _ in range(8):
        async with curio.ignore_after(0.05) as limit:
            taken.append(await connector.connect(route))
        if limit.expired:
            break
    assert limit.expired
    server.start_accepting()
    taken.append(await connector.connect(route))
    for sock in taken:
        sock.close()


async def test_unix_socket_of_nginx(start_nginx: Any, tmp_path: Path) -> None:
    """nginx responds on a Unix socket."""
    from support.servers import NotInstalled

    path = tmp_path / "nginx.sock"
    more = f"}} server {{ listen unix:{path}; location = /small {{ return 200 'unix'; }}"
    try:
        with start_nginx(tmp_path, more):
            connector = Connector()
            route = connector.route_for("http", "localhost", 80, unix_socket=path)
            answer = await ask(await connector.connect(route))
    except NotInstalled as reason:
        pytest.skip(str(reason))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"unix")


async def test_cancel_at_each_await_closes_the_socket(peer: MakePeer) -> None:
    """After cancellation at each wait of resolving and connecting nothing stays open."""
    server = peer([])

    async def resolver(host: str) -> list[str]:
        await curio.sleep(0)
        return ["127.0.0.1"]

    connector = Connector(resolver=resolver, dns_ttl=0)
    route = connector.route_for("http", "a.test", server.port)
    count, sock = await cancel_at_each_await(lambda: connector.connect(route), server.all_closed)
    sock.close()
    assert count >= 1
