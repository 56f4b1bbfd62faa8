"""The arguments of `httpx.AsyncHTTPTransport` as those of a session."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from ... import errors
from ..._client.retry import Attempt, Retry
from ..._transport.proxies import Proxy
from .library import Library, LimitsInfo

if TYPE_CHECKING:
    from ..._client.argument_types import SessionArguments

    class TransportArguments(SessionArguments):
        """Arguments of `DSession`."""

        connections: int


__all__ = ["Certificate", "SocketOption", "session_arguments"]

Certificate: TypeAlias = "str | tuple[str, str] | tuple[str, str, str]"
SocketOption: TypeAlias = "tuple[int, int, int | bytes]"

UNLIMITED = 1_000_000  # connections; file descriptors run out earlier
REMOVE_DEFAULTS: dict[str, None] = dict.fromkeys(
    ("User-Agent", "Accept", "Accept-Encoding", "Connection")
)


def session_arguments(
    library: Library,
    verify: ssl.SSLContext | str | bool,
    cert: Certificate | None,
    trust_env: bool,
    limits: LimitsInfo | None,
    proxy: object,
    uds: str | None,
    local_address: str | None,
    retries: int,
    socket_options: Iterable[SocketOption] | None,
) -> TransportArguments:
    """The arguments of the session that sends what a transport is given.

    Redirects, authentication, cookies, decompression and default header fields are turned off:
    httpx has its own.
    """
    module = library.module
    if limits is None:  # as in httpx
        limits = module.Limits(max_connections=100, keepalive_expiry=5.0)
    assert limits is not None
    # A connection that may not be kept serves one request.
    keeps_none = 0 in (limits.max_keepalive_connections, limits.keepalive_expiry)
    arguments: TransportArguments = {
        "ssl_context": module.create_ssl_context(verify, cert, trust_env),
        "connections": UNLIMITED if limits.max_connections is None else limits.max_connections,
        "idle_timeout": limits.keepalive_expiry or 0.0,
        "max_requests_per_connection": 1 if keeps_none else 0,
        "proxy": _as_proxy(library, proxy, trust_env),
        "unix_socket": uds,
        "source_address": local_address,
        "headers": REMOVE_DEFAULTS,
        "decompress": False,
        "follow_redirects": False,
        "retries": _connect_retries(retries),
    }
    if socket_options is not None:
        arguments["socket_options"] = list(socket_options)
    return arguments


def _as_proxy(library: Library, given: object, trust_env: bool) -> Proxy | None:
    """The proxy that is given as a URL or an `httpx.Proxy`."""
    if given is None:
        return None
    module = library.module
    proxy: Any = given if isinstance(given, module.Proxy) else module.Proxy(given)
    context: ssl.SSLContext | None = proxy.ssl_context
    if context is None and proxy.url.scheme == "https":
        context = module.create_ssl_context(trust_env=trust_env)
    ours = Proxy.from_url(str(proxy.url), headers=proxy.headers.multi_items(), ssl_context=context)
    if proxy.auth is None:
        return ours
    username, password = proxy.auth
    return replace(ours, username=username, password=password)


def _connect_retries(retries: int) -> int | Retry:
    """The policy that `retries` of httpx means: repeat what failed before a connection was made."""
    if retries == 0:
        return 0
    return Retry(attempts=retries, statuses=frozenset(), predicate=_failed_to_connect)


def _failed_to_connect(attempt: Attempt) -> bool:
    return isinstance(attempt.error, (errors.ConnectionFailed, errors.ConnectTimeout))
