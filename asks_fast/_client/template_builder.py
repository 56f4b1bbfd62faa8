"""Plans: what a session keeps of a request so as to send the next of its kind in one go.

Facts:  the long way through Python costs several times what an exchange does; a query, a few fields
        or a small body are added to a plan for a fraction of it.
Rules:  by a plan go the same bytes as by the long way (a test compares them). What is not surely
        simple is left to the long way, which also finds what is wrong with it.
Not here: the sending (`src_pyx/hotpath/request_template.pyx`), which plan serves which request (`sessions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _hotpath
from .._request.body import Body, make_body
from .._request.headers import HeadersBuilder
from .._request.prepared_request import MAX_INLINE_BODY, PreparedRequest
from .._transport.transport import Transport
from ..response_objects import Response
from ..urls import encode_params
from .drain import get_followup_statuses
from .retry import Retry

if TYPE_CHECKING:
    from .._config.options import RequestOptions

__all__ = ["TEMPLATE_CALL_OPTIONS", "TEMPLATE_SESSION_OPTIONS", "is_templatable", "make_template"]

# The options that a request sent by a plan may have.
TEMPLATE_CALL_OPTIONS = frozenset({"path", "params", "headers", "data", "json", "timeout"})

# The defaults that a session may have whose requests go by a plan.
TEMPLATE_SESSION_OPTIONS = frozenset(
    {
        "connection_timeout",
        "follow_redirects",
        "max_redirects",
        "read_timeout",
        "retries",
        "strict",
        "timeout",
        "write_timeout",
    }
)

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})

# Fields that mean something to the exchange itself.
FRAMING = frozenset({"content-length", "transfer-encoding", "expect"})
SPECIAL = FRAMING | {"connection", "host", "proxy-authorization"}


def is_templatable(request: PreparedRequest, builder: HeadersBuilder) -> bool:
    """Whether neither the request itself nor the session's fields ask for the long way."""
    return (
        request.url.userinfo is None
        and request.url.scheme in ("http", "https")
        and request.method in WITH_BODY | WITHOUT_BODY
        and not any(builder.is_mentioned(name) for name in FRAMING)
        and not request.has_connection_close
        and request.proxy_credentials is None
    )


def make_template(
    transport: Transport,
    origin: _hotpath.OriginPool,
    request: PreparedRequest,
    target: str,
    builder: HeadersBuilder,
    options: RequestOptions,
) -> _hotpath.RequestTemplate | None:
    """The plan for requests like this one, with a path behind `target`; `builder` are its fields.

    `options` are the session's own. None where a plan can't keep to them.
    """
    limit = as_timeout(options.timeout)
    retry = Retry.coerce(options.retries) if "retries" in options.explicit else None
    followup_statuses = get_followup_statuses(options, None, retry)
    if limit is None or options.pool_timeout is not None:
        return None
    if retry is not None and retry.predicate is not None:
        return None  # it judges every response
    if min(options.read_timeout or 1.0, options.write_timeout or 1.0) < 1.0:
        return None  # the keeper would have to be told
    fields = _hotpath.encode_headers([("Host", request.url.authority), *builder.items()])
    return _hotpath.RequestTemplate(
        origin,
        request.method.encode("ascii"),
        target.encode("ascii"),
        fields,
        builder.names(),
        Response,
        encode_options,
        partial(transport.open, limit=options.connection_timeout),
        transport.ensure_monitor,
        allows_body=request.method in WITH_BODY,
        is_idempotent=request.is_idempotent,
        followup_statuses=followup_statuses,
        retry_stale=options.retries != 0,
        has_retry_policy=retry is not None,
        timeout=limit,
        strict=options.strict,
    )


def as_timeout(timeout: Any) -> float | None:
    """A limit as a plan holds it, negative for none; None where it needs a second look."""
    if timeout is None:
        return -1.0
    return float(timeout) if type(timeout) in (int, float) and timeout > 0 else None


def encode_options(
    template: _hotpath.RequestTemplate, options: Mapping[str, Any]
) -> tuple[Any, bytes, float] | None:
    """What `options` add to a plan: a query or None, all behind its own fields, and a time limit.

    The limit is in seconds, negative for none, 0.0 for the session's own. None where `options` ask
    for more than a plan can do.
    """
    if not options.keys() <= TEMPLATE_CALL_OPTIONS:
        return None
    limit = as_timeout(options["timeout"]) if "timeout" in options else 0.0
    if limit is None:
        return None
    query, fields, typed = None, b"", "content-type" in template.header_names
    params = options.get("params")
    if params is not None:
        if type(params) is not dict:
            return None
        text = encode_params(params)
        query = f"?{text}".encode("ascii") if text else None
    headers = options.get("headers")
    if headers is not None:
        if not are_new_headers(headers, template.header_names):
            return None
        fields = _hotpath.encode_headers(headers.items())
        typed = typed or any(name.lower() == "content-type" for name in headers)
    data, json = options.get("data"), options.get("json")
    if data is None and json is None:
        end = b"Content-Length: 0\r\n\r\n" if template.allows_body else b"\r\n"
        return query, fields + end, limit
    if not template.allows_body or (data is not None and type(data) not in (bytes, str, dict)):
        return None
    body = make_body(data, json)
    if body is None or body.buffered is None or len(body.buffered) > MAX_INLINE_BODY:
        return None
    return query, fields + encode_body(body, typed), limit


def are_new_headers(headers: Any, header_names: frozenset[str]) -> bool:
    """Whether these fields can stand behind those of a plan as they are."""
    if type(headers) is not dict or not all(
        type(name) is str and type(value) is str for name, value in headers.items()
    ):
        return False
    given = {name.lower() for name in headers}
    return (
        len(given) == len(headers) and given.isdisjoint(header_names) and given.isdisjoint(SPECIAL)
    )


def encode_body(body: Body, typed: bool) -> bytes:
    data = body.buffered or b""
    if typed or not body.content_type:
        return b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
    kind = body.content_type.encode("ascii")
    return b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind, len(data), data)
