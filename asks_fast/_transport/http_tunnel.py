"""Open a tunnel through an HTTP proxy with CONNECT (RFC 9110 §9.3.6).

A 2xx response to CONNECT has no body, whatever its header fields say. The bytes after its head come
from the origin, and with TLS the origin sends nothing before the client does. So bytes after the
head of a 2xx response are an attack on the handshake (CVE-2023-40217) and an error.

- The size of the response is limited.
- The request contains the proxy's header fields and none of the origin's.
- A response other than 2xx is a `ProxyError` that contains it.

Connecting to the proxy and the TLS inside the tunnel are implemented in `connector`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ProxyError, printable, truncated_repr
from .raw_io import StreamSocket, receive, send_all

__all__ = ["ProxyReply", "open_tunnel"]

_MAX_HEAD_BYTES = 65536
_MAX_INFORMATIONAL = 16
_MAX_BODY_BYTES = 8192
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: ([^\r\n\x00]*))?\Z")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class ProxyReply:
    """The response to CONNECT: `headers` in order, `body` as far as it came with the head."""

    status_code: int
    reason_phrase: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<ProxyReply {self.status_code} {printable(self.reason_phrase, 80)}>"

    def values(self, name: str) -> list[str]:
        """Return the values of all fields with this name, which is case-insensitive."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def text(self) -> str:
        """The body as text, for error messages."""
        return self.body.decode("utf-8", "replace")


async def open_tunnel(
    sock: StreamSocket, authority: str, headers: Iterable[tuple[str, str]], proxy: str
) -> ProxyReply:
    """Ask the proxy at the other end of `sock` for a tunnel to `authority`.

    `sock` is not closed here. It is a tunnel after a 2xx response; after any other response, an
    error or a cancellation it cannot be used any more.

    Args:
        sock: connected to the proxy.
        authority: `"host:port"` of the origin.
        headers: the header fields for the proxy.
        proxy: the name of the proxy, for errors.

    Returns:
        The response, whatever its status.

    Raises:
        ProxyError: the response is not HTTP/1, too long, or has bytes after the head of a 2xx.
    """
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {value}" for name, value in headers]
    try:
        await send_all(sock, "\r\n".join([*lines, "", ""]).encode("latin-1"))
        return await _read_reply(sock, proxy)
    except ProxyError:
        raise
    except OSError as error:
        raise ProxyError(
            f"the connection to {proxy} failed before the tunnel to {authority} was open: "
            f"{error.strerror or error}"
        ) from error


def refusal_error(proxy: str, authority: str, reply: ProxyReply) -> ProxyError:
    """Return the error for a response other than 2xx."""
    status = f"{reply.status_code} {reply.reason_phrase}".strip()
    more = f"; it added {truncated_repr(reply.text.strip())}" if reply.body.strip() else ""
    hint = ""
    if reply.status_code == 407:
        hint = "; it requires a user name and password, or other ones"
    error = ProxyError(
        f"{proxy} refused a tunnel to {authority}: {truncated_repr(status)}{hint}{more}",
        response=reply,
    )
    error.is_origin_unreachable = reply.status_code in (502, 503, 504)
    return error


async def _read_reply(sock: StreamSocket, proxy: str) -> ProxyReply:
    received = b""
    total = informational = searched = 0
    while True:
        end = _END_OF_HEAD.search(received, searched)
        if end is None:
            if total > _MAX_HEAD_BYTES:
                raise ProxyError(f"{proxy} answered CONNECT with more than {total} bytes of head")
            more = await receive(sock, 16384)
            if not more:
                seen = f"after {truncated_repr(received)}" if received else "without a response"
                raise ProxyError(f"{proxy} closed the connection {seen} to CONNECT")
            searched = max(0, len(received) - 3)
            received += more
            total += len(more)
            continue
        reply = _parse(received[: end.start()], proxy)
        rest = received[end.end() :]
        if reply.status_code >= 300:
            return ProxyReply(
                reply.status_code, reply.reason_phrase, reply.headers, rest[:_MAX_BODY_BYTES]
            )
        if reply.status_code >= 200:
            if rest:
                raise ProxyError(
                    f"{proxy} opened a tunnel and sent {truncated_repr(rest)} after its response",
                    reply,
                )
            return reply
        informational += 1
        if informational > _MAX_INFORMATIONAL or reply.status_code == 101:
            raise ProxyError(f"{proxy} sent too many 1xx responses to CONNECT, or a 101", reply)
        received, searched = rest, 0


def _parse(head: bytes, proxy: str) -> ProxyReply:
    first, *lines = re.split(rb"\r?\n", head)
    found = _STATUS_LINE.match(first)
    if found is None:
        raise ProxyError(
            f"{proxy} answered CONNECT with {truncated_repr(first)}, which is not HTTP/1"
        )
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise ProxyError(
                f"{proxy} answered CONNECT with the header line {truncated_repr(line)}"
            )
        headers.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return ProxyReply(int(found[1]), (found[2] or b"").decode("latin-1").strip(), tuple(headers))
