"""asks_fast: the asks API on a compiled hot path, for programs that make a great many requests."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError("asks_fast does not support Windows: it runs on Linux and macOS")
if find_spec(f"{__name__}._hotpath") is None:
    raise ImportError(
        f"the folder {__path__[0]} is the source code of asks_fast, without its compiled part: run "
        "the program in another folder, or compile this one with `pip install -e .`"
    )

from . import errors
from ._client import bulk
from ._version import __version__
from .base_funcs import delete, get, head, options, patch, post, put, request
from .compat import init, install_as_asks
from .errors import (
    AsksException,
    BadCookieFile,
    BadHttpResponse,
    BadStatus,
    BodyLengthMismatch,
    CircuitOpen,
    ConnectionFailed,
    ConnectivityError,
    ConnectTimeout,
    DecodingError,
    DnsTimeout,
    HeadTooLarge,
    InvalidHeader,
    InvalidRequest,
    InvalidURL,
    NameResolutionError,
    NoProxyAvailable,
    PoolTimeout,
    ProxyError,
    ReadTimeout,
    RequestTimeout,
    ResponseTooLarge,
    RobotsDisallowed,
    ServerClosedConnectionError,
    SessionClosed,
    StreamConsumed,
    TooManyRedirects,
    TotalTimeout,
    UnreplayableBody,
    WriteTimeout,
    WrongThread,
)
from .response_objects import BaseResponse, Response, StreamResponse
from .sessions import DSession, HSession, Session

if TYPE_CHECKING:
    from ._auth.netrc import NetrcAuth
    from ._cache.cache import Cache
    from ._client.middleware import CallNext, Middleware
    from ._client.retry import Retry
    from ._config.events import Event
    from ._config.peer_certificate import PeerCertificate
    from ._config.timeouts import Timeouts
    from ._config.timings import Timings
    from ._config.transfer import BandwidthLimit, Progress
    from ._request.prepared_request import PreparedRequest
    from ._response.server_sent_events import ServerSentEvent
    from ._transport.proxies import Proxy
    from ._transport.proxy_member import ProxyStats
    from ._transport.proxy_pool import ProxyPool
    from .auth import AuthBase, BasicAuth, BearerAuth, DigestAuth, PostResponseAuth, PreResponseAuth
    from .cookie_utils import Cookie, CookieTracker
    from .kernel import Kernel, run
    from .multipart import MultipartData

__all__ = [
    "AsksException",
    "AuthBase",
    "BadCookieFile",
    "BadHttpResponse",
    "BadStatus",
    "BandwidthLimit",
    "BaseResponse",
    "BasicAuth",
    "BearerAuth",
    "BodyLengthMismatch",
    "Cache",
    "CallNext",
    "CircuitOpen",
    "ConnectTimeout",
    "ConnectionFailed",
    "ConnectivityError",
    "Cookie",
    "CookieTracker",
    "DSession",
    "DecodingError",
    "DigestAuth",
    "DnsTimeout",
    "Event",
    "HSession",
    "HeadTooLarge",
    "InvalidHeader",
    "InvalidRequest",
    "InvalidURL",
    "Kernel",
    "Middleware",
    "MultipartData",
    "NameResolutionError",
    "NetrcAuth",
    "NoProxyAvailable",
    "PeerCertificate",
    "PoolTimeout",
    "PostResponseAuth",
    "PreResponseAuth",
    "PreparedRequest",
    "Progress",
    "Proxy",
    "ProxyError",
    "ProxyPool",
    "ProxyStats",
    "ReadTimeout",
    "RequestTimeout",
    "Response",
    "ResponseTooLarge",
    "Retry",
    "RobotsDisallowed",
    "ServerClosedConnectionError",
    "ServerSentEvent",
    "Session",
    "SessionClosed",
    "StreamConsumed",
    "StreamResponse",
    "Timeouts",
    "Timings",
    "TooManyRedirects",
    "TotalTimeout",
    "UnreplayableBody",
    "WriteTimeout",
    "WrongThread",
    "__version__",
    "delete",
    "errors",
    "get",
    "head",
    "init",
    "install_as_asks",
    "options",
    "patch",
    "post",
    "put",
    "request",
    "run",
]


def _load_bulk() -> bulk.BulkModule:
    from .crawl import map

    return map


bulk.register(_load_bulk)

# Loaded when first asked for: not every program pays for what few of them use.
_LAZY = {
    "AuthBase": "auth",
    "BandwidthLimit": "_config.transfer",
    "BasicAuth": "auth",
    "BearerAuth": "auth",
    "Cache": "_cache.cache",
    "CallNext": "_client.middleware",
    "Cookie": "cookie_utils",
    "CookieTracker": "cookie_utils",
    "DigestAuth": "auth",
    "Event": "_config.events",
    "Kernel": "kernel",
    "Middleware": "_client.middleware",
    "MultipartData": "multipart",
    "NetrcAuth": "_auth.netrc",
    "PeerCertificate": "_config.peer_certificate",
    "PostResponseAuth": "auth",
    "PreResponseAuth": "auth",
    "PreparedRequest": "_request.prepared_request",
    "Progress": "_config.transfer",
    "Proxy": "_transport.proxies",
    "ProxyPool": "_transport.proxy_pool",
    "ProxyStats": "_transport.proxy_member",
    "Retry": "_client.retry",
    "ServerSentEvent": "_response.server_sent_events",
    "Timeouts": "_config.timeouts",
    "Timings": "_config.timings",
    "run": "kernel",
}
# `sync` is our own; asks had the others.
_MODULES = frozenset(
    {
        "auth",
        "cookie_utils",
        "http_utils",
        "multipart",
        "req_structs",
        "request_object",
        "sync",
    }
)


def __getattr__(name: str) -> Any:
    if name in _LAZY or name in _MODULES:
        from importlib import import_module

        value: Any = import_module(f".{_LAZY.get(name, name)}", __name__)
        if name in _LAZY:
            value = getattr(value, name)
        globals()[name] = value
        return value
    from ._config.other_libraries import MODULE

    hint = f"; {MODULE[name]}" if name in MODULE else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
