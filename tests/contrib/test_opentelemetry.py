"""Spans and metrics of OpenTelemetry, recorded by its SDK, of requests to servers on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import curio
import pytest
from support.hosts import run_asyncio, run_trio
from support.script_steps import OK, SERVING, close, expect, mark, send, stall
from support.scripted_server import MakePeer

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import asks_fast.sync
from asks_fast import DSession, HSession, Retry, errors
from asks_fast.contrib.opentelemetry import DURATION_BUCKETS, SCHEMA_URL, OpenTelemetry

REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Recorded:
    """The middleware, and what the SDK got of it."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.middleware = OpenTelemetry(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def points(self) -> list[Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        [metric] = data.resource_metrics[0].scope_metrics[0].metrics
        assert (metric.name, metric.unit) == ("http.client.request.duration", "s")
        return list(metric.data.data_points)


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_span_of_a_request(peer: MakePeer, recorded: Recorded) -> None:
    """One span per exchange, with the name, kind and attributes of the conventions."""
    server = peer(SERVING)
    async with HSession(server.url, middleware=[recorded.middleware]) as session:
        await session.get("/items?page=2")
    [span] = recorded.spans
    assert (span.name, span.kind) == ("GET", SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "network.peer.address": "127.0.0.1",
        "network.peer.port": server.port,
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "url.full": f"{server.url}/items?page=2",
    }
    scope = span.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version, scope.schema_url) == (
        "asks_fast",
        asks_fast.__version__,
        SCHEMA_URL,
    )


async def test_traceparent(peer: MakePeer, recorded: Recorded) -> None:
    """Each exchange has a `traceparent` of its own span; the spans have the caller's as parent."""
    server = peer([expect(), send(REDIRECT), expect(), send(OK), close()])
    tracer = recorded.tracers.get_tracer("test")
    async with HSession(server.url, middleware=[recorded.middleware]) as session:
        with tracer.start_as_current_span("caller") as caller:
            await session.get("/first")
    first, second, _ = recorded.spans
    for span, request in zip((first, second), server.requests, strict=True):
        context = span.get_span_context()
        assert context is not None
        expected = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        assert request.header("traceparent") == expected
        assert span.parent == caller.get_span_context()


async def test_configured_propagator(
    peer: MakePeer, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The global propagator is the default one; another can be given."""

    class Own(TextMapPropagator):
        fields = {"x-trace"}  # noqa: RUF012

        def __init__(self, value: str) -> None:
            self.value = value

        def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
            raise NotImplementedError

        def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
            assert trace.get_current_span(context).get_span_context().is_valid
            carrier["X-Trace"] = self.value

    server = peer(SERVING)
    monkeypatch.setattr(propagate, "get_global_textmap", lambda: Own("global"))
    given = OpenTelemetry(tracer_provider=recorded.tracers, propagator=Own("given"))
    async with HSession(server.url) as session:
        await session.get("/", middleware=[recorded.middleware])
        await session.get("/", middleware=[given])
    assert [request.header("x-trace") for request in server.requests] == ["global", "given"]
    assert all(request.header("traceparent") is None for request in server.requests)


async def test_resend_count(peer: MakePeer, recorded: Recorded) -> None:
    """Retries and redirects are counted: none, 1, 2."""
    server = peer([expect(), send(BUSY), expect(), send(REDIRECT), expect(), send(OK), close()])
    retries = Retry(attempts=1, backoff=0)
    async with HSession(server.url, middleware=[recorded.middleware], retries=retries) as session:
        assert (await session.get("/first")).attempts == 3
    spans = recorded.spans
    assert [attributes(span).get("http.request.resend_count") for span in spans] == [None, 1, 2]
    assert [attributes(span)["http.response.status_code"] for span in spans] == [503, 302, 200]
    assert attributes(spans[2])["url.full"] == f"{server.url}/next"


@pytest.mark.parametrize("status", [404, 503])
async def test_error_status(status: int, peer: MakePeer, recorded: Recorded) -> None:
    """4xx and 5xx are errors of a client span, without a description."""
    server = peer([expect(), send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status), close()])
    async with HSession(server.url, middleware=[recorded.middleware]) as session:
        await session.get("/")
    [span] = recorded.spans
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert attributes(span)["error.type"] == str(status)
    [point] = recorded.points()
    assert point.attributes["error.type"] == str(status)


async def test_connection_error(recorded: Recorded) -> None:
    """A failure is an error with its class; secrets in its text are masked."""
    async with DSession(middleware=[recorded.middleware]) as session:
        with pytest.raises(errors.ConnectionFailed):
            await session.get("http://127.0.0.1:1/?token=secret")
    [span] = recorded.spans
    assert span.status.status_code is StatusCode.ERROR
    assert "could not connect" in (span.status.description or "")
    assert attributes(span) == {
        "error.type": "asks_fast.errors.ConnectionFailed",
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": 1,
        "url.full": "http://127.0.0.1:1/?token=REDACTED",
    }
    [point] = recorded.points()
    assert point.attributes["error.type"] == "asks_fast.errors.ConnectionFailed"
    assert "secret" not in span.to_json()


@pytest.mark.kernels("stock", "own")
async def test_cancelled(peer: MakePeer, recorded: Recorded) -> None:
    """A cancelled request ends its span, with the class of the cancellation."""
    server = peer([expect(), mark("asked"), stall()])
    async with HSession(server.url, middleware=[recorded.middleware]) as session:
        task = await curio.spawn(session.get, "/")
        await server.reached("asked")
        await task.cancel()
    [span] = recorded.spans
    assert attributes(span)["error.type"] == "curio.errors.TaskCancelled"
    assert span.status.description is None


async def test_secrets_in_urls(peer: MakePeer, recorded: Recorded) -> None:
    """User, password and the values of sensitive parameters are not recorded, nor any header."""
    server = peer(SERVING)
    url = f"http://jo:secret@127.0.0.1:{server.port}/a?api_key=secret&q=1&X-Goog-Signature=secret"
    async with DSession(
        middleware=[recorded.middleware], headers={"X-Secret": "secret"}
    ) as session:
        await session.get(url, auth=("jo", "secret"), cookies={"sid": "secret"})
    [span] = recorded.spans
    assert attributes(span)["url.full"] == (
        f"{server.url}/a?api_key=REDACTED&q=1&X-Goog-Signature=REDACTED"
    )
    assert "secret" not in span.to_json()


async def test_other_methods(peer: MakePeer, recorded: Recorded) -> None:
    """A method that is not registered is `_OTHER`, its span `HTTP`."""
    server = peer(SERVING)
    async with HSession(server.url, middleware=[recorded.middleware]) as session:
        await session.request("PURGE", "/")
    [span] = recorded.spans
    assert span.name == "HTTP"
    assert attributes(span)["http.request.method"] == "_OTHER"
    assert attributes(span)["http.request.method_original"] == "PURGE"


async def test_duration(peer: MakePeer, recorded: Recorded) -> None:
    """The histogram has the advised buckets and the attributes that the conventions ask for."""
    server = peer(SERVING)
    async with HSession(server.url, middleware=[recorded.middleware]) as session:
        for number in range(3):
            await session.get(f"/{number}")
    [point] = recorded.points()
    assert tuple(point.explicit_bounds) == DURATION_BUCKETS
    assert point.count == 3
    assert 0 < point.sum < 30
    assert dict(point.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": server.port,
    }


async def test_stream(peer: MakePeer, recorded: Recorded) -> None:
    """The span of a stream ends with the head: a body that is never read leaves none open."""
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1"), stall()])
    async with HSession(server.url, middleware=[recorded.middleware]) as session:
        response = await session.get("/", stream=True)
        [span] = recorded.spans
        await response.body.close()
    assert attributes(span)["http.response.status_code"] == 200


@pytest.mark.kernels("stock", "own")
async def test_tasks_do_not_become_parents(peer: MakePeer, recorded: Recorded) -> None:
    """Requests under way at the same time are not each other's children."""
    server = peer(SERVING)
    async with HSession(server.url, middleware=[recorded.middleware], connections=5) as session:
        results = await session.gather([f"/{number}" for number in range(10)])
    assert all(result.unwrap().status_code == 200 for result in results)
    assert [span.parent for span in recorded.spans] == [None] * 10


@pytest.mark.parametrize("run", [run_asyncio, run_trio])
def test_in_other_event_loops(run: Callable[..., Any], peer: MakePeer, recorded: Recorded) -> None:
    """In asyncio and trio the current span of the calling task is the parent."""
    server = peer(SERVING)
    tracer = recorded.tracers.get_tracer("test")

    async def main() -> None:
        async with HSession(server.url, middleware=[recorded.middleware]) as session:
            with tracer.start_as_current_span("caller"):
                await session.get("/")

    run(main)
    request, caller = recorded.spans
    assert request.parent == caller.get_span_context()


def test_without_async(peer: MakePeer, recorded: Recorded, kernel_of_thread: None) -> None:
    """Blocking calls have spans too."""
    server = peer(SERVING)
    tracer = recorded.tracers.get_tracer("test")
    with (
        asks_fast.sync.HSession(server.url, middleware=[recorded.middleware]) as session,
        tracer.start_as_current_span("caller"),
    ):
        session.get("/")
    request, caller = recorded.spans
    assert request.parent == caller.get_span_context()


def test_the_defaults_are_the_global_providers() -> None:
    """Without arguments the global providers are used; without an SDK nothing is recorded."""
    OpenTelemetry()


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the import says which extra installs it."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "asks_fast.contrib.opentelemetry")
    with pytest.raises(ModuleNotFoundError, match="pip install opentelemetry-api"):
        import asks_fast.contrib.opentelemetry  # noqa: F401
