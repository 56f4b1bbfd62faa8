"""Prometheus metrics of real requests, read through the registry of prometheus_client."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import curio
import pytest
from support.hosts import run_asyncio, run_trio
from support.script_steps import OK, SERVING, close, expect, mark, send, stall
from support.scripted_server import MakePeer

pytest.importorskip("prometheus_client")

import prometheus_client

import asks_fast.sync
from asks_fast import DSession, HSession, Retry, errors
from asks_fast.contrib.prometheus import PrometheusMetrics

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"


class Exported:
    """Metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self.metrics = PrometheusMetrics(self.registry)

    def __call__(self, name: str, **labels: str) -> float | None:
        value: float | None = self.registry.get_sample_value(f"asks_fast_{name}", labels)
        return value


@pytest.fixture
def exported() -> Iterator[Exported]:
    made = Exported()
    yield made
    made.metrics.unregister()


async def test_requests(peer: MakePeer, exported: Exported) -> None:
    """Responses by method and status, their duration and size; also from a template."""
    server = peer([*[expect(), send(OK)] * 3, expect(), send(BUSY), close()])
    async with HSession(server.url, on_event=exported.metrics) as session:
        for _ in range(3):
            await session.get("/")
        await session.post("/", data=b"x")
    assert exported("requests_total", method="GET", status="200") == 3
    assert exported("requests_total", method="POST", status="503") == 1
    assert exported("response_bytes_total", method="GET") == 6
    assert exported("request_duration_seconds_count", method="GET") == 3
    assert 0 < (exported("request_duration_seconds_sum", method="GET") or 0) < 30
    assert exported("connection_wait_seconds_count") == 4


async def test_retries_and_redirects(peer: MakePeer, exported: Exported) -> None:
    """Each exchange counts, and why it was followed by another one."""
    server = peer([expect(), send(BUSY), expect(), send(REDIRECT), expect(), send(OK), close()])
    retries = Retry(attempts=1, backoff=0)
    async with HSession(server.url, on_event=exported.metrics, retries=retries) as session:
        await session.get("/")
    assert [
        exported("requests_total", method="GET", status=status) for status in ("503", "302", "200")
    ] == [1, 1, 1]
    assert exported("retries_total", method="GET") == 1
    assert exported("followups_total", method="GET") == 1


async def test_errors(exported: Exported) -> None:
    """Failures are counted by the class of their error."""
    async with DSession(on_event=exported.metrics) as session:
        with pytest.raises(errors.ConnectionFailed):
            await session.get("http://127.0.0.1:1/")
        with pytest.raises(errors.ConnectionFailed):
            await session.request("PURGE", "http://127.0.0.1:1/")
    assert exported("request_errors_total", method="GET", error="ConnectionFailed") == 1
    assert exported("request_errors_total", method="OTHER", error="ConnectionFailed") == 1


@pytest.mark.kernels("stock", "own")
async def test_pools(peer: MakePeer, exported: Exported) -> None:
    """What a pool does at the moment of the collection, while the session exists."""
    server = peer([expect(), mark("asked"), stall(), send(OK)])
    session = exported.metrics.watch(HSession(server.url, connections=1), "api")
    async with session:
        tasks = [await curio.spawn(session.get, "/") for _ in range(3)]
        await server.reached("asked")
        assert exported("pool_connections", session="api", state="in_use") == 1
        assert exported("pool_waiting", session="api") == 2
        assert exported("pool_limit", session="api") == 1
        assert exported("pool_opened_total", session="api") == 1
        for task in tasks:
            await task.cancel()
        assert exported("pool_connections", session="api", state="in_use") == 0
        assert exported("pool_waiting", session="api") == 0
    del session, tasks, task
    gc.collect()
    assert exported("pool_limit", session="api") is None


async def test_text_format(peer: MakePeer, exported: Exported) -> None:
    """The output of prometheus_client has help and type of each metric."""
    server = peer(SERVING)
    async with HSession(server.url, on_event=exported.metrics) as session:
        exported.metrics.watch(session)
        await session.get("/")
        text = prometheus_client.generate_latest(exported.registry).decode()
    assert 'asks_fast_requests_total{method="GET",status="200"} 1.0' in text
    assert "# TYPE asks_fast_request_duration_seconds histogram" in text
    assert 'asks_fast_pool_connections{session="default",state="idle"} 1.0' in text


async def test_by_host_and_prefix(peer: MakePeer) -> None:
    """Hosts are a label on request; the prefix allows several sets of metrics in one registry."""
    server = peer(SERVING)
    registry = prometheus_client.CollectorRegistry()
    PrometheusMetrics(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusMetrics(registry)
    metrics = PrometheusMetrics(registry, prefix="crawl", by_host=True, buckets=[1, 2])
    async with DSession(on_event=metrics) as session:
        await session.get(f"http://localhost:{server.port}/")
        await session.get(f"http://127.0.0.1:{server.port}/")
    for host in ("localhost", "127.0.0.1"):
        labels = {"method": "GET", "status": "200", "host": host}
        assert registry.get_sample_value("crawl_requests_total", labels) == 1


async def test_several_listeners(peer: MakePeer, exported: Exported) -> None:
    """`on_event=` takes a list: metrics and a function of the program."""
    server = peer(SERVING)
    names = []
    async with HSession(
        server.url, on_event=[exported.metrics, lambda event: names.append(event.name)]
    ) as session:
        for _ in range(2):
            await session.get("/")
    assert exported("requests_total", method="GET", status="200") == 2
    assert names.count("head") == 2


@pytest.mark.parametrize("run", [run_asyncio, run_trio])
def test_in_other_event_loops(run: Callable[..., Any], peer: MakePeer, exported: Exported) -> None:
    """In asyncio and trio."""
    server = peer(SERVING)

    async def main() -> None:
        async with HSession(server.url, on_event=exported.metrics) as session:
            await session.get("/")

    run(main)
    assert exported("requests_total", method="GET", status="200") == 1


def test_threads(peer: MakePeer, exported: Exported) -> None:
    """Blocking sessions in several threads, and a collection at the same time."""
    server = peer(SERVING)

    def work(number: int) -> None:
        with asks_fast.sync.HSession(server.url, on_event=exported.metrics) as session:
            exported.metrics.watch(session, str(number))
            for _ in range(20):
                session.get("/")

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        prometheus_client.generate_latest(exported.registry)
    for thread in threads:
        thread.join()
    assert exported("requests_total", method="GET", status="200") == 80


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the import says which extra installs it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "asks_fast.contrib.prometheus")
    with pytest.raises(ModuleNotFoundError, match="pip install prometheus-client"):
        import asks_fast.contrib.prometheus  # noqa: F401
