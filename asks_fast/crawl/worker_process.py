"""One worker of a bulk run in several processes: `python -m asks_fast.crawl.worker_process`.

The first line of standard input is JSON: the configuration, and the descriptor of a file with the
shared rate limit. If the input of the run is standard input, requests follow, one JSON value a
line. Events go to standard output, one JSON object a line.

Facts:  when the parent is gone, writing the next event fails; within a second the run is cancelled,
        and its results are written.
Invariants: the first SIGINT or SIGTERM stops the run, the second cancels it. Exit status: 0 done or
        stopped, 23 the output cannot be written (the last event has the reason).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any, Protocol

from curio import Task, sleep, spawn
from curio.io import FileStream

from .bulk_fetch import BulkFetch, OutputError
from .fetch_config import FetchConfig, make_session, run_in_kernel
from .file_io import write_all
from .inputs import InputLines
from .page import FetchRecord
from .rate_limit import SharedRateLimit
from .signals import SignalHandler, stop_on_signals

__all__ = ["main"]

REPORT_INTERVAL = 0.5  # seconds
EXIT_CANNOT_WRITE = 23  # of a worker, and of the whole command


class _Source(Protocol):
    """Where requests come from, with what is known of their number."""

    @property
    def total(self) -> int | None: ...

    @property
    def is_at_end(self) -> bool: ...


class _Requests:
    """Requests as JSON values, one a line, until the parent closes the pipe."""

    total = None
    is_at_end = False

    def __init__(self, stream: FileStream) -> None:
        self._stream = stream

    def __aiter__(self) -> _Requests:
        return self

    async def __anext__(self) -> Any:
        line = await self._stream.readline()
        if not line:
            raise StopAsyncIteration
        return json.loads(line)


def _send_event(event: dict[str, Any]) -> None:
    """Send one event to the parent; OSError if it is gone."""
    write_all(1, json.dumps(event).encode() + b"\n")


def _send_progress(fetch: BulkFetch, source: _Source) -> None:
    _send_event(
        {
            "event": "progress",
            **fetch.stats.as_dict(),
            "hosts": dict(fetch.stats.busiest_hosts(50)),
            "under_way": fetch.under_way,
            "total": source.total,
            "is_at_end": source.is_at_end,
        }
    )


async def _report_progress(fetch: BulkFetch, source: _Source, running: Task) -> None:
    """Send the counts every `REPORT_INTERVAL` seconds; cancel the run if the parent is gone."""
    while True:
        try:
            _send_progress(fetch, source)
        except OSError:
            await running.cancel(blocking=False)
            return
        await sleep(REPORT_INTERVAL)


async def catch_error(running: Any) -> Exception | None:
    """Await `running.run()` and return the error that ended it, or None."""
    try:
        await running.run()
    except Exception as error:
        return error
    return None


async def _main() -> int:
    control = FileStream(sys.stdin.buffer)
    setup = json.loads(await control.readline())
    config = FetchConfig.from_dict(setup["config"])
    reports_failures = setup["report_failures"]

    def on_result(one: FetchRecord) -> None:
        if one.error is not None and reports_failures:
            with contextlib.suppress(OSError):  # the next progress report cancels the run
                _send_event(
                    {
                        "event": "failed",
                        "url": one.url,
                        "error": type(one.error).__name__,
                        "message": str(one.error),
                    }
                )

    rate, fd = config.options.rate, setup["rate_fd"]
    rate_limit = (
        SharedRateLimit(fd, rate, config.options.burst) if rate and fd is not None else None
    )
    source = _Requests(control) if config.source == "-" else InputLines(config.source)
    code = 0
    async with make_session(config.options) as session:
        fetch, checkpoint = config.fetch(session, source, on_result, rate_limit)
        with SignalHandler() as signals:
            running = await spawn(catch_error, fetch)
            helpers = [
                await spawn(_report_progress, fetch, source, running, daemon=True),
                await spawn(stop_on_signals, signals, fetch, running, daemon=True),
            ]
            await running.wait()
            for helper in [*helpers, running]:
                await helper.cancel()
        error = None if running.exception is not None else running.result
        if isinstance(error, OutputError):
            _send_event({"event": "broken", "message": str(error)})
            code = EXIT_CANNOT_WRITE
        elif isinstance(error, Exception):
            _send_event({"event": "broken", "message": f"{type(error).__name__}: {error}"})
            code = 1
        if checkpoint is not None:
            checkpoint.close()
    _send_progress(fetch, source)
    return code


def main() -> None:
    """Run the configuration that arrives on standard input."""
    try:
        code = run_in_kernel(_main)
    except BrokenPipeError:
        code = 1
    os._exit(int(code))  # do not wait for threads that resolve names


if __name__ == "__main__":
    main()
