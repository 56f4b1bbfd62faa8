"""The bytes of a request's exchanges: what was sent and received, hop by hop.

`raw_exchanges` collects them from a response or an error, in order: redirects and authentication
challenges first, the final response last. An archive stores each exchange as it was transferred.

Invariants: heads are the bytes sent and received, except that credentials for a proxy are removed.
        A response that was not received from a socket (routes and recordings of tests) gets a head
        made from its header fields, one line each.

Implemented elsewhere: how they are written (`warc`).
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["RawExchange", "header_items", "raw_exchanges"]

_LINE_BREAKS = re.compile(r"[\r\n\0]")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_PROXY_LOGIN = re.compile(rb"\r\nproxy-authorization:[^\r\n]*", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked", re.IGNORECASE)


class RawExchange:
    """One request and its response, as bytes.

    Attributes:
        request: the request head, and a body that was sent together with it.
        head: the response head, with its empty line.
        body: the body as received, in its content coding and transfer coding.
        is_complete: whether all of the body is there.
        is_request_complete: whether all of the request is there.
    """

    __slots__ = ("body", "head", "is_complete", "is_request_complete", "request", "url")

    def __init__(
        self, url: str, request: bytes, head: bytes, body: bytes, is_complete: bool = True
    ) -> None:
        self.url = url  # without fragment
        self.request = request
        self.head = head
        self.body = body
        self.is_complete = is_complete
        self.is_request_complete = _is_whole_message(request)


def raw_exchanges(
    response: Any, error: BaseException | None = None, body: bytes | None = None
) -> list[RawExchange]:
    """Return all exchanges of a request that ended in `response` or in `error`.

    Args:
        response: the final response, or None.
        error: the error, where there is no response.
        body: replaces the body of a streamed response: all of it, without framing.
    """
    if response is None:
        response = getattr(error, "response", None)
        found = list(getattr(error, "history", ()))
    else:
        found = list(getattr(response, "history", ()))
    made = [_exchange(one) for one in found]
    if response is not None:
        made.append(_exchange(response, body))
    return made


def _exchange(response: Any, body: bytes | None = None) -> RawExchange:
    is_complete = body is not None or bool(getattr(response, "is_complete", True))
    data: bytes | bytearray = b""
    if body is not None:
        data = body
    elif isinstance(response.body, (bytes, bytearray)):
        data = response.body
    framed = getattr(response, "framed_body", None)
    head = getattr(response, "response_head", None)
    if head is None:
        head = _made_head(response)
    elif framed:
        data = framed
    elif is_complete and _CHUNKED.search(head):  # the framing was too large to keep
        chunk = b"%x\r\n%b\r\n" % (len(data), bytes(data)) if data else b""
        data = chunk + b"0\r\n\r\n"
    url = str(response.url or "").partition("#")[0]
    sent, end, rest = (getattr(response, "request_head", None) or b"").partition(b"\r\n\r\n")
    request = _PROXY_LOGIN.sub(b"", sent) + end + rest
    return RawExchange(url, request, head, bytes(data), is_complete)


def _made_head(response: Any) -> bytes:
    """Return a head for a response that was not received from a socket, without transfer coding."""
    lines = [f"HTTP/{response.http_version} {response.status_code} {response.reason_phrase}"]
    lines += [
        f"{name}: {value}"
        for name, value in header_items(response.headers)
        if name.lower() != "transfer-encoding"
    ]
    safe = [_LINE_BREAKS.sub(" ", line) for line in lines]
    return "\r\n".join([*safe, "", ""]).encode("utf-8", "backslashreplace")


def header_items(headers: Any) -> list[tuple[str, str]]:
    """Return name and value of each header field, in order; repeated fields are repeated."""
    raw = getattr(headers, "raw", None)
    if raw is not None:
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
    pairs: list[tuple[str, str]] = []
    for name, value in headers.items():
        for one in value if isinstance(value, list) else [value]:
            pairs.append((str(name), str(one)))
    return pairs


def _is_whole_message(message: bytes) -> bool:
    """Return whether a request, as far as it is known, includes all of its body."""
    head, _, body = message.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is not None:
        return int(length[1]) == len(body)
    return _CHUNKED.search(head) is None
