"""A whole bulk run as plain data: from where, how, to where.

The command line, its worker processes and `asks_fast.scaleout` all carry out a `Plan`; it can
be sent to another process as JSON.

Rules:  `prepare_output` (refusals, overwriting, leftovers) happens once, before any process
        opens the output; `opened` only ever goes on.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .bulk_fetch import Fetch, LedgerWriter, StreamWriter
from .checkpoint import Ledger
from .formats import Form, format_for
from .options import FetchOptions
from .page import Fetched, PageSession
from .partial_files import remove_abandoned
from .rate_limit import RateLimit

__all__ = ["Plan", "make_session", "run_in_kernel"]


@dataclass
class Plan:
    """`source`: a file name or `-`. `output`: a file name or `-`; with `directory` the index.

    `form`: name of the format, None to tell by the output's name. `body`, `headers`: what JSON
    records hold. `directory`: bodies go into files there. `share`: (which, of how many).
    `flush`: seconds that a result may wait for being written; killed, so much is fetched anew.
    """

    source: str
    output: str
    options: FetchOptions = field(default_factory=FetchOptions)
    form: str | None = None
    body: str = "auto"
    headers: bool = False
    directory: str | None = None
    share: tuple[int, int] | None = None
    flush: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as `from_dict` takes."""
        made = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**made, "options": self.options.as_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        """The plan from plain data."""
        share = data["share"]
        return cls(
            **{
                **data,
                "options": FetchOptions.from_dict(data["options"]),
                "share": (share[0], share[1]) if share else None,
            }
        )

    @property
    def to_stream(self) -> bool:
        """The output is standard output: nothing can be resumed."""
        return self.output == "-"

    def format(self) -> Form:
        """The format of the output. ImportError names the extra that is missing."""
        return format_for(self.output, self.form, self.body, self.headers)

    def prepare_output(self, *, resume: bool, overwrite: bool) -> int:
        """Create or check the output; returns how many requests it holds already.

        Raises LedgerError where it cannot be used as asked, OSError where it cannot be opened.
        """
        form = self.format()
        if self.directory is not None and form.name.startswith("warc"):
            raise ValueError("WARC holds the bodies itself; it cannot be the index of a directory")
        if self.to_stream:
            return 0
        output = Path(self.output)
        output.parent.mkdir(parents=True, exist_ok=True)
        with Ledger(output, form.name, resume=resume, overwrite=overwrite) as ledger:
            held = len(ledger.done)
        if self.directory is not None:
            Path(self.directory).mkdir(parents=True, exist_ok=True)
            remove_abandoned(Path(self.directory))
        return held

    def fetch(
        self,
        session: Any,
        source: Iterable[Any] | AsyncIterable[Any],
        on_result: Callable[[Fetched], None] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> tuple[Fetch, Ledger | None]:
        """The run itself, ready to go, and the ledger to close after it.

        `rate_limit`: the one that this process shares with others.
        """
        form = self.format()
        ledger: Ledger | None = None
        writer: LedgerWriter | StreamWriter
        if self.to_stream:
            writer = StreamWriter(sys.stdout.fileno(), form, seconds=self.flush)
        else:
            ledger = Ledger(Path(self.output), form.name, resume=True)
            writer = LedgerWriter(ledger, form, self.flush)
        pages = PageSession(
            session,
            self.options,
            raw=form.name.startswith("warc"),
            directory=Path(self.directory) if self.directory else None,
        )
        made = Fetch(
            session,
            self.options,
            source,
            writer,
            pages=pages,
            on_result=on_result,
            share=self.share,
            rate_limit=rate_limit,
        )
        return made, ledger


def make_session(options: FetchOptions) -> Any:
    """A session made as the options say, to be used with `async with`."""
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
    """What `await function(*args)` gives, in a kernel of its own."""
    from ..kernel import run

    return run(function, *args)
