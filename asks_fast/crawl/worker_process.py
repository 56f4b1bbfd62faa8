"""One of several processes that share a bulk run: `python -m asks_fast.crawl.worker_process`.

The first line of standard input is the plan as JSON, with the descriptor of a file that holds the
rate limit of all processes; where the plan's source is `-`, requests
follow, one JSON value a line. Events go to standard output, one JSON object a line.

Facts:  the parent's end shows as a broken pipe when the next event is written: at most a second
        later the run is cancelled, and what came in is written.
Rules:  SIGINT and SIGTERM stop, the second one cancels; the parent sends them.
        Exit status: 0 done or stopped, 23 the output took no more (the last event says why).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

from curio import sleep, spawn
from curio.io import FileStream

from .bulk_fetch import BulkFetch, OutputError
from .fetch_config import FetchConfig, make_session, run_in_kernel
from .inputs import InputLines
from .page import FetchRecord
from .rate_limit import SharedRateLimit
from .signals import SignalHandler

__all__ = ["main"]

REPORT_INTERVAL = 0.5  # seconds between two reports
EXIT_CANNOT_WRITE = 23  # the exit status of a worker, and of the whole command


class _Requests:
    """Requests as JSON values, one a line, until the parent closes the pipe."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> _Requests:
        return self

    async def __anext__(self) -> Any:
        line = await self._stream.readline()
        if not line:
            raise StopAsyncIteration
        return json.loads(line)


def _send_event(event: dict[str, Any]) -> None:
    """One event to the parent; OSError when it is gone."""
    data = memoryview(json.dumps(event).encode() + b"\n")
    while data:
        data = data[os.write(1, data) :]


async def _report_progress(fetch: BulkFetch, source: Any, running: Any) -> None:
    """Tell the parent how it goes; when it is gone, cancel."""
    while True:
        hosts = dict(fetch.stats.busiest_hosts(50))
        try:
            _send_event(
                {
                    "event": "progress",
                    **fetch.stats.as_dict(),
                    "hosts": hosts,
                    "under_way": fetch.under_way,
                    "total": getattr(source, "total", None),
                    "is_at_end": getattr(source, "is_at_end", False),
                }
            )
        except OSError:
            await running.cancel(blocking=False)
            return
        await sleep(REPORT_INTERVAL)


async def catch_error(running: Any) -> Exception | None:
    """Let it run; the error that ended it, if one did."""
    try:
        await running.run()
    except Exception as error:
        return error
    return None


async def _handle_signals(interrupts: SignalHandler, fetch: BulkFetch, running: Any) -> None:
    """First signal: begin nothing more. Second: cancel."""
    await interrupts.wait()
    await fetch.stop()
    await interrupts.wait()
    await running.cancel(blocking=False)


async def _main() -> int:
    control = FileStream(sys.stdin.buffer)
    setup = json.loads(await control.readline())
    config = FetchConfig.from_dict(setup["config"])
    reports_failures = setup["report_failures"]

    def on_result(one: FetchRecord) -> None:
        if one.error is not None and reports_failures:
            with contextlib.suppress(OSError):  # the next report notices
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
        with SignalHandler() as interrupts:
            running = await spawn(catch_error, fetch)
            helpers = [
                await spawn(_report_progress, fetch, source, running, daemon=True),
                await spawn(_handle_signals, interrupts, fetch, running, daemon=True),
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
    _send_event(
        {
            "event": "progress",
            **fetch.stats.as_dict(),
            "hosts": dict(fetch.stats.busiest_hosts(50)),
            "under_way": 0,
            "total": getattr(source, "total", None),
            "is_at_end": getattr(source, "is_at_end", False),
        }
    )
    return code


def main() -> None:
    """Carry out the plan that comes on standard input."""
    try:
        code = run_in_kernel(_main)
    except BrokenPipeError:
        code = 1
    os._exit(int(code))  # a thread that waits for a name must not keep us


if __name__ == "__main__":
    main()
