"""Get some pages, with spans, metrics and an HTTP Archive of what happened.

    python examples/telemetry.py ARCHIVE.har https://example.com/ [PAGE...]

Prints each span as JSON and the metrics in the format of Prometheus.
Needs: pip install opentelemetry-sdk prometheus_client
"""

from __future__ import annotations

import sys

import curio
import prometheus_client
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from asks_fast import DSession
from asks_fast.contrib.har import HarRecorder
from asks_fast.contrib.opentelemetry import OpenTelemetry
from asks_fast.contrib.prometheus import PrometheusMetrics


async def main(archive: str, pages: list[str]) -> None:
    """Get the pages; write the archive."""
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    metrics, recorder = PrometheusMetrics(), HarRecorder()
    tracer = tracers.get_tracer("example")
    async with DSession(
        on_event=[metrics, recorder], middleware=[OpenTelemetry(tracer_provider=tracers)]
    ) as session:
        metrics.watch(session, "example")
        with tracer.start_as_current_span("all pages"):
            await session.gather(pages)
        print(prometheus_client.generate_latest().decode())
    recorder.save(archive)
    tracers.shutdown()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    curio.run(main, sys.argv[1], sys.argv[2:])
