"""Requests of Scrapy as the arguments of a request of a session.

Rules:  the request has the header fields of Scrapy and no others but Host and those of framing.
        What is for a proxy goes to the proxy only.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urldefrag

from ..._transport.proxies import Proxy
from .settings import normalize_address

if TYPE_CHECKING:
    from scrapy import Request

    from ..._client.argument_types import RequestArguments

__all__ = ["make_proxy", "request_arguments", "url_of"]

# Set from the body, which is in memory, or for the proxy.
NOT_SENT = frozenset([b"Content-Length", b"Transfer-Encoding", b"Proxy-Authorization"])


def url_of(request: Request) -> str:
    """The URL of a request without fragment."""
    url: str = request.url
    return urldefrag(url)[0] if "#" in url else url


def request_arguments(
    request: Request, url: str, context: ssl.SSLContext, encoding: str
) -> RequestArguments:
    """The arguments of the request of a session.

    Args:
        request: the request of Scrapy.
        url: its URL without fragment.
        context: for proxies that are reached by TLS.
        encoding: of the credentials of SOCKS proxies.
    """
    meta, body = request.meta, request.body
    arguments: RequestArguments = {"headers": _headers(request.headers, bool(body))}
    if body:
        arguments["data"] = body
    if "/." in url or meta.get("verbatim_url"):
        arguments["normalize_url"] = False  # Scrapy has encoded it, and resolves no dot segments
    if proxy := meta.get("proxy"):
        authorization = request.headers.get(b"Proxy-Authorization")
        arguments["proxy"] = make_proxy(proxy, authorization, context, encoding)
    if address := meta.get("bindaddress"):
        arguments["source_address"] = normalize_address(address)
    return arguments


def _headers(
    headers: Mapping[bytes, list[bytes]], has_body: bool
) -> dict[str, str | None] | list[tuple[bytes, bytes | None]]:
    """The fields to send.

    A dict of text, with which a session is fastest, if each field has one value in ASCII.
    """
    sent = [(name, values) for name, values in headers.items() if name not in NOT_SENT]
    removes_type = has_body and b"Content-Type" not in headers
    try:
        plain: dict[str, str | None] = {
            name.decode("ascii"): value.decode("ascii") for name, (value,) in sent
        }
    except ValueError:  # no value, several, or other characters
        pairs: list[tuple[bytes, bytes | None]] = [
            (name, value) for name, values in sent for value in values
        ]
        return [*pairs, (b"Content-Type", None)] if removes_type else pairs
    if removes_type:
        plain["Content-Type"] = None
    return plain


@lru_cache(maxsize=1024)
def make_proxy(
    url: str, authorization: bytes | None, context: ssl.SSLContext, encoding: str
) -> Proxy:
    """The proxy of a request.

    Args:
        url: `request.meta["proxy"]`, with or without scheme.
        authorization: the value of Proxy-Authorization.
        context: for a proxy that is reached by TLS.
        encoding: of user and password in `authorization`.

    Raises:
        ValueError: a SOCKS proxy takes a user and a password only.
    """
    if "://" not in url:
        url = f"http://{url}"
    options = {"ssl_context": context} if url.startswith("https:") else {}
    if authorization is None:
        return Proxy.from_url(url, **options)
    if not url.startswith("socks"):
        headers = [("Proxy-Authorization", authorization.decode("latin-1"))]
        return Proxy.from_url(url, headers=headers, **options)
    kind, _, token = authorization.partition(b" ")
    if kind.lower() != b"basic":
        raise ValueError(f"a SOCKS proxy takes Basic credentials only, not {kind.decode()!r}")
    user, _, password = base64.b64decode(token).decode(encoding).partition(":")
    return replace(Proxy.from_url(url), username=user, password=password)
