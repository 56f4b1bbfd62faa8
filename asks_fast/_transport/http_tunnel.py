"""A tunnel through an HTTP proxy: CONNECT (RFC 9110 §9.3.6) and the proxy's answer to it.

Facts:  a 2xx answer has no body whatever its fields say; behind its head the origin's own bytes
        begin, and with TLS the origin says nothing before we do.
Rules:  what is read is bounded. Bytes behind the head of a 2xx are an attack on the handshake
        (CVE-2023-40217) and an error. The request carries the proxy's fields and none of the
        origin's. Anything but 2xx is a `ProxyError` with the answer in it.
Not here: reaching the proxy, the TLS on either side of the tunnel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import ProxyError, printable, truncated_repr
from .raw_io import receive, send_all

__all__ = ["ProxyReply", "open_tunnel"]

_MOST_HEAD_BYTES = 65536
_MOST_INTERIM_ANSWERS = 16
_MOST_BODY_BYTES = 8192
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: ([^\r\n\x00]*))?\Z")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class ProxyReply:
    """What the proxy said to CONNECT: `headers` in order, and as much body as came along."""

    status_code: int
    reason_phrase: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<ProxyReply {self.status_code} {printable(self.reason_phrase, 80)}>"

    def values(self, name: str) -> list[str]:
        """The values of every field called `name`, in whatever case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def text(self) -> str:
        """The body as text, for people."""
        return self.body.decode("utf-8", "replace")


async def open_tunnel(
    sock: Any, authority: str, headers: Iterable[tuple[str, str]], proxy: str
) -> ProxyReply:
    """Ask the proxy at the other end of `sock` for a tunnel to `authority` ("host:port").

    `proxy` names it in errors. Returns the answer, 2xx or not: only after 2xx is `sock` a tunnel,
    after anything else it is of no use. Raises `ProxyError` where the answer is no HTTP, too
    long, or goes on behind a 2xx. Closes nothing.
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
            f"{proxy} broke off while a tunnel to {authority} was asked for: "
            f"{error.strerror or error}"
        ) from error


def refusal(proxy: str, authority: str, reply: ProxyReply) -> ProxyError:
    """The error for an answer other than 2xx."""
    said = f"{reply.status_code} {reply.reason_phrase}".strip()
    more = f"; it added {truncated_repr(reply.text.strip())}" if reply.body.strip() else ""
    hint = ""
    if reply.status_code == 407:
        hint = "; it wants a user name and password, or other ones"
    return ProxyError(
        f"{proxy} refused a tunnel to {authority}: {truncated_repr(said)}{hint}{more}",
        response=reply,
    )


async def _read_reply(sock: Any, proxy: str) -> ProxyReply:
    received = b""
    total = interim = searched = 0
    while True:
        end = _END_OF_HEAD.search(received, searched)
        if end is None:
            if total > _MOST_HEAD_BYTES:
                raise ProxyError(f"{proxy} answered CONNECT with more than {total} bytes of head")
            more = await receive(sock, 16384)
            if not more:
                seen = f" after {truncated_repr(received)}" if received else " without an answer"
                raise ProxyError(f"{proxy} closed the connection{seen} to CONNECT")
            searched = max(0, len(received) - 3)
            received += more
            total += len(more)
            continue
        reply = _parse(received[: end.start()], proxy)
        rest = received[end.end() :]
        if reply.status_code >= 300:
            return ProxyReply(
                reply.status_code, reply.reason_phrase, reply.headers, rest[:_MOST_BODY_BYTES]
            )
        if reply.status_code >= 200:
            if rest:
                raise ProxyError(
                    f"{proxy} opened a tunnel and sent {truncated_repr(rest)} behind its answer",
                    reply,
                )
            return reply
        interim += 1
        if interim > _MOST_INTERIM_ANSWERS or reply.status_code == 101:
            raise ProxyError(f"{proxy} answers CONNECT with {reply.status_code} and goes on", reply)
        received, searched = rest, 0


def _parse(head: bytes, proxy: str) -> ProxyReply:
    first, *lines = re.split(rb"\r?\n", head)
    found = _STATUS_LINE.match(first)
    if found is None:
        raise ProxyError(
            f"{proxy} answered CONNECT with {truncated_repr(first)}, which is no HTTP/1 answer"
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
