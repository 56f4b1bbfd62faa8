"""Open a tunnel through a SOCKS proxy: SOCKS 4, 4a, 5 and 5h.

SOCKS5 is RFC 1928, its password login RFC 1929; 4 and 4a have no RFC. For `socks4` and `socks5` the
caller resolves the name, so `host` is an address; for `socks4a` and `socks5h` the proxy resolves
it. The length of every reply is known, so no byte of the origin is read here. Every failure of the
proxy is a `ProxyError`, without the password.

Connecting to the proxy is implemented in `connector`, parsing its URL in `proxies`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container
from typing import NoReturn

from ..errors import InvalidRequest, ProxyError
from .proxies import Proxy
from .raw_io import StreamSocket, receive_exactly, send_all

__all__ = ["open_socks_tunnel"]

_NO_LOGIN, _PASSWORD_LOGIN = 0x00, 0x02
_IPV4, _NAME, _IPV6 = 0x01, 0x03, 0x04
_MAX_LENGTH = 255  # of a name, a user name and a password: one byte holds it

_SOCKS4_ERRORS = {
    0x5B: "the proxy rejected the request or could not connect",
    0x5C: "the proxy could not reach identd on this machine",
    0x5D: "identd on this machine reported another user name",
}
_SOCKS5_ERRORS = {
    0x01: "general failure",
    0x02: "the rules of the proxy do not allow the connection",
    0x03: "network unreachable",
    0x04: "host unreachable",
    0x05: "connection refused",
    0x06: "TTL expired",
    0x07: "command not supported",
    0x08: "address type not supported",
}


async def open_socks_tunnel(sock: StreamSocket, proxy: Proxy, host: str, port: int) -> None:
    """Ask the proxy at the other end of `sock` for a connection to `host` and `port`.

    `sock` is not closed here. After an error or a cancellation it cannot be used any more.

    Raises:
        ProxyError: the proxy refused, broke the protocol or closed the connection.
        InvalidRequest: a name or a password is longer than the protocol allows.
    """
    open_tunnel = _open_socks5 if proxy.scheme.startswith("socks5") else _open_socks4
    try:
        await open_tunnel(sock, proxy, host, port)
    except _Refused as error:
        failure = ProxyError(f"{proxy} did not open a tunnel to {host}:{port}: {error}")
        failure.is_origin_unreachable = error.is_origin_unreachable
        raise failure from None
    except EOFError as error:
        raise ProxyError(
            f"{proxy} closed the connection before the tunnel to {host}:{port} was open"
        ) from error
    except OSError as error:
        raise ProxyError(
            f"the connection to {proxy} failed before the tunnel to {host}:{port} was open: "
            f"{error.strerror or error}"
        ) from error


class _Refused(Exception):
    """The proxy refused the tunnel or sent an invalid reply; the text says which."""

    is_origin_unreachable = False


def _refusal(code: int, texts: dict[int, str], unreachable: Container[int]) -> _Refused:
    refused = _Refused(texts.get(code, f"unknown reply code {code:#04x}"))
    refused.is_origin_unreachable = code in unreachable
    return refused


async def _open_socks4(sock: StreamSocket, proxy: Proxy, host: str, port: int) -> None:
    address = _packed_address(host)
    is_name = address is None or len(address) != 4
    request = b"\x04\x01" + port.to_bytes(2, "big")
    # 0.0.0.1 is not a valid address: it says that the name follows (SOCKS 4a).
    request += b"\x00\x00\x00\x01" if address is None or is_name else address
    request += (proxy.username or "").encode() + b"\x00"
    if is_name:
        request += host.encode("ascii") + b"\x00"
    await send_all(sock, request)
    version, code = (await receive_exactly(sock, 8))[:2]
    if version != 0:
        _refuse_version(version)
    if code != 0x5A:
        raise _refusal(code, _SOCKS4_ERRORS, {0x5B})


async def _open_socks5(sock: StreamSocket, proxy: Proxy, host: str, port: int) -> None:
    address = _packed_address(host)
    if address is None:
        target = bytes([_NAME]) + _with_length(host.encode("ascii"), "host")
    else:
        target = bytes([_IPV4 if len(address) == 4 else _IPV6]) + address
    await _log_in(sock, proxy)
    await send_all(sock, b"\x05\x01\x00" + target + port.to_bytes(2, "big"))
    version, code = await receive_exactly(sock, 2)
    if version != 5:
        _refuse_version(version)
    if code != 0:
        raise _refusal(code, _SOCKS5_ERRORS, {0x03, 0x04, 0x05, 0x06})
    # The address and port that the proxy uses are of no interest, but they must be read.
    _, kind = await receive_exactly(sock, 2)
    if kind == _NAME:
        [length] = await receive_exactly(sock, 1)
    elif kind in (_IPV4, _IPV6):
        length = 4 if kind == _IPV4 else 16
    else:
        raise _Refused(f"unknown address type {kind:#04x} in its reply")
    await receive_exactly(sock, length + 2)


async def _log_in(sock: StreamSocket, proxy: Proxy) -> None:
    """Agree on a method of authentication (RFC 1928 §3) and send the password if it is chosen."""
    methods = [_NO_LOGIN]
    login = b""
    if proxy.username and proxy.password:
        methods.append(_PASSWORD_LOGIN)
        login = b"\x01" + _with_length(proxy.username.encode(), "user name")
        login += _with_length(proxy.password.encode(), "password")
    await send_all(sock, bytes([5, len(methods), *methods]))
    version, method = await receive_exactly(sock, 2)
    if version != 5:
        _refuse_version(version)
    if method not in methods:
        raise _Refused("it accepts none of the login methods that were offered")
    if method == _PASSWORD_LOGIN:
        await send_all(sock, login)
        _, status = await receive_exactly(sock, 2)
        if status != 0:
            raise _Refused("it did not accept the user name and password")


def _refuse_version(version: int) -> NoReturn:
    raise _Refused(f"its reply is not of this SOCKS version (first byte {version:#04x})")


def _packed_address(host: str) -> bytes | None:
    """The bytes of an IP address, None for a name. A zone (`%eth0`) is left out."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        return None


def _with_length(data: bytes, what: str) -> bytes:
    if len(data) > _MAX_LENGTH:
        raise InvalidRequest(
            f"the {what} has {len(data)} bytes, more than the {_MAX_LENGTH} that SOCKS5 allows"
        )
    return bytes([len(data)]) + data
