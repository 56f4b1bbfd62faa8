"""Steps of a peer that make it a proxy: SOCKS4, SOCKS4a, SOCKS5 and HTTP.

    proxy = Peer([[socks_proxy()]])
    proxy = Peer([[http_proxy("user", "password")]], tls=context)

Facts:  SOCKS5 is RFC 1928, its password RFC 1929; SOCKS4 and 4a have memos only.
Rules:  one step serves one connection from the greeting to the end of the tunnel. A client without
        the right credentials gets the protocol's own refusal, then the connection is closed.
"""

from __future__ import annotations

import socket
import struct
from base64 import b64encode
from typing import NoReturn
from urllib.parse import urlsplit

from support.relay import carry, open_outer
from support.scripted_server import PeerConnection, PeerStopped, Step

NO_LOGIN, PASSWORD_LOGIN, NO_METHOD = 0, 2, 0xFF
IPV4, NAME, IPV6 = 1, 3, 4


def socks_proxy(user: str | None = None, password: str = "") -> Step:
    """Serve one SOCKS client. With `user`, only SOCKS5 with that login is served."""

    def step(connection: PeerConnection) -> None:
        version = connection.take(1)[0]
        if version != 5 and (version != 4 or user is not None):
            _close(connection)
        if version == 4:
            host, port = _socks4_request(connection)
            accepted, refused = b"\0\x5a" + bytes(6), b"\0\x5b" + bytes(6)
        else:
            _socks5_login(connection, user, password)
            host, port = _socks5_request(connection)
            accepted, refused = b"\5\0\0\1" + bytes(6), b"\5\4\0\1" + bytes(6)
        outer = _connect(connection, host, port, refused)
        connection.put(accepted)
        carry(connection, outer)

    return step


def _socks4_request(connection: PeerConnection) -> tuple[str, int]:
    command, port, address = struct.unpack(">BH4s", connection.take(7))
    assert command == 1, f"SOCKS4 command {command}"
    connection.take_until(b"\0")  # the user
    if address[:3] == b"\0\0\0" and address[3]:  # SOCKS4a: the proxy looks up the name
        return connection.take_until(b"\0")[:-1].decode("ascii"), port
    return socket.inet_ntoa(address), port


def _socks5_login(connection: PeerConnection, user: str | None, password: str) -> None:
    offered = connection.take(connection.take(1)[0])
    method = NO_LOGIN if user is None else PASSWORD_LOGIN
    if method not in offered:
        connection.put(bytes([5, NO_METHOD]))
        _close(connection)
    connection.put(bytes([5, method]))
    if user is None:
        return
    assert connection.take(1) == b"\1"
    given = [connection.take(connection.take(1)[0]).decode() for _ in ("user", "password")]
    connection.put(b"\1\0" if given == [user, password] else b"\1\1")
    if given != [user, password]:
        _close(connection)


def _socks5_request(connection: PeerConnection) -> tuple[str, int]:
    version, command, reserved, kind = connection.take(4)
    assert (version, command, reserved) == (5, 1, 0), (version, command, reserved)
    if kind == NAME:
        host = connection.take(connection.take(1)[0]).decode("ascii")
    else:
        family, size = {IPV4: (socket.AF_INET, 4), IPV6: (socket.AF_INET6, 16)}[kind]
        host = socket.inet_ntop(family, connection.take(size))
    return host, int.from_bytes(connection.take(2), "big")


def http_proxy(user: str | None = None, password: str = "") -> Step:
    """Serve one client of an HTTP proxy: open a tunnel, or forward a single request."""
    login = "Basic " + b64encode(f"{user}:{password}".encode()).decode()

    def step(connection: PeerConnection) -> None:
        request = connection.take_head()
        if user is not None and request.header("proxy-authorization") != login:
            connection.put(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n'
            )
            _close(connection)
        bad_gateway = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
        target = urlsplit(f"//{request.target}" if request.method == "CONNECT" else request.target)
        assert target.hostname is not None, request.target
        outer = _connect(connection, target.hostname, target.port or 80, bad_gateway)
        if request.method == "CONNECT":
            connection.put(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = f"{target.path or '/'}{'?' if target.query else ''}{target.query}"
            lines = [f"{request.method} {path} {request.version}"]
            lines += [
                f"{name}: {value}"
                for name, value in request.headers
                if name.lower() not in ("proxy-authorization", "proxy-connection")
            ]
            outer.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        carry(connection, outer)

    return step


def _connect(connection: PeerConnection, host: str, port: int, refused: bytes) -> socket.socket:
    try:
        return open_outer(host, port)
    except OSError:
        connection.put(refused)
        _close(connection)


def _close(connection: PeerConnection) -> NoReturn:
    connection.sock.close()
    raise PeerStopped
