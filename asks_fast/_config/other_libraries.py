"""Attributes that other HTTP libraries have: reading one raises an AttributeError that names ours.

Invariants: `hasattr` is False for these names, so a program that looks for them sees no difference.
        Attributes that exist cost nothing: a `__getattr__` would make each access slower. A class
        of the user's may define these names.

Implemented elsewhere: arguments that other libraries have (`options`).
"""

from __future__ import annotations

__all__ = ["MODULE", "SESSION", "STREAM", "WHOLE", "add_hints"]

_CHUNKS = "send the request with stream=True, then use response.body.chunks(size)"
_COMMON = {
    "apparent_encoding": "use encoding, and detect_encoding=True for the request",
    "charset": "use encoding",
    "is_error": "use not ok",
    "is_permanent_redirect": "use status_code in (301, 308)",
    "is_success": "use ok",
    "reason": "use reason_phrase",
    "status": "use status_code",
}
WHOLE = {
    **_COMMON,
    **dict.fromkeys(
        ("aiter_bytes", "aiter_raw", "iter_bytes", "iter_content", "iter_raw"), _CHUNKS
    ),
    **dict.fromkeys(("aread", "read"), "use content: the body has been read"),
    **dict.fromkeys(("aiter_lines",), "use iter_lines()"),
    **dict.fromkeys(
        ("aclose", "close", "release"), "a response without stream=True needs no close"
    ),
}
"""Of a response whose body has been read."""
STREAM = {
    **_COMMON,
    **dict.fromkeys(
        ("aiter_bytes", "aiter_raw", "iter_bytes", "iter_content", "iter_raw"),
        "use body.chunks(size)",
    ),
    **dict.fromkeys(("aread", "read"), "use body.read()"),
    **dict.fromkeys(("aiter_lines", "iter_lines"), "use body.lines()"),
    **dict.fromkeys(("aiter_text", "iter_text", "text"), "use body.text()"),
    **dict.fromkeys(
        ("aclose", "close", "release"), "use body.close(), or the response in a with block"
    ),
    "json": "use json.loads on what body.read() returns, or send the request without stream=True",
}
"""Of a streamed response."""
SESSION = {
    "aclose": "use close()",
    "base_url": "use host of HSession, base_location of Session",
    "build_request": "use prepare()",
    "cookies": "use cookie_tracker_obj, with the argument persist_cookies=True",
    "event_hooks": "use the arguments middleware= and on_event=",
    "hooks": "use the arguments middleware= and on_event=",
    "mount": "use the arguments connections= and retries=",
    "proxies": "use the argument proxy=",
    "stream": "use the argument stream=True of a request",
    "ws_connect": "asks_fast has no WebSockets",
}
"""Of a session."""
MODULE = {
    "AsyncClient": "use HSession or DSession",
    "Client": "use sync.HSession or sync.DSession",
    "ClientSession": "use HSession or DSession",
    "ClientTimeout": "use Timeouts",
    "HTTPError": "use errors.AsksException, or errors.BadStatus of raise_for_status()",
    "HTTPStatusError": "use errors.BadStatus",
    "Limits": "use the arguments connections= and connections_per_host=",
    "RequestException": "use errors.AsksException",
    "Timeout": "use Timeouts",
    "exceptions": "use errors",
}
"""Of the package."""


class _Hint:
    def __init__(self, name: str, hint: str) -> None:
        self._name = name
        self._hint = hint

    def __get__(self, instance: object, owner: type | None = None) -> object:
        if instance is None:
            raise AttributeError(self._name)
        name = type(instance).__name__
        raise AttributeError(f"{name!r} object has no attribute {self._name!r}; {self._hint}")


def add_hints(kind: type, hints: dict[str, str]) -> None:
    """Add the hints to a class that has none of these attributes."""
    for name, hint in hints.items():
        setattr(kind, name, _Hint(name, hint))
