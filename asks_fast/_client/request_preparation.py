"""Prepare a request from the arguments of a call and the defaults of the session.

Rules:  a request to an origin other than that of the base gets no defaults that are bound to it.
Implemented elsewhere: the assignable defaults (`settings`), which defaults are bound to the base
(`credentials`), head and body (`_request.prepared_request`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import getversion

from .. import _hotpath
from .._config.options import RequestOptions
from .._request.headers import HeadersBuilder
from .._request.prepared_request import PreparedRequest, prepare
from ..errors import InvalidURL, truncated_repr
from ..urls import Url, is_relative, join_path, parse_url
from .credentials import bound_fields, defaults_off_origin
from .default_headers import default_headers
from .settings import SessionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from .._annotations import AnyArgument
    from .argument_types import Location, PreparedArguments

__all__ = ["RequestPreparation"]

__tracebackhide__ = True  # pytest leaves out frames of this module


class RequestPreparation(SessionSettings):
    """The methods of a session that prepare a request."""

    def prepare(
        self, method: str, url: Location = None, **options: Unpack[PreparedArguments]
    ) -> PreparedRequest:
        """Prepare a request without sending it; `send` sends it.

        Args:
            method: as for `request`.
            url: as for `request`.
            options: the arguments of `request`.

        Returns:
            The request. Cookies and credentials are added when it is sent.

        Raises:
            InvalidRequest, InvalidURL, TypeError: an argument is invalid.

        Example:
            request = session.prepare("GET", "/search", params={"q": "asks"})
            response = await session.send(request)
        """
        return self._prepare(method, url, options, "prepare")[0].copy()

    def _prepare(
        self,
        method: str,
        url: Location,
        given: Mapping[str, AnyArgument],
        function: str = "request",
    ) -> tuple[PreparedRequest, HeadersBuilder, dict[str, AnyArgument]]:
        """Return a request, and the header fields and options that it has from the session."""
        defaults = self._defaults
        merged = {**defaults, **given} if defaults else given
        options = RequestOptions(merged, function)
        target = self._resolve_url(url, options)
        builder = self._default_headers()
        if self._base is not None and not target.same_origin(self._base):
            defaults = defaults_off_origin(self._defaults, options, self._base, target)
            options = RequestOptions({**defaults, **given})
            builder = builder.copy()
            builder.remove(bound_fields(builder, options))
        return prepare(method, target, builder, options, self.encoding), builder, defaults

    def _default_headers(self) -> HeadersBuilder:
        """Return the header fields of every request. The caller must not change them."""
        version = getversion(self._headers)
        if self._header_defaults is None or version != self._header_defaults_version:
            self._header_defaults = HeadersBuilder(default_headers())
            self._header_defaults.update(self._headers)
            self._header_defaults_version = version
        return self._header_defaults

    def _resolve_url(self, url: Location, options: RequestOptions) -> Url:
        """Return the URL of a request: the argument, or base, endpoint and path joined."""
        relative = self._relative_part(url)
        if relative is None:
            assert url is not None
            return parse_url(url, normalize=options.normalize_url)
        if self._base is None:
            raise InvalidURL(f"{type(self).__name__} has no base: give the request a URL")
        if relative and options.path:
            raise InvalidURL(
                f"{truncated_repr(relative)} and path={truncated_repr(options.path)} "
                "exclude each other"
            )
        path = relative or options.path
        if self._base_target is None:
            self._base_target = join_path(self._base, self._endpoint, "")
        target = _hotpath.append_path(self._base_target, path) if path else self._base_target
        if target is None:
            target = join_path(self._base, self._endpoint, path)
        return self._base.with_target(target)

    def _relative_part(self, url: Location) -> str | None:
        """Return the part of a URL that follows base and endpoint, None for an absolute URL."""
        if not url:
            return ""
        if isinstance(url, str) and self._base is not None and is_relative(url):
            return url
        return None
