"""The attributes of a session that can be assigned: base, endpoint, headers, encoding.

Rules:  an assignment applies from the next request on. It discards everything derived from the old
        value: request templates, the base target, merged header fields.
Implemented elsewhere: defaults of requests (`options`), requests (`sessions`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import CIMultiDict

from .._config.argument_checks import check_arguments
from .._config.options import CONNECTION_OPTIONS, SESSION_DEFAULTS, SESSION_NAMES
from .._request.headers import HeadersBuilder, field_name, header_pairs
from ..errors import InvalidURL
from ..urls import Url, parse_url

if TYPE_CHECKING:
    import ssl

    from .._annotations import AnyArgument, AnyHeaderValue
    from .._cookies.jar import CookieTracker
    from .._hotpath import RequestTemplate
    from .argument_types import Fields

__all__ = ["SessionSettings", "check_assignment"]


def check_assignment(session: object, name: str) -> None:
    """Raise AttributeError if `name` is an argument of the session that cannot be assigned."""
    kind = type(session)
    if name in SESSION_NAMES and not hasattr(kind, name):
        is_of_requests = name in SESSION_DEFAULTS | CONNECTION_OPTIONS
        raise AttributeError(
            f"{name} cannot be assigned: it is an argument of {kind.__name__}(…)"
            + (" and of each request" if is_of_requests else "")
        )


class SessionSettings:
    """The settings of a session."""

    # Stored in the compiled base class.
    _headers: CIMultiDict[AnyHeaderValue]
    _templates: dict[tuple[object, ...], RequestTemplate]

    _cookie_tracker: CookieTracker | None

    if not TYPE_CHECKING:  # a type checker would accept every name

        def __setattr__(self, name: str, value: object) -> None:
            """Reject the assignment of an argument that the session has read already."""
            check_assignment(self, name)
            super().__setattr__(name, value)

    def __init__(
        self,
        base: str | None,
        endpoint: str | None,
        headers: Fields,
        encoding: str,
        defaults: dict[str, AnyArgument],
    ) -> None:
        check_arguments({"endpoint": endpoint, "encoding": encoding})
        self._defaults = defaults
        self._base: Url | None = None
        self._endpoint = endpoint or ""
        self._headers = self._as_headers(headers)
        self._encoding = encoding
        self._base_target: str | None = None  # the target of base and endpoint
        self._header_defaults: HeadersBuilder | None = None
        self._header_defaults_version = -1  # of `_headers` when they were merged
        self._ssl_context: ssl.SSLContext | None = None
        self._source_address: str | tuple[str, int] | None = None
        self._set_base(base)

    @staticmethod
    def _as_headers(headers: Fields) -> CIMultiDict[AnyHeaderValue]:
        return CIMultiDict([(field_name(name), value) for name, value in header_pairs(headers)])

    def _set_base(self, base: str | None) -> None:
        if base:
            url = parse_url(base)
            if "?" in url.target or url.fragment is not None:
                raise InvalidURL(
                    f"{str(url)!r} can't be the base of requests: it has a query or fragment; "
                    "give those with the request (params=, path=)"
                )
            self._base = url
        else:
            self._base = None
        self._invalidate()

    def _invalidate(self) -> None:
        """Discard everything derived from a setting."""
        self._clear_templates()  # type: ignore[attr-defined]  # of the compiled base class
        self._base_target = self._header_defaults = None

    @property
    def endpoint(self) -> str:
        """The path between the base and the path of each request."""
        return self._endpoint

    @endpoint.setter
    def endpoint(self, endpoint: str | None) -> None:
        check_arguments({"endpoint": endpoint})
        self._endpoint = endpoint or ""
        self._invalidate()

    @property
    def headers(self) -> CIMultiDict[AnyHeaderValue]:
        """The header fields of every request; can be changed and assigned at any time."""
        return self._headers

    @headers.setter
    def headers(self, headers: Fields) -> None:
        self._headers = self._as_headers(headers)
        self._invalidate()

    @property
    def encoding(self) -> str:
        """The encoding of text sent, and of received text without a charset."""
        return self._encoding

    @encoding.setter
    def encoding(self, encoding: str) -> None:
        check_arguments({"encoding": encoding})
        self._encoding = encoding
        self._invalidate()

    @property
    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context of new connections; None for the default one."""
        return self._ssl_context

    @ssl_context.setter
    def ssl_context(self, ssl_context: ssl.SSLContext | None) -> None:
        check_arguments({"ssl_context": ssl_context})
        self._ssl_context = ssl_context
        self._set_default_option("ssl_context", ssl_context)

    @property
    def source_address(self) -> str | tuple[str, int] | None:
        """The local address of new connections; None for any."""
        return self._source_address

    @source_address.setter
    def source_address(self, source_address: str | tuple[str, int] | None) -> None:
        check_arguments({"source_address": source_address})
        self._source_address = source_address
        self._set_default_option("source_address", source_address)

    def _set_default_option(self, name: str, value: object) -> None:
        self._defaults = {**self._defaults, name: value}
        self._invalidate()
