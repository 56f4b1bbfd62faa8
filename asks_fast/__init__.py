"""asks_fast: the asks API on a compiled hot path, for programs that make a great many requests."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

from . import errors
from .base_funcs import delete, get, head, options, patch, post, put, request
from .drop_in import init, install_as_asks
from .errors import *  # noqa: F403
from .response_objects import Response, StreamResponse
from .sessions import DSession, HSession, Session

__all__ = [
    "AuthBase",
    "BasicAuth",
    "BearerAuth",
    "Cookie",
    "CookieTracker",
    "DSession",
    "DigestAuth",
    "HSession",
    "Kernel",
    "MultipartData",
    "PostResponseAuth",
    "PreResponseAuth",
    "Response",
    "Retry",
    "Session",
    "StreamResponse",
    "Timeouts",
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
    *errors.__all__,
]

# Loaded when first asked for: not every program pays for what few of them use.
_LAZY = {
    "AuthBase": "auth",
    "BasicAuth": "auth",
    "BearerAuth": "auth",
    "Cookie": "cookie_utils",
    "CookieTracker": "cookie_utils",
    "DigestAuth": "auth",
    "Kernel": "kernel",
    "MultipartData": "multipart",
    "PostResponseAuth": "auth",
    "PreResponseAuth": "auth",
    "Retry": "transport.retry",
    "Timeouts": "transport.timeouts",
    "run": "kernel",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        value = getattr(import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
