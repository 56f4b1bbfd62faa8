"""Prometheus metrics of sessions: requests, durations, errors, and figures of their pools.

Rules:  request figures come from events, which the fast path of a session reports too; figures of
        pools are read when Prometheus collects them, from any thread. Labels have few values:
        methods that are not registered count as `OTHER`, hosts are a label only if asked for.
        A pool holds no session alive: what became of closed and deleted ones is left out.
Implemented elsewhere: events (`_config/events`).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from .._extras import missing_extra

try:
    import prometheus_client
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        missing_extra("asks_fast.contrib.prometheus", "prometheus-client", "prometheus")
    ) from error

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from .._config.events import Event

__all__ = ["DURATION_BUCKETS", "PrometheusMetrics"]

DURATION_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25),
    *(0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
"""The default buckets of the histograms, in seconds."""

_METHODS = frozenset(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]
)
_READ_ATTEMPTS = 10

# name → (key of `pool_stats`, description)
_POOL_GAUGES = {
    "limit": ("limit", "Most connections that the session may open."),
    "waiting": ("waiting", "Requests that wait for a connection."),
}
_POOL_COUNTERS = {
    "opened": ("created", "Connections opened."),
    "reused": ("reused", "Exchanges over a connection that had served before."),
    "evicted": ("evicted", "Idle connections closed for another host or because of their age."),
}


class _Session(Protocol):
    """A session, with or without async."""

    def pool_stats(self) -> dict[str, int]: ...


SessionT = TypeVar("SessionT", bound=_Session)


class PrometheusMetrics(Collector):
    """Metrics of sessions for Prometheus: `on_event=metrics`, and `metrics.watch(session)`.

    With the default prefix:

    - `asks_fast_requests_total{method, status}`: exchanges that got a response
    - `asks_fast_request_errors_total{method, error}`: exchanges that failed, by class of the error
    - `asks_fast_request_duration_seconds{method}`: a histogram, from the beginning of an exchange,
      the wait for a connection included, to the head of its response
    - `asks_fast_connection_wait_seconds`: a histogram of the wait for a connection from the pool
    - `asks_fast_response_bytes_total{method}`: bytes of bodies as received, streams excepted
    - `asks_fast_retries_total{method}`, `asks_fast_followups_total{method}`: retries; redirects
      and answered challenges
    - `asks_fast_pool_connections{session, state}`: `in_use`, `idle` and `opening` ones
    - `asks_fast_pool_limit{session}`, `asks_fast_pool_waiting{session}`
    - `asks_fast_pool_opened_total{session}`, `asks_fast_pool_reused_total{session}`,
      `asks_fast_pool_evicted_total{session}`

    Args:
        registry: None for the registry of `prometheus_client`.
        prefix: the beginning of all names.
        by_host: whether request metrics have the label `host`. Each host then has its own series.
        buckets: upper limits of the histograms in seconds.

    Raises:
        ValueError: the registry has metrics of these names already.

    Example:
        metrics = PrometheusMetrics()
        async with HSession("https://api.example", on_event=metrics) as session:
            metrics.watch(session, "api")
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        prefix: str = "asks_fast",
        by_host: bool = False,
        buckets: Sequence[float] = DURATION_BUCKETS,
    ) -> None:
        self._registry = prometheus_client.REGISTRY if registry is None else registry
        self._prefix = prefix
        self._by_host = by_host
        self._sessions: dict[str, weakref.ref[_Session]] = {}
        self._lock = threading.Lock()
        host = ["host"] if by_host else []

        def counter(name: str, text: str, *labels: str) -> prometheus_client.Counter:
            return prometheus_client.Counter(
                f"{prefix}_{name}", text, [*labels, *host], registry=None
            )

        def histogram(name: str, text: str, *labels: str) -> prometheus_client.Histogram:
            return prometheus_client.Histogram(
                f"{prefix}_{name}", text, [*labels, *host], registry=None, buckets=buckets
            )

        self._requests = counter("requests", "Exchanges that got a response.", "method", "status")
        self._errors = counter("request_errors", "Exchanges that failed.", "method", "error")
        self._bytes = counter("response_bytes", "Bytes of bodies as received.", "method")
        self._retries = counter("retries", "Exchanges that were repeated.", "method")
        self._followups = counter("followups", "Redirects and answered challenges.", "method")
        self._duration = histogram(
            "request_duration_seconds", "From the beginning to the head of the response.", "method"
        )
        self._wait = histogram("connection_wait_seconds", "Wait for a connection from the pool.")
        self._registry.register(self)

    def __call__(self, event: Event) -> None:
        """Count an event: the `on_event=` of a session or a request."""
        name = event.name
        if name == "connection_acquired":
            labels = [event.request.url.host] if self._by_host else []
            wait = self._wait.labels(*labels) if labels else self._wait
            wait.observe(max(event.at - event.started, 0.0))
            return
        if name not in ("head", "body", "failed", "retry", "followup"):
            return
        method = event.request.method
        labels = [method if method in _METHODS else "OTHER"]
        host = [event.request.url.host] if self._by_host else []
        if name == "head":
            self._requests.labels(*labels, str(event.data["status"]), *host).inc()
            self._duration.labels(*labels, *host).observe(max(event.at - event.started, 0.0))
        elif name == "body":
            self._bytes.labels(*labels, *host).inc(event.data["size"])
        elif name == "failed":
            self._errors.labels(*labels, type(event.data["error"]).__name__, *host).inc()
        else:
            count = self._retries if name == "retry" else self._followups
            count.labels(*labels, *host).inc()

    def watch(self, session: SessionT, name: str = "default") -> SessionT:
        """Report the pool of a session, under the label `session=name`; returns the session.

        A second session of one name replaces the first.
        """
        with self._lock:
            self._sessions[name] = weakref.ref(session)
        return session

    def unregister(self) -> None:
        """Remove the metrics from the registry."""
        self._registry.unregister(self)

    # -- for the registry

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values, so that the registry can compare their names."""
        for one in self._own():
            yield from one.describe()
        yield from self._pool_metrics().values()

    def collect(self) -> Iterator[Metric]:
        """Return all metrics with their values of this moment."""
        for one in self._own():
            yield from one.collect()
        with self._lock:
            sessions = [(name, found()) for name, found in sorted(self._sessions.items())]
            for name, session in sessions:
                if session is None:
                    del self._sessions[name]
        metrics = self._pool_metrics()
        for name, session in sessions:
            stats = {} if session is None else _read(session)
            if not stats:
                continue
            for state in ("in_use", "idle", "opening"):
                metrics["connections"].add_metric([name, state], stats[state])
            for figure, (key, _) in (_POOL_GAUGES | _POOL_COUNTERS).items():
                metrics[figure].add_metric([name], stats[key])
        yield from metrics.values()

    def _own(self) -> Iterable[prometheus_client.Counter | prometheus_client.Histogram]:
        return (
            *(self._requests, self._errors, self._bytes, self._retries, self._followups),
            *(self._duration, self._wait),
        )

    def _pool_metrics(self) -> dict[str, GaugeMetricFamily | CounterMetricFamily]:
        """The metrics of pools, without values."""
        prefix = f"{self._prefix}_pool"
        metrics: dict[str, GaugeMetricFamily | CounterMetricFamily] = {
            "connections": GaugeMetricFamily(
                f"{prefix}_connections", "Connections by state.", labels=["session", "state"]
            )
        }
        for name, (_, text) in _POOL_GAUGES.items():
            metrics[name] = GaugeMetricFamily(f"{prefix}_{name}", text, labels=["session"])
        for name, (_, text) in _POOL_COUNTERS.items():
            metrics[name] = CounterMetricFamily(f"{prefix}_{name}", text, labels=["session"])
        return metrics


def _read(session: _Session) -> dict[str, int]:
    """The figures of a pool; empty if another thread changes it during each of several tries."""
    for _ in range(_READ_ATTEMPTS):
        try:
            return session.pool_stats()
        except RuntimeError:  # a dictionary changed while it was read
            continue
    return {}
