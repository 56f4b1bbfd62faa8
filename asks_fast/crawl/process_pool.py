"""A bulk run in several processes, as the parent sees it.

Each worker fetches the hosts of its shard (a hash of the host's name), so limits per host hold
without communication. All workers write to one output under the lock of its checkpoint.

Facts:  every worker reads an input file for itself. Standard input is read by the parent and
        distributed; a slow worker then delays the others once `MAX_QUEUED` requests wait for it.
Invariants: a worker that dies is started again and continues from the checkpoint, at most
        `MAX_STARTS` times in all. When `run` returns or raises, no worker is alive.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import tempfile
from collections.abc import Callable
from time import monotonic
from typing import Any

from curio import Queue, TaskGroup, run_in_thread, sleep
from curio.io import FileStream

from asks_fast._subprocess import python_command

from .bulk_fetch import OutputError
from .fetch_config import FetchConfig
from .inputs import InputLines
from .job import host_of, shard_of
from .request_identity import url_of
from .stats import FetchStats
from .worker_process import EXIT_CANNOT_WRITE

__all__ = ["ProcessPool"]

MAX_STARTS = 5
MAX_QUEUED = 2000  # requests waiting for one worker, when standard input is distributed


class ProcessPool:
    """Run a configuration in several processes: `await run()`."""

    def __init__(
        self,
        config: FetchConfig,
        count: int,
        *,
        report_failures: bool = False,
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Prepare the run.

        Args:
            config: the configuration of the whole run.
            count: number of processes.
            report_failures: pass each failure to `on_event`, not only the counts.
            on_event: called with each event of a worker that is not a progress report.
        """
        self.count = count
        self.config = dataclasses.replace(config, options=config.options.split(count))
        self.report_failures = report_failures
        self.on_event = on_event or (lambda event: None)
        self.started = monotonic()
        self.notes: list[str] = []  # messages for the user: deaths and restarts of workers
        self._ended_reports: list[dict[str, Any]] = []  # last reports of dead workers
        self._reports: list[dict[str, Any]] = [{} for _ in range(count)]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        self._stdin_lines: InputLines | None = None  # standard input
        self._queues = [Queue(MAX_QUEUED) for _ in range(count)] if config.source == "-" else []
        # The state of the `SharedRateLimit` of all workers; removed with its last descriptor.
        self._rate_file = tempfile.TemporaryFile() if config.options.rate else None  # noqa: SIM115
        self._stopping = False
        self._error: str | None = None

    @property
    def stats(self) -> FetchStats:
        """The sum of the last reports of all workers."""
        return FetchStats.merge(self._ended_reports + self._reports, self.started)

    @property
    def under_way(self) -> int:
        """The number of requests under way in all workers."""
        return sum(report.get("under_way", 0) for report in self._reports)

    @property
    def total(self) -> int | None:
        """The number of requests in the input, estimated unless `is_total_known`."""
        if self._stdin_lines is not None:
            return self._stdin_lines.total
        known = [report["total"] for report in self._reports if report.get("total") is not None]
        exact = [report["total"] for report in self._reports if report.get("is_at_end")]
        return max(exact or known, default=None)

    @property
    def is_total_known(self) -> bool:
        """Whether the input was read to its end, by the parent or by a worker."""
        if self._stdin_lines is not None:
            return self._stdin_lines.is_at_end
        return any(report.get("is_at_end") for report in self._reports)

    async def run(self) -> FetchStats:
        """Start the workers and wait for their end.

        A cancellation cancels the workers and waits for them.

        Raises:
            OutputError: the output cannot be written.
        """
        try:
            async with TaskGroup() as group:
                for which in range(self.count):
                    await group.spawn(self._supervise_worker, which)
                if self._queues:
                    await group.spawn(self._distribute_stdin, daemon=True)
        finally:
            await self._end_workers()
        if self._error is not None:
            raise OutputError(self._error)
        return self.stats

    async def stop(self) -> None:
        """Start no more requests; `run` returns when those under way have ended."""
        self._stopping = True
        self._signal(signal.SIGINT)

    def _signal(self, number: int) -> None:
        for process in self._processes:
            if process is not None and process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)

    async def _end_workers(self) -> None:
        """End every worker: cancel it, and kill it if that takes too long."""
        for _ in range(2):
            self._signal(signal.SIGINT)
            await sleep(0.05) if self._any_alive() else None
        deadline = monotonic() + 10
        while self._any_alive() and monotonic() < deadline:
            await sleep(0.05)
        self._signal(signal.SIGKILL)
        for process in self._processes:
            if process is not None:
                await run_in_thread(process.wait)
        if self._rate_file is not None:
            self._rate_file.close()

    def _any_alive(self) -> bool:
        return any(p is not None and p.poll() is None for p in self._processes)

    async def _supervise_worker(self, which: int) -> None:
        """Run one worker, and start it again if it dies."""
        for start in range(1, MAX_STARTS + 1):
            code = await self._run_worker(which)
            if code == 0:
                return
            if code == EXIT_CANNOT_WRITE or self._stopping:
                break
            self._ended_reports.append(self._reports[which])
            self._reports[which] = {}
            how = f"signal {-code}" if code < 0 else f"status {code}"
            self.notes.append(
                f"worker {which} ended with {how}"
                + ("; started again" if start < MAX_STARTS and not self._queues else "")
            )
            if self._queues:
                self._error = self._error or (
                    f"worker {which} ended with {how}, and the requests that it got from standard "
                    "input are lost; start again with --resume and the same input"
                )
                break
        else:
            self._error = self._error or (
                f"worker {which} ended {MAX_STARTS} times; the records "
                "written are whole, and --resume continues from there"
            )
        await self.stop()

    async def _run_worker(self, which: int) -> int:
        process = self._processes[which] = subprocess.Popen(
            python_command("asks_fast.crawl.worker_process"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=() if self._rate_file is None else (self._rate_file.fileno(),),
            start_new_session=True,
        )
        config = dataclasses.replace(self.config, shard=(which, self.count))
        stdin, stdout = FileStream(process.stdin), FileStream(process.stdout)
        try:
            async with TaskGroup() as group:
                await group.spawn(self._send_config, stdin, config, which, daemon=True)
                async for line in stdout:
                    self._on_event(which, json.loads(line))
            return int(await run_in_thread(process.wait))
        finally:
            await stdout.close()
            with contextlib.suppress(OSError):
                await stdin.close()

    async def _send_config(self, stdin: Any, config: FetchConfig, which: int) -> None:
        """Send the configuration, and the distributed requests, if any."""
        with contextlib.suppress(OSError):
            fd = None if self._rate_file is None else self._rate_file.fileno()
            setup = {
                "config": config.as_dict(),
                "report_failures": self.report_failures,
                "rate_fd": fd,
            }
            await stdin.write(json.dumps(setup).encode() + b"\n")
            if self._queues:
                while (request := await self._queues[which].get()) is not None:
                    await stdin.write(json.dumps(request).encode() + b"\n")
                await stdin.close()

    async def _distribute_stdin(self) -> None:
        """Read standard input and queue each request for the worker of its host."""
        async with InputLines("-") as lines:
            self._stdin_lines = lines
            async for request in lines:
                which = shard_of(host_of(url_of(request)), self.count)
                await self._queues[which].put(request)
        for queue in self._queues:
            await queue.put(None)

    def _on_event(self, which: int, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            self._reports[which] = event
        elif event["event"] == "broken":
            self._error = event["message"]
        else:
            self.on_event(event)
