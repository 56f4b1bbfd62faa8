"""A bulk run: requests from an input, records to an output file.

`BulkFetch` reads requests, skips those done before, sends the rest through `map` with limits per
host, writes each result as a record and counts it.

Facts:  a result stays in memory until its batch is written: after a second, a mebibyte or a
        thousand records, whichever comes first. After a kill in between, its URL counts as not
        done.
Invariants: however `run` ends, the results received are written before it returns. A failed write
        ends the run with `OutputError`, and the output stays whole.

Implemented elsewhere: displays (`cli.display`), several processes (`process_pool`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from time import monotonic
from typing import Any, ClassVar

from curio import TaskGroup, sleep

from ..errors import truncated_repr
from .checkpoint import Checkpoint, CheckpointError, Uint64Set
from .file_io import write_all
from .formats import RecordFormat
from .job import Result, host_of, shard_of
from .local_errors import NotWritten, is_local_error, local_errors
from .map import Map, map_requests
from .options import FetchOptions
from .page import FetchRecord, PageSession
from .previous_run import PreviousRun
from .rate_limit import RateLimit
from .request_identity import RequestIdentity, SharedFetches, identify_request, url_of
from .stats import FetchStats

__all__ = ["BulkFetch", "CheckpointWriter", "OutputError", "StreamWriter", "Writer", "record_of"]

MAX_BATCH_RECORDS = 1000
MAX_BATCH_BYTES = 1024 * 1024
FLUSH_INTERVAL = 1.0
MAX_LIMITS = 20  # hosts whose adaptive limits are shown


class OutputError(Exception):
    """The output cannot be written: full disk, broken pipe. What was written before is whole."""


class Writer(ABC):
    """Collect records and write them in batches.

    A batch is written when it has `MAX_BATCH_RECORDS` records or `MAX_BATCH_BYTES`, and when its
    first record is `seconds` old.
    """

    can_resume: ClassVar[bool]
    max_records = MAX_BATCH_RECORDS

    def __init__(self, record_format: RecordFormat, seconds: float = FLUSH_INTERVAL) -> None:
        self.record_format = record_format
        self.seconds = seconds
        self.written = 0  # records
        self._batch: list[tuple[int, bytes]] = []
        self._size = 0  # bytes of the batch
        self.before_write: Callable[[], None] | None = None  # called before each batch is written
        self.after_write: Callable[[list[int]], None] | None = None  # with the keys of the batch
        self._since = 0.0  # time of the first record of the batch

    def add(self, key: int, fetched: FetchRecord | None, now: float) -> None:
        """Add the record of one request; None notes that it is done and leaves no record.

        Raises:
            NotWritten: the record cannot be encoded.
            OutputError: as `flush`.
        """
        record = _record(self.record_format, fetched)
        if not self._batch:
            self._since = now
        self._batch.append((key, record))
        self._size += len(record)
        if len(self._batch) >= self.max_records or self._size >= MAX_BATCH_BYTES:
            self.flush()

    def flush_if_due(self, now: float) -> None:
        """Write the batch if its first record has waited for `seconds`."""
        if self._batch and now - self._since >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Write the batch.

        Raises:
            OutputError: the batch is lost; what was written before stays whole.
        """
        batch, self._batch, self._size = self._batch, [], 0
        if batch:
            if self.before_write is not None:
                self.before_write()
            self._write(batch)
            self.written += len(batch)
            if self.after_write is not None:
                self.after_write([key for key, _ in batch])

    def finish(self) -> None:
        """Write the rest."""
        self.flush()

    @abstractmethod
    def _write(self, batch: list[tuple[int, bytes]]) -> None: ...


class CheckpointWriter(Writer):
    """Write to a file that later runs can resume."""

    can_resume = True

    def __init__(
        self, checkpoint: Checkpoint, record_format: RecordFormat, seconds: float = FLUSH_INTERVAL
    ) -> None:
        super().__init__(record_format, seconds)
        self.checkpoint = checkpoint

    def _write(self, batch: list[tuple[int, bytes]]) -> None:
        try:
            self.checkpoint.commit(batch, self.record_format.batch)
        except OSError as e:
            raise OutputError(
                f"cannot write to {self.checkpoint.output}: {e.strerror or e}; the records in it "
                "are whole, and --resume continues from there"
            ) from e
        except CheckpointError as e:
            raise OutputError(str(e)) from e

    def finish(self) -> None:
        """Write the rest and flush it to the disk."""
        self.flush()
        try:
            self.checkpoint.sync()
        except OSError as e:
            raise OutputError(f"cannot write to {self.checkpoint.output}: {e.strerror or e}") from e


class StreamWriter(Writer):
    """Write to a descriptor that may be a pipe. Such an output cannot be resumed."""

    can_resume = False

    def __init__(
        self,
        fd: int,
        record_format: RecordFormat,
        name: str = "standard output",
        seconds: float = FLUSH_INTERVAL,
    ) -> None:
        super().__init__(record_format, seconds)
        self.fd = fd
        self.name = name
        if record_format.name == "jsonl":
            self.max_records = 1  # a reader of the pipe sees each record at once
        self._is_first = True

    def add(self, key: int, fetched: FetchRecord | None, now: float) -> None:
        """Add the record of one request; None leaves no record."""
        if fetched is not None:
            super().add(key, fetched, now)

    def _write(self, batch: list[tuple[int, bytes]]) -> None:
        data = self.record_format.batch([record for _, record in batch], self._is_first)
        try:
            write_all(self.fd, data)
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


def _record(record_format: RecordFormat, fetched: FetchRecord | None) -> bytes:
    """Return the record of a result, empty for None. Raises NotWritten if it cannot be encoded."""
    if fetched is None:
        return b""
    with local_errors(f"write the record of {truncated_repr(fetched.url)}"):
        return record_format.record(fetched)


class BulkFetch:
    """One bulk run: `await BulkFetch(...).run()`. `stats` has its counts at any time."""

    def __init__(
        self,
        session: Any,
        options: FetchOptions,
        source: Iterable[Any] | AsyncIterable[Any],
        writer: Writer,
        *,
        pages: PageSession | None = None,
        on_result: Callable[[FetchRecord], None] | None = None,
        shard: tuple[int, int] | None = None,
        rate_limit: RateLimit | None = None,
        previous: PreviousRun | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            session: the session to send with.
            options: how to fetch.
            source: the requests.
            writer: where records go.
            pages: reads the responses; default: a `PageSession` with these options.
            on_result: called with each record.
            shard: (index, number of shards): fetch only the hosts of this shard.
            rate_limit: a rate limit that several processes share.
            previous: an earlier run; only pages that changed since are transferred. Closed by
                `run`.
        """
        self.previous = previous
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
        self._named = Uint64Set()  # requests of this run; the writer fills `seen`
        self._shared = SharedFetches()
        self._results: Map | None = None
        self._failure: OutputError | None = None  # raised by a timed flush

    async def run(self) -> FetchStats:
        """Fetch and write everything.

        A cancellation cancels the requests under way; the results received are written.

        Raises:
            OutputError: the output cannot be written.

        The exceptions of the input are raised too.
        """
        mapped = map_requests(
            self.pages,
            self.requests(),
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
                        await self.handle(result)
            if self._failure is not None:
                raise self._failure
        finally:
            self._note_slow_hosts()
            if self.previous is not None:
                self.previous.close()
            self.writer.finish()
        return self.stats

    def requests(self) -> AsyncIterable[Any]:
        """Return the requests for `map`, with keys for `handle`."""
        return _UnseenRequests(self)

    async def handle(self, result: Result) -> None:
        """Write, count and report one result."""
        self._note(result)

    async def stop(self) -> None:
        """Start no more requests; `run` returns when those under way have ended."""
        if self._results is not None:
            await self._results.stop()

    @property
    def under_way(self) -> int:
        """The number of requests under way."""
        return self._results.under_way if self._results is not None else 0

    async def _keep_flushing(self) -> None:
        """Write batches in time, even while no results arrive."""
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
        """Copy the limits of busy hosts, and the reasons of slow ones, into the counts."""
        if self._results is not None:
            self.stats.slow.update(self._results.slow_hosts)
            busiest = [name for name, _ in self.stats.busiest_hosts(MAX_LIMITS)]
            self.stats.limits.update(self._results.adaptive_limits(busiest))

    def _note(self, result: Result) -> None:
        """Write, count and report one result, for the other requests that it answers too."""
        identity: RequestIdentity = result.key
        page: Any = result.response  # a Page, as the session is a PageSession
        fetched = record_of(identity.url, identity.user_key, result)
        if self.previous is not None and page is not None:
            self._compare(identity, fetched)
        fetched = self.report(identity, fetched)
        if fetched.error is not None:
            outcome = "failed"
        else:
            outcome = "fetched" if page is None or page.dropped is None else "dropped"
        for other in self._shared.end(identity, outcome):
            self.report(other, fetched.shared_with(other.url, other.user_key))

    def _compare(self, identity: RequestIdentity, fetched: FetchRecord) -> None:
        """Set the earlier page in the record if the response is a 304 for it."""
        assert self.previous is not None
        assert fetched.page is not None
        page = fetched.page
        try:
            fetched.earlier = self.previous.find_unchanged(identity, page.status_code, page.url)
        except NotWritten as error:
            fetched.page, fetched.error = None, error

    def report(self, identity: RequestIdentity, fetched: FetchRecord) -> FetchRecord:
        """Write and count one record; a record that cannot be written becomes a failure."""
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
            fetched.earlier is not None,
        )
        self.stats.not_written += not is_written
        if self.on_result is not None:
            self.on_result(fetched)
        if isinstance(error, NotWritten) and error.is_disk_full:
            raise OutputError(f"{error}; --resume continues from there")
        return fetched

    def _write(self, key: int, fetched: FetchRecord, dropped: bool) -> bool:
        """Write a record; return False if a local error leaves its URL to the next run.

        An output that cannot be resumed gets a record of the error instead.
        """
        if is_local_error(fetched.error) and self.writer.can_resume:
            return False
        try:
            self.writer.add(key, None if dropped else fetched, monotonic())
        except NotWritten as error:
            fetched.page, fetched.error = None, error
            if not self.writer.can_resume:
                with suppress(NotWritten):  # the URL or the key cannot be encoded
                    self.writer.add(key, fetched.as_failure(error), monotonic())
            return False
        return True

    def identify_unseen(self, request: Any) -> tuple[RequestIdentity, Any] | None:
        """Return a request with its identity; None if it is done, repeated, or of another shard.

        Raises:
            OutputError: while reporting a request that an earlier fetch answers.
        """
        if (
            self.shard is not None
            and shard_of(host_of(url_of(request)), self.shard[1]) != self.shard[0]
        ):
            return None
        identity, request = identify_request(request)
        if identity.key in self.seen or not self._named.add(identity.key):
            self.stats.skipped += 1
            return None
        state = self._shared.begin(identity)
        if state == "fetch":
            if self.previous is not None:
                request = self.previous.make_conditional(identity, request)
            return identity, request
        if state == "fetched":
            empty = FetchRecord("", None, None, None, 0, 0.0, _time_of_day(), host_of(identity.url))
            self.report(identity, empty.shared_with(identity.url, identity.user_key))
        elif state == "dropped":
            self.writer.add(identity.key, None, monotonic())
        return None


def record_of(url: str, key: Any, result: Result) -> FetchRecord:
    """Return the record of one result of a `PageSession`."""
    page: Any = result.response  # a Page
    return FetchRecord(
        url,
        key,
        page,
        result.error,
        result.attempts,
        result.elapsed,
        _time_of_day(),
        host_of(url),
    )


def _time_of_day() -> str:
    """Return the current time as ISO 8601 in UTC."""
    at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return at.replace("+00:00", "Z")


class _UnseenRequests:
    """The input without the requests that need not be fetched; closes what it reads."""

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
                await sleep(0)  # many requests in a row were done before

    async def aclose(self) -> None:
        """Close the input if it can be closed."""
        close = getattr(self._async, "aclose", None)
        if close is not None:
            await close()
