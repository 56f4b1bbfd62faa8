"""The attributes of a session that can be assigned: base, endpoint, headers, encoding.

Rules:  an assignment counts from the next request on. Everything derived from the old value is
        dropped: request templates, the base target, merged header fields.
Implemented elsewhere: defaults of requests (`options`), requests (`sessions`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

from .._request.headers import HeadersBuilder, field_name, header_pairs
from ..errors import InvalidURL
from ..urls import Url, parse_url

if TYPE_CHECKING:
    from .._hotpath import RequestTemplate

__all__ = ["SessionSettings"]


class SessionSettings:
    """The settings of a session."""

    _headers: CIMultiDict[Any]  # kept by the compiled base, as are the templates
    _templates: dict[tuple[Any, ...], RequestTemplate]

    def __init__(
        self,
        base: str | None,
        endpoint: str | None,
        headers: Any,
        encoding: str,
        defaults: dict[str, Any],
    ) -> None:
        self._defaults = defaults
        self._base: Url | None = None
        self._endpoint = endpoint or ""
        self._headers = self._as_headers(headers)
        self._encoding = encoding
        self._base_target: str | None = None  # the target of base and endpoint
        self._header_defaults: HeadersBuilder | None = None
        self._ssl_context: Any = None
        self._source_address: Any = None
        self._set_base(base)

    @staticmethod
    def _as_headers(headers: Any) -> CIMultiDict[Any]:
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
        """Drop everything that was derived from a setting."""
        self._templates.clear()
        self._base_target = self._header_defaults = None

    @property
    def endpoint(self) -> str:
        """The path that follows the host in every request."""
        return self._endpoint

    @endpoint.setter
    def endpoint(self, endpoint: str | None) -> None:
        self._endpoint = endpoint or ""
        self._invalidate()

    @property
    def headers(self) -> CIMultiDict[Any]:
        """The fields that every request of this session carries; change or assign at any time."""
        return self._headers

    @headers.setter
    def headers(self, headers: Any) -> None:
        self._headers = self._as_headers(headers)
        self._invalidate()

    @property
    def encoding(self) -> str:
        """The encoding of sent text, and of received text that does not name its own."""
        return self._encoding

    @encoding.setter
    def encoding(self, encoding: str) -> None:
        self._encoding = encoding
        self._invalidate()

    @property
    def ssl_context(self) -> Any:
        """The context of new https connections; None for the default one."""
        return self._ssl_context

    @ssl_context.setter
    def ssl_context(self, ssl_context: Any) -> None:
        self._ssl_context = ssl_context
        self._set_default_option("ssl_context", ssl_context)

    @property
    def source_address(self) -> Any:
        """The address that new connections come from; None for any."""
        return self._source_address

    @source_address.setter
    def source_address(self, source_address: Any) -> None:
        self._source_address = source_address
        self._set_default_option("source_address", source_address)

    def _set_default_option(self, name: str, value: Any) -> None:
        self._defaults = {**self._defaults, name: value}
        self._invalidate()
