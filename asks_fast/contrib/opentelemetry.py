"""OpenTelemetry for sessions: a span for each exchange, a histogram of durations, `traceparent`.

Rules:  names and values follow the stable semantic conventions for HTTP clients, of the version of
        `SCHEMA_URL`. An exchange is one request that is sent: a redirect, a retry and the answer
        to a challenge have spans of their own. Nothing of a header or a body is recorded;
        credentials in URLs are replaced by `REDACTED`.
        The span is not made the current one: tasks of curio share their context variables, so a
        second task would become its child.
Implemented elsewhere: when middleware runs (`_client/middleware`), which names are sensitive
        (`_sensitive`).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from .._extras import missing_extra
from .._sensitive import mask_urls
from .._version import __version__
from ..errors import AsksException

try:
    from opentelemetry import metrics, propagate, trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        missing_extra("asks_fast.contrib.opentelemetry", "opentelemetry-api", "opentelemetry")
    ) from error

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import Span, TracerProvider

    from .._client.middleware import CallNext
    from .._request.prepared_request import PreparedRequest
    from ..response_objects import BaseResponse

__all__ = ["DURATION_BUCKETS", "SCHEMA_URL", "OpenTelemetry"]

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions."""

DURATION_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25),
    *(0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
"""The buckets that the conventions advise for `http.client.request.duration`, in seconds."""

_METHODS = "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE"
_OTHER = "_OTHER"  # a method that is not one of these


class OpenTelemetry:
    """Middleware that reports exchanges to OpenTelemetry: `middleware=[OpenTelemetry()]`.

    Put it last in the list, so that it sees requests as they are sent. One object may serve several
    sessions, in asyncio, trio, curio and blocking code.

    The span of a request is a child of the current span of the calling task. It has the attributes
    that the conventions require and recommend, and `http.request.resend_count` from the second
    exchange of a request on. A status of 400 or above, and an exception, make it an error. It ends
    with the body of the response, or with its head if `stream=True`.

    Args:
        tracer_provider: None for the global one.
        meter_provider: None for the global one.
        propagator: adds header fields such as `traceparent` to requests; None for the global one.

    Example:
        async with HSession("https://api.example", middleware=[OpenTelemetry()]) as session:
            await session.get("/items")
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(
            "asks_fast", __version__, tracer_provider, schema_url=SCHEMA_URL
        )
        meter = metrics.get_meter("asks_fast", __version__, meter_provider, schema_url=SCHEMA_URL)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )
        self._propagator = propagator
        known = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS") or _METHODS
        self._known_methods = frozenset(name.strip() for name in known.split(","))

    async def __call__(self, request: PreparedRequest, call_next: CallNext) -> BaseResponse:
        """Send a request within a span."""
        common = self._common_attributes(request)
        span = self._start_span(request, common)
        propagator = self._propagator or propagate.get_global_textmap()
        # pyright cannot match the type of the default setter, whatever the carrier is.
        propagator.inject(
            request.headers,
            trace.set_span_in_context(span),  # pyright: ignore[reportArgumentType]
        )
        outcome: dict[str, str | int] = {}
        started = time.perf_counter()
        try:
            response = await call_next(request)
            outcome = _response_attributes(response)
            if span.is_recording():
                _complete_span(span, response, outcome)
            return response
        except BaseException as error:
            outcome = {"error.type": f"{type(error).__module__}.{type(error).__qualname__}"}
            span.set_attributes(outcome)
            # The text of other errors may have secrets of the program.
            text = str(error) if isinstance(error, AsksException) else None
            span.set_status(Status(StatusCode.ERROR, text))
            raise
        finally:
            self._duration.record(
                time.perf_counter() - started,
                {**common, **outcome},
                context=trace.set_span_in_context(span),
            )
            span.end()

    def _common_attributes(self, request: PreparedRequest) -> dict[str, str | int]:
        """The attributes of both the span and the histogram."""
        method, url = request.method, request.url
        return {
            "http.request.method": method if method in self._known_methods else _OTHER,
            "server.address": url.host,
            "server.port": url.port,
        }

    def _start_span(self, request: PreparedRequest, common: dict[str, str | int]) -> Span:
        method = common["http.request.method"]
        attributes = {**common, "url.full": _redacted(request)}
        if method == _OTHER:
            attributes["http.request.method_original"] = request.method
        if request.attempt > 1:
            attributes["http.request.resend_count"] = request.attempt - 1
        return self._tracer.start_span(
            "HTTP" if method == _OTHER else str(method),
            kind=SpanKind.CLIENT,
            attributes=attributes,
        )


def _redacted(request: PreparedRequest) -> str:
    """The URL without the values of sensitive parameters, user and password."""
    url, userinfo = request.url, ""
    if url.userinfo is not None:
        url, userinfo = url.without_userinfo(), "REDACTED:REDACTED@"
    text = mask_urls(str(url), "REDACTED")
    return text.replace("://", f"://{userinfo}", 1) if userinfo else text


def _response_attributes(response: BaseResponse) -> dict[str, str | int]:
    status = response.status_code
    attributes: dict[str, str | int] = {
        "http.response.status_code": status,
        "network.protocol.version": response.http_version,
    }
    if status >= 400:
        attributes["error.type"] = str(status)
    return attributes


def _complete_span(span: Span, response: BaseResponse, outcome: dict[str, str | int]) -> None:
    attributes = dict(outcome)
    if isinstance(response.peer, tuple):
        attributes["network.peer.address"], attributes["network.peer.port"] = response.peer[:2]
    span.set_attributes(attributes)
    if "error.type" in outcome:
        span.set_status(Status(StatusCode.ERROR))
