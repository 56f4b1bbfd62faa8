"""The request that a redirect leads to, and the credentials that it may carry.

Redirects follow RFC 9110, section 15.4, as browsers do: 303, and 301 or 302 after POST, become GET
without a body; 307 and 308 keep method and body. An origin is scheme, host and port. Header fields
with sensitive names, those that the user lists, cookies of the call and `Host` stay there.
`auth` stays too, unless `auth_off_domain=True`; that never applies from https down to http.
Whether a redirect is followed is decided in `_client/request_flow`.
"""

from __future__ import annotations

from copy import copy

from .._config.options import RequestOptions
from ..errors import InvalidURL, UnreplayableBody
from ..urls import Url, join_url
from .prepared_request import PreparedRequest, bound_fields

__all__ = ["auth_may_leave", "bound_fields", "follow_redirect", "next_request"]

_BODY_FIELDS = frozenset(
    [
        "content-type",
        "content-encoding",
        "content-language",
        "content-location",
        "expect",
        "trailer",
    ]
)


def auth_may_leave(options: RequestOptions, source: Url, target: Url) -> bool:
    """Tell whether `auth`, given for the origin of `source`, may go to that of `target`."""
    is_downgrade = source.scheme == "https" and target.scheme == "http"
    return options.auth_off_domain and not is_downgrade


def follow_redirect(request: PreparedRequest, status: int, location: bytes) -> PreparedRequest:
    """Make the request that a redirect with this status and Location leads to.

    Raises:
        InvalidURL: Location is not a URL that can be requested.
        UnreplayableBody: the body must be sent again and came from a one-shot stream.
    """
    try:
        url = join_url(request.url, location)
    except InvalidURL as error:
        raise InvalidURL(
            f"{request.method} {request.url}: {status} leads to a place that can't be gone to: "
            f"{error}"
        ) from None
    method, body = request.method, request.body
    drop: frozenset[str] = frozenset()
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        if method != "GET":
            drop = _BODY_FIELDS
        method, body = "GET", None
    elif not request.is_replayable:
        raise UnreplayableBody(
            f"{method} {request.url}: {status} asks for the body once more, but it came from a "
            "one-shot stream; give bytes, a path or a seekable file, or follow_redirects=False"
        )
    if not request.url.same_origin(url):
        drop |= bound_fields(request.fields, request.options) | {"proxy-authorization"}
    if url.userinfo is not None:
        url = url.without_userinfo()  # a server doesn't choose our credentials
    return request.for_redirect(method, url, body, drop)


def next_request(request: PreparedRequest, status: int, location: bytes) -> PreparedRequest:
    """As `follow_redirect`, for a caller who sends it: it follows no further redirect by itself."""
    made = follow_redirect(request, status, location)
    made.options = copy(request.options)
    made.options.follow_redirects = False
    if not request.url.same_origin(made.url):
        made.options.cookies = None
        if not auth_may_leave(request.options, request.url, made.url):
            made.options.auth = None
    return made
