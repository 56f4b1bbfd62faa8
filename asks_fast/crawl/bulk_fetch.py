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
from .asked import Asked, SharedFetches, read_request, url_of
from .checkpoint import KeySet, Ledger, LedgerError
from .formats import Form
from .job import Result, host_of
from .local_errors import NotWritten, is_local_error, local_errors
from .map import Map, map_requests
from .options import FetchOptions
from .page import Fetched, PageSession
from .rate_limit import RateLimit
from .stats import Tally

__all__ = ["Fetch", "LedgerWriter", "OutputError", "StreamWriter", "is_ours"]

MOST_RECORDS = 1000
MOST_BYTES = 1024 * 1024
MOST_SECONDS = 1.0


class OutputError(Exception):
    """The output took no more: full disk, broken pipe. What was written before is whole."""


class LedgerWriter:
    """Collects records and commits them in batches."""

    can_resume = True

    def __init__(self, ledger: Ledger, form: Form, seconds: float = MOST_SECONDS) -> None:
        """`seconds`: how long a record may wait for its batch."""
        self.seconds = seconds
        self.ledger = ledger
        self.form = form
        self.written = 0  # records committed
        self._batch: list[tuple[int, bytes]] = []
        self._size = 0
        self._since = 0.0

    def add(self, key: int, fetched: Fetched | None, now: float) -> None:
        """One result; None notes that it is done and leaves no record."""
        record = _record(self.form, fetched)
        if not self._batch:
            self._since = now
        self._batch.append((key, record))
        self._size += len(record)
        if len(self._batch) >= MOST_RECORDS or self._size >= MOST_BYTES:
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
            self.ledger.commit(batch, self.form.batch)
        except OSError as e:
            raise OutputError(
                f"cannot write to {self.ledger.output}: {e.strerror or e}; the records in it are "
                "whole, and --resume goes on from there"
            ) from e
        except LedgerError as e:
            raise OutputError(str(e)) from e
        self.written += len(batch)

    def finish(self) -> None:
        """Commit the rest and have the disk hold it."""
        self.flush()
        try:
            self.ledger.sync()
        except OSError as e:
            raise OutputError(f"cannot write to {self.ledger.output}: {e.strerror or e}") from e


class StreamWriter:
    """Writes records to a descriptor that may be a pipe; nothing can be resumed there."""

    can_resume = False

    def __init__(
        self, fd: int, form: Form, name: str = "standard output", seconds: float = MOST_SECONDS
    ) -> None:
        self.seconds = seconds
        self.fd = fd
        self.form = form
        self.name = name
        self.written = 0
        self._batch: list[bytes] = []
        self._size = 0
        self._since = 0.0
        self._is_first = True

    def add(self, key: int, fetched: Fetched | None, now: float) -> None:
        """One result; plain JSON Lines go out at once, everything else in batches."""
        if fetched is None:
            return
        record = _record(self.form, fetched)
        if not self._batch:
            self._since = now
        self._batch.append(record)
        self._size += len(record)
        if self.form.name == "jsonl" or self._size >= MOST_BYTES:
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
        view = memoryview(self.form.batch(batch, self._is_first))
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


def _record(form: Form, fetched: Fetched | None) -> bytes:
    """Return the record of a result, empty for None. Raises NotWritten if there can be none."""
    if fetched is None:
        return b""
    with local_errors(f"write the record of {truncated_repr(fetched.url)}"):
        return form.record(fetched)


class Fetch:
    """One bulk run: `await Fetch(...).run()`; `tally` has its numbers at any time."""

    def __init__(
        self,
        session: Any,
        options: FetchOptions,
        source: Iterable[Any] | AsyncIterable[Any],
        writer: LedgerWriter | StreamWriter,
        *,
        pages: PageSession | None = None,
        on_result: Callable[[Fetched], None] | None = None,
        share: tuple[int, int] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        """`share`: (which, of how many): only the hosts that fall to this process.

        `rate_limit`: the one that it shares with the others.
        """
        self.rate_limit = rate_limit
        self.options = options
        self.pages = pages or PageSession(session, options)
        self.source = source
        self.writer = writer
        self.on_result = on_result
        self.share = share
        self.tally = Tally(monotonic())
        self.seen: KeySet = writer.ledger.done if isinstance(writer, LedgerWriter) else KeySet()
        self._named = KeySet()  # in this run; apart from `seen`, which the writer fills
        self._shared = SharedFetches()
        self._results: Map | None = None
        self._failure: OutputError | None = None  # met while flushing on time

    async def run(self) -> Tally:
        """Fetch and write everything.

        Raises OutputError when the output takes no more, and what the input raises. Cancelled,
        requests under way are cancelled and what came in is written.
        """
        mapped = map_requests(
            self.pages,
            _Fresh(self),
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
        return self.tally

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
            self.tally.slow.update(self._results.slow_hosts)

    def _note(self, result: Result) -> None:
        """Write and count one result, and report it for the others that it answers too."""
        asked: Asked = result.key
        page: Any = result.response  # a Page: the session is a PageSession
        fetched = Fetched(
            asked.url,
            asked.user_key,
            page,
            result.error,
            result.attempts,
            result.elapsed,
            _time_of_day(),
            host_of(asked.url),
        )
        fetched = self._report(asked, fetched)
        if fetched.error is not None:
            outcome = "failed"
        else:
            outcome = "fetched" if page.dropped is None else "dropped"
        for other in self._shared.end(asked, outcome):
            self._report(other, fetched.shared_with(other.url, other.user_key))

    def _report(self, asked: Asked, fetched: Fetched) -> Fetched:
        """Write and count one record; one that cannot be written becomes a failure."""
        page = fetched.page
        dropped = page is not None and page.dropped is not None
        is_written = self._write(asked.key, fetched, dropped)
        page, error = fetched.page, fetched.error
        size = page.size if page is not None and fetched.same_as is None else 0
        self.tally.add(
            fetched.host,
            page.status_code if page is not None else None,
            size,
            type(error).__name__ if error is not None else None,
            dropped,
        )
        self.tally.not_written += not is_written
        if self.on_result is not None:
            self.on_result(fetched)
        if isinstance(error, NotWritten) and error.is_disk_full:
            raise OutputError(f"{error}; --resume goes on from there")
        return fetched

    def _write(self, key: int, fetched: Fetched, dropped: bool) -> bool:
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

    def wants(self, request: Any) -> tuple[Asked, Any] | None:
        """The request with what identifies it; None if it is done, named twice, or another's.

        Raises OutputError, as what shares an earlier fetch is reported here.
        """
        if self.share is not None and not is_ours(host_of(url_of(request)), self.share):
            return None
        asked, request = read_request(request)
        if asked.key in self.seen or not self._named.add(asked.key):
            self.tally.skipped += 1
            return None
        state = self._shared.begin(asked)
        if state == "fetch":
            return asked, request
        if state == "fetched":
            empty = Fetched("", None, None, None, 0, 0.0, _time_of_day(), host_of(asked.url))
            self._report(asked, empty.shared_with(asked.url, asked.user_key))
        elif state == "dropped":
            self.writer.add(asked.key, None, monotonic())
        return None


def _time_of_day() -> str:
    """Now, as ISO 8601 in UTC."""
    at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return at.replace("+00:00", "Z")


def is_ours(host: str, share: tuple[int, int]) -> bool:
    """Whether the host falls to this one of so many: the same for every process and run."""
    which, of = share
    return zlib.crc32(host.encode("utf-8", "surrogatepass")) % of == which


class _Fresh:
    """The input without what need not be done; closes what it reads."""

    def __init__(self, fetch: Fetch) -> None:
        self.fetch = fetch
        source = fetch.source
        self._async = source.__aiter__() if isinstance(source, AsyncIterable) else None
        self._sync = iter(source) if isinstance(source, Iterable) else None
        self._passed = 0

    def __aiter__(self) -> _Fresh:
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
            wanted = self.fetch.wants(request)
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
