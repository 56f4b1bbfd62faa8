"""A list of URLs in, an output file out.

`fetch` puts the pieces together: requests from an input, those done before left out, the rest
through `map` with politeness, each result written as a record and counted.

Facts:  a result is kept in memory until its batch is written: a second, a mebibyte or a thousand
        records, whichever comes first. Killed in between, its URL is simply not done.
Rules:  however `fetch` ends, what came in is written before it returns. A failed write ends the
        run with `OutputError`; the output stays as whole as it was.
Not here: the display (cli), sharing among processes (`workers`).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from time import monotonic
from typing import Any

from curio import TaskGroup, sleep

from ..errors import truncated_repr
from .checkpoint import Checkpoint, CheckpointError, Uint64Set
from .formats import RecordFormat
from .job import Result, host_of
from .local_errors import NotWritten, is_local_error, local_errors
from .map import Map, map_requests
from .options import FetchOptions
from .page import FetchRecord, PageSession
from .rate_limit import RateLimit
from .request_identity import RequestIdentity, SharedFetches, identify_request, url_of
from .stats import FetchStats

__all__ = ["BulkFetch", "CheckpointWriter", "OutputError", "StreamWriter", "is_own_shard"]

MAX_BATCH_RECORDS = 1000
MAX_BATCH_BYTES = 1024 * 1024
FLUSH_INTERVAL = 1.0


class OutputError(Exception):
    """The output took no more: full disk, broken pipe. What was written before is whole."""


class CheckpointWriter:
    """Collects records and commits them in batches."""

    can_resume = True

    def __init__(
        self, checkpoint: Checkpoint, record_format: RecordFormat, seconds: float = FLUSH_INTERVAL
    ) -> None:
        """`seconds`: how long a record may wait for its batch."""
        self.seconds = seconds
        self.checkpoint = checkpoint
        self.record_format = record_format
        self.written = 0  # records committed
        self._batch: list[tuple[int, bytes]] = []
        self._size = 0
        self._since = 0.0

    def add(self, key: int, fetched: FetchRecord | None, now: float) -> None:
        """One result; None notes that it is done and leaves no record."""
        record = _record(self.record_format, fetched)
        if not self._batch:
            self._since = now
        self._batch.append((key, record))
        self._size += len(record)
        if len(self._batch) >= MAX_BATCH_RECORDS or self._size >= MAX_BATCH_BYTES:
            self.flush()

    def flush_if_due(self, now: float) -> None:
        """Commit what has waited long enough."""
        if self._batch and now - self._since >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Commit what is there. Raises OutputError; the batch is then lost, the file is not."""
        batch, self._batch, self._size = self._batch, [], 0
        if not batch:
            return
        try:
            self.checkpoint.commit(batch, self.record_format.batch)
        except OSError as e:
            raise OutputError(
                f"cannot write to {self.checkpoint.output}: {e.strerror or e}; the records in it are "
                "whole, and --resume goes on from there"
            ) from e
        except CheckpointError as e:
            raise OutputError(str(e)) from e
        self.written += len(batch)

    def finish(self) -> None:
        """Commit the rest and have the disk hold it."""
        self.flush()
        try:
            self.checkpoint.sync()
        except OSError as e:
            raise OutputError(f"cannot write to {self.checkpoint.output}: {e.strerror or e}") from e


class StreamWriter:
    """Writes records to a descriptor that may be a pipe; nothing can be resumed there."""

    can_resume = False

    def __init__(
        self,
        fd: int,
        record_format: RecordFormat,
        name: str = "standard output",
        seconds: float = FLUSH_INTERVAL,
    ) -> None:
        self.seconds = seconds
        self.fd = fd
        self.record_format = record_format
        self.name = name
        self.written = 0
        self._batch: list[bytes] = []
        self._size = 0
        self._since = 0.0
        self._is_first = True

    def add(self, key: int, fetched: FetchRecord | None, now: float) -> None:
        """One result; plain JSON Lines go out at once, everything else in batches."""
        if fetched is None:
            return
        record = _record(self.record_format, fetched)
        if not self._batch:
            self._since = now
        self._batch.append(record)
        self._size += len(record)
        if self.record_format.name == "jsonl" or self._size >= MAX_BATCH_BYTES:
            self.flush()

    def flush_if_due(self, now: float) -> None:
        """Write what has waited long enough."""
        if self._batch and now - self._since >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Write what is there. Raises OutputError."""
        batch, self._batch, self._size = self._batch, [], 0
        if not batch:
            return
        view = memoryview(self.record_format.batch(batch, self._is_first))
        try:
            while view:
                view = view[os.write(self.fd, view) :]
        except BrokenPipeError as e:
            raise OutputError(
                f"{self.name} was closed by its reader; {self.written} records had "
                "been written to it"
            ) from e
        except OSError as e:
            raise OutputError(
                f"cannot write to {self.name}: {e.strerror or e}; {self.written} "
                "records had been written to it"
            ) from e
        self._is_first = False
        self.written += len(batch)

    def finish(self) -> None:
        """Write the rest."""
        self.flush()


def _record(record_format: RecordFormat, fetched: FetchRecord | None) -> bytes:
    """Return the record of a result, empty for None. Raises NotWritten if there can be none."""
    if fetched is None:
        return b""
    with local_errors(f"write the record of {truncated_repr(fetched.url)}"):
        return record_format.record(fetched)


class BulkFetch:
    """One bulk run: `await BulkFetch(...).run()`; `stats` has its numbers at any time."""

    def __init__(
        self,
        session: Any,
        options: FetchOptions,
        source: Iterable[Any] | AsyncIterable[Any],
        writer: CheckpointWriter | StreamWriter,
        *,
        pages: PageSession | None = None,
        on_result: Callable[[FetchRecord], None] | None = None,
        shard: tuple[int, int] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        """`shard`: (which, of how many): only the hosts that fall to this process.

        `rate_limit`: the one that it shares with the others.
        """
        self.rate_limit = rate_limit
        self.options = options
        self.pages = pages or PageSession(session, options)
        self.source = source
        self.writer = writer
        self.on_result = on_result
        self.shard = shard
        self.stats = FetchStats(monotonic())
        self.seen: Uint64Set = (
            writer.checkpoint.done if isinstance(writer, CheckpointWriter) else Uint64Set()
        )
        self._named = Uint64Set()  # in this run; apart from `seen`, which the writer fills
        self._shared = SharedFetches()
        self._results: Map | None = None
        self._failure: OutputError | None = None  # met while flushing on time

    async def run(self) -> FetchStats:
        """Fetch and write everything.

        Raises OutputError when the output takes no more, and what the input raises. Cancelled,
        requests under way are cancelled and what came in is written.
        """
        mapped = map_requests(
            self.pages,
            _UnseenRequests(self),
            concurrency=self.options.connections,
            retries=self.options.retries,
            politeness=self.options.politeness(self.rate_limit),
        )
        self._results = mapped
        try:
            async with TaskGroup() as group:
                await group.spawn(self._keep_flushing, daemon=True)
                async with mapped as results:
                    async for result in results:
                        self._note(result)
            if self._failure is not None:
                raise self._failure
        finally:
            self._note_slow_hosts()
            self.writer.finish()
        return self.stats

    async def stop(self) -> None:
        """Begin nothing more; `run` returns when what is under way has ended."""
        if self._results is not None:
            await self._results.stop()

    @property
    def under_way(self) -> int:
        """Requests under way."""
        return self._results.under_way if self._results is not None else 0

    async def _keep_flushing(self) -> None:
        """Commit batches in time, even when nothing comes in."""
        while True:
            await sleep(self.writer.seconds / 2)
            self._note_slow_hosts()
            try:
                self.writer.flush_if_due(monotonic())
            except OutputError as e:
                self._failure = e
                await self.stop()
                return

    def _note_slow_hosts(self) -> None:
        """Have the tally say which hosts are slow, and why."""
        if self._results is not None:
            self.stats.slow.update(self._results.slow_hosts)

    def _note(self, result: Result) -> None:
        """Write and count one result, and report it for the others that it answers too."""
        identity: RequestIdentity = result.key
        page: Any = result.response  # a Page: the session is a PageSession
        fetched = FetchRecord(
            identity.url,
            identity.user_key,
            page,
            result.error,
            result.attempts,
            result.elapsed,
            _time_of_day(),
            host_of(identity.url),
        )
        fetched = self._report(identity, fetched)
        if fetched.error is not None:
            outcome = "failed"
        else:
            outcome = "fetched" if page.dropped is None else "dropped"
        for other in self._shared.end(identity, outcome):
            self._report(other, fetched.shared_with(other.url, other.user_key))

    def _report(self, identity: RequestIdentity, fetched: FetchRecord) -> FetchRecord:
        """Write and count one record; one that cannot be written becomes a failure."""
        page = fetched.page
        dropped = page is not None and page.dropped is not None
        is_written = self._write(identity.key, fetched, dropped)
        page, error = fetched.page, fetched.error
        size = page.size if page is not None and fetched.same_as is None else 0
        self.stats.add(
            fetched.host,
            page.status_code if page is not None else None,
            size,
            type(error).__name__ if error is not None else None,
            dropped,
        )
        self.stats.not_written += not is_written
        if self.on_result is not None:
            self.on_result(fetched)
        if isinstance(error, NotWritten) and error.is_disk_full:
            raise OutputError(f"{error}; --resume goes on from there")
        return fetched

    def _write(self, key: int, fetched: FetchRecord, dropped: bool) -> bool:
        """Hand a result to the writer; False if a local error leaves its URL to the next run.

        An output that cannot be resumed gets a record of the error instead.
        """
        if is_local_error(fetched.error) and self.writer.can_resume:
            return False
        try:
            self.writer.add(key, None if dropped else fetched, monotonic())
        except NotWritten as error:
            fetched.page, fetched.error = None, error
            if not self.writer.can_resume:
                with suppress(NotWritten):  # the URL or the key is what cannot be written
                    self.writer.add(key, fetched.as_failure(error), monotonic())
            return False
        return True

    def identify_unseen(self, request: Any) -> tuple[RequestIdentity, Any] | None:
        """The request with what identifies it; None if it is done, named twice, or another's.

        Raises OutputError, as what shares an earlier fetch is reported here.
        """
        if self.shard is not None and not is_own_shard(host_of(url_of(request)), self.shard):
            return None
        identity, request = identify_request(request)
        if identity.key in self.seen or not self._named.add(identity.key):
            self.stats.skipped += 1
            return None
        state = self._shared.begin(identity)
        if state == "fetch":
            return identity, request
        if state == "fetched":
            empty = FetchRecord("", None, None, None, 0, 0.0, _time_of_day(), host_of(identity.url))
            self._report(identity, empty.shared_with(identity.url, identity.user_key))
        elif state == "dropped":
            self.writer.add(identity.key, None, monotonic())
        return None


def _time_of_day() -> str:
    """Now, as ISO 8601 in UTC."""
    at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return at.replace("+00:00", "Z")


def is_own_shard(host: str, shard: tuple[int, int]) -> bool:
    """Whether the host falls to this one of so many: the same for every process and run."""
    which, of = shard
    return zlib.crc32(host.encode("utf-8", "surrogatepass")) % of == which


class _UnseenRequests:
    """The input without what need not be done; closes what it reads."""

    def __init__(self, fetch: BulkFetch) -> None:
        self.fetch = fetch
        source = fetch.source
        self._async = source.__aiter__() if isinstance(source, AsyncIterable) else None
        self._sync = iter(source) if isinstance(source, Iterable) else None
        self._passed = 0

    def __aiter__(self) -> _UnseenRequests:
        return self

    async def __anext__(self) -> Any:
        while True:
            if self._async is not None:
                request = await self._async.__anext__()
            else:
                assert self._sync is not None
                try:
                    request = next(self._sync)
                except StopIteration:
                    raise StopAsyncIteration from None
            wanted = self.fetch.identify_unseen(request)
            if wanted is not None:
                return wanted
            self._passed += 1
            if self._passed % 1000 == 0:
                await sleep(0)  # a long stretch of what is done already

    async def aclose(self) -> None:
        """Close the input, where it can be closed."""
        close = getattr(self._async, "aclose", None)
        if close is not None:
            await close()
