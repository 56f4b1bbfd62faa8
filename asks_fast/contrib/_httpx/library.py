"""`Library`: httpx or httpx2, whose classes have the same names; and the types both have.

Rules:  errors of asks_fast are raised as those that httpx documents; all others pass unchanged.
Implemented elsewhere: messages and bodies (`messages`), the transports (`transports`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Protocol

from ... import errors

__all__ = ["HeadersInfo", "Library", "LimitsInfo", "RequestInfo"]

# The class that an error of asks_fast becomes; the first that matches decides.
ERRORS: list[tuple[type[errors.AsksException], str]] = [
    (errors.PoolTimeout, "PoolTimeout"),
    (errors.ConnectTimeout, "ConnectTimeout"),
    (errors.WriteTimeout, "WriteTimeout"),
    (errors.RequestTimeout, "ReadTimeout"),
    (errors.ProxyError, "ProxyError"),
    (errors.ConnectionFailed, "ConnectError"),
    (errors.BadHttpResponse, "RemoteProtocolError"),
    (errors.BodyLengthMismatch, "LocalProtocolError"),
    (errors.InvalidRequest, "LocalProtocolError"),
    (errors.SessionClosed, "ReadError"),
    (errors.ConnectivityError, "NetworkError"),
    (errors.AsksException, "TransportError"),
]


class LimitsInfo(Protocol):
    """Attributes of `httpx.Limits`."""

    max_connections: int | None
    max_keepalive_connections: int | None
    keepalive_expiry: float | None


class UrlInfo(Protocol):
    """Attributes of `httpx.URL`."""

    @property
    def scheme(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def raw_host(self) -> bytes: ...

    @property
    def port(self) -> int | None: ...

    @property
    def raw_path(self) -> bytes: ...


class HeadersInfo(Protocol):
    """Attributes of `httpx.Headers`."""

    @property
    def raw(self) -> Sequence[tuple[bytes, bytes]]: ...

    def __contains__(self, name: object, /) -> bool: ...

    def update(self, fields: Sequence[tuple[bytes, bytes]], /) -> None: ...


class RequestInfo(Protocol):
    """Attributes of `httpx.Request`."""

    @property
    def method(self) -> str: ...

    @property
    def url(self) -> UrlInfo: ...

    @property
    def headers(self) -> HeadersInfo: ...

    @property
    def stream(self) -> object: ...

    @property
    def extensions(self) -> Mapping[str, object]: ...


class Library:
    """One of the two packages.

    Args:
        module: the package itself.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self._errors: list[tuple[type[errors.AsksException], type[Exception]]] = [
            (ours, getattr(module, theirs)) for ours, theirs in ERRORS
        ]

    def make_error(self, error: errors.AsksException) -> Exception:
        """Make the error that the package documents for an error of asks_fast."""
        if isinstance(error, errors.ServerClosedConnectionError):
            module = self.module
            if error.is_unsent:
                return module.WriteError(str(error))  # type: ignore[no-any-return]
            if error.is_reset:
                return module.ReadError(str(error))  # type: ignore[no-any-return]
            return module.RemoteProtocolError(str(error))  # type: ignore[no-any-return]
        theirs = next(theirs for ours, theirs in self._errors if isinstance(error, ours))
        return theirs(str(error))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise the errors of asks_fast as those of the package."""
        try:
            yield
        except errors.AsksException as error:
            raise self.make_error(error) from error
