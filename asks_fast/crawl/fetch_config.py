"""The configuration of a bulk run as plain data: input, options and output.

The command line, its worker processes and `asks_fast.scaleout` all run a `FetchConfig`. It can be
sent to another process as JSON.

Invariants: `open_output` (checks, overwriting, removal of partial files) runs once, before any
        process opens the output. `FetchConfig.fetch` only appends.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .bulk_fetch import BulkFetch, CheckpointWriter, StreamWriter, Writer
from .checkpoint import Checkpoint
from .formats import PARQUET, RecordFormat, format_name, get_format
from .options import FetchOptions
from .page import FetchRecord, PageSession
from .parquet import ParquetFile, import_parquet, shard_lock
from .partial_files import remove_abandoned
from .previous_run import PreviousRun
from .rate_limit import RateLimit

__all__ = ["FetchConfig", "make_session", "open_output", "run_in_kernel"]


@dataclass
class FetchConfig:
    """The configuration of one bulk run.

    Attributes:
        source: a file name, or `-` for standard input.
        output: a file name, or `-` for standard output; with `directory`, the index file.
        options: how to fetch.
        record_format: name of the format; None: by the suffix of the output's name.
        body, headers: what JSON records contain.
        directory: a directory that bodies are saved in.
        shard: (index, number of shards); only hosts of that shard are fetched.
        flush_interval: seconds that a result may wait before it is written. A killed run fetches
            results of that time again.
        previous: the index of an earlier run (`previous_run`); only what changed is transferred.
        previous_directory: the directory of its files.
    """

    source: str
    output: str
    options: FetchOptions = field(default_factory=FetchOptions)
    record_format: str | None = None
    body: str = "auto"
    headers: bool = False
    directory: str | None = None
    shard: tuple[int, int] | None = None
    flush_interval: float = 1.0
    previous: str | None = None
    previous_directory: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` accepts."""
        made = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**made, "options": self.options.as_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FetchConfig:
        """Return the configuration from plain data."""
        shard = data["shard"]
        return cls(
            **{
                **data,
                "options": FetchOptions.from_dict(data["options"]),
                "shard": (shard[0], shard[1]) if shard else None,
            }
        )

    @property
    def to_stream(self) -> bool:
        """Whether the output is standard output, which cannot be resumed."""
        return self.output == "-"

    def format(self) -> RecordFormat:
        """Return the format of the output. ImportError names the extra that is missing."""
        return get_format(self.output, self.record_format, self.body, self.headers)

    def prepare_output(self, *, resume: bool, overwrite: bool) -> int:
        """Create or check the output and return how many requests it already contains.

        Raises:
            CheckpointError: the output cannot be used as requested.
            OSError: it cannot be opened.
        """
        record_format = self.format()
        if self.directory is not None and record_format.name.startswith("warc"):
            raise ValueError("WARC holds the bodies itself; it cannot be the index of a directory")
        if self.to_stream:
            return 0
        output = Path(self.output)
        output.parent.mkdir(parents=True, exist_ok=True)
        with Checkpoint(
            output, record_format.name, resume=resume, overwrite=overwrite
        ) as checkpoint:
            done_before = len(checkpoint.done)
        if self.directory is not None:
            Path(self.directory).mkdir(parents=True, exist_ok=True)
            remove_abandoned(Path(self.directory))
        return done_before

    def fetch(
        self,
        session: Any,
        source: Iterable[Any] | AsyncIterable[Any],
        on_result: Callable[[FetchRecord], None] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> tuple[BulkFetch, Checkpoint | None]:
        """Return a run that is ready to start, and the checkpoint to close after it.

        Args:
            session: the session to send with.
            source: the requests.
            on_result: called with each record.
            rate_limit: a rate limit that this process shares with others.
        """
        record_format = self.format()
        checkpoint: Checkpoint | None = None
        writer: Writer
        if self.to_stream:
            writer = StreamWriter(sys.stdout.fileno(), record_format, seconds=self.flush_interval)
        else:
            checkpoint = Checkpoint(Path(self.output), record_format.name, resume=True)
            writer = CheckpointWriter(checkpoint, record_format, self.flush_interval)
        directory = Path(self.directory) if self.directory else None
        previous = (
            PreviousRun(self.previous, self.previous_directory, directory)
            if self.previous is not None
            else None
        )
        pages = PageSession(
            session,
            self.options,
            raw=record_format.name.startswith("warc"),
            directory=directory,
            is_recrawl=previous is not None,
        )
        made = BulkFetch(
            session,
            self.options,
            source,
            writer,
            pages=pages,
            on_result=on_result,
            shard=self.shard,
            rate_limit=rate_limit,
            previous=previous,
        )
        return made, checkpoint


@contextmanager
def open_output(
    config: FetchConfig, *, resume: bool, overwrite: bool = False, wait: bool = False
) -> Iterator[tuple[FetchConfig, int]]:
    """Prepare the output; yield the configuration to run, and how many requests are done.

    A Parquet file is written when the block ends without an exception: the configuration that is
    yielded writes JSON Lines beside it.

    Args:
        config: the configuration.
        resume, overwrite: what to do with an output that has content.
        wait: wait for another run that writes the same Parquet file.

    Raises:
        CheckpointError: the output cannot be used as requested.
        OSError: it cannot be opened or written.
        ImportError: a package is missing.
        ValueError: Parquet cannot go to standard output.
    """
    if format_name(config.output, config.record_format) != PARQUET:
        yield config, config.prepare_output(resume=resume, overwrite=overwrite)
        return
    if config.to_stream:
        raise ValueError("Parquet needs --output: it cannot be written to standard output")
    import_parquet()
    path = Path(config.output)
    with shard_lock(path, wait=wait):
        parquet = ParquetFile(path)
        done_before = parquet.prepare(resume=resume, overwrite=overwrite)
        rows = dataclasses.replace(config, output=str(parquet.rows), record_format="jsonl")
        rows.prepare_output(resume=True, overwrite=False)
        yield rows, done_before
        parquet.merge()


def make_session(options: FetchOptions) -> Any:
    """Return a session with these options, to be used with `async with`."""
    from ..sessions import DSession

    headers = {"User-Agent": options.agent, **options.headers}
    return DSession(
        connections=options.connections,
        headers=headers,
        verify=options.verify,
        proxy=options.proxy,
        trust_env=options.proxy is None,
    )


def run_in_kernel(function: Callable[..., Any], *args: Any) -> Any:
    """Run `await function(*args)` in a kernel of its own and return its result."""
    from ..kernel import run

    return run(function, *args)
