"""The displays of a bulk run: a live view, a JSON log, a summary, or nothing.

All of them write to standard error; standard output is for results.

Invariants: text from servers is never interpreted as markup, and its control characters are
        escaped.

Implemented elsewhere: the counts (`asks_fast.crawl.stats`).
"""

from __future__ import annotations

import json
import sys
from time import monotonic
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asks_fast.crawl.stats import FetchStats
from asks_fast.errors import printable

__all__ = ["Display", "JsonLog", "LiveDisplay", "QuietDisplay", "Summary", "View", "printable"]

HOSTS_SHOWN = 10
ERRORS_SHOWN = 5
FAILURES_SHOWN = 10
MESSAGE_SHOWN = 200  # characters of an error's message


class View(Protocol):
    """What a display reads of a run."""

    @property
    def stats(self) -> FetchStats:
        """The counts so far."""
        raise NotImplementedError

    @property
    def under_way(self) -> int:
        """The number of requests under way."""
        raise NotImplementedError

    @property
    def total(self) -> int | None:
        """The number of requests in the input; None if unknown."""

    @property
    def is_total_known(self) -> bool:
        """Whether `total` is exact: the input was read to its end."""
        raise NotImplementedError


def fraction(view: View) -> float | None:
    """Return the finished fraction of the input, between 0 and 1; None if unknown."""
    total = view.total
    return min(view.stats.finished / total, 1.0) if total else None


class Display:
    """The base class: shows nothing but notes."""

    interval = 0.25  # seconds between two updates

    def __init__(self) -> None:
        self.failures: list[str] = []  # the first failed URLs and their errors

    def start(self) -> None:
        """Called when the run starts."""

    def update(self, view: View) -> None:
        """Called every `interval` seconds."""

    def failed(self, url: str, error: str, message: str) -> None:
        """Called for each request without a response."""
        if len(self.failures) < FAILURES_SHOWN:
            text = message if len(message) <= MESSAGE_SHOWN else f"{message[:MESSAGE_SHOWN]}…"
            self.failures.append(f"{printable(url)}: {printable(error)}: {printable(text)}")

    def note(self, text: str) -> None:
        """Print a message for the user at once."""
        print(f"asks-fast: {printable(text)}", file=sys.stderr, flush=True)

    def finish(self, view: View, state: str) -> None:
        """Called at the end; `state` is 'done', 'stopped', 'cancelled' or 'broken'."""


class QuietDisplay(Display):
    """Show only notes."""


class JsonLog(Display):
    """Write one JSON object per line: `progress` each second, `failed`, `note`, `summary`."""

    interval = 1.0

    def _say(self, **event: Any) -> None:
        print(json.dumps(event).replace("\x7f", "\\u007f"), file=sys.stderr, flush=True)

    def update(self, view: View) -> None:
        """Write a `progress` line."""
        rate, speed = view.stats.rates(monotonic())
        done_fraction = fraction(view)
        self._say(
            event="progress",
            **view.stats.as_dict(),
            under_way=view.under_way,
            per_second=round(rate, 1),
            bytes_per_second=round(speed),
            total=view.total,
            total_is_known=view.is_total_known,
            fraction=None if done_fraction is None else int(done_fraction * 10_000) / 10_000,
        )

    def failed(self, url: str, error: str, message: str) -> None:
        """Write a `failed` line."""
        self._say(event="failed", url=url, error=error, message=message)

    def note(self, text: str) -> None:
        """Write a `note` line."""
        self._say(event="note", text=text)

    def finish(self, view: View, state: str) -> None:
        """Write the `summary` line."""
        self._say(
            event="summary",
            state=state,
            **view.stats.as_dict(),
            seconds=round(monotonic() - view.stats.started, 3),
        )


class Summary(Display):
    """Print a few lines at the end, for a standard error that is not a terminal."""

    def finish(self, view: View, state: str) -> None:
        """Print the summary."""
        for line in summary(view.stats, state, self.failures):
            print(line, file=sys.stderr, flush=True)


class LiveDisplay(Display):
    """Draw a live view four times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(stderr=True)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._notes: list[str] = []

    def start(self) -> None:
        """Use the lower part of the terminal."""
        self._live.start()

    def update(self, view: View) -> None:
        """Draw the view."""
        self._live.update(live_view(view, monotonic(), self._notes), refresh=True)

    def note(self, text: str) -> None:
        """Show a line above the counts."""
        self._notes = [*self._notes[-3:], text]

    def finish(self, view: View, state: str) -> None:
        """Print the last view and the summary, and release the terminal."""
        self._live.stop()
        self._console.print(live_view(view, monotonic(), self._notes))
        for line in summary(view.stats, state, self.failures):
            self._console.print(line, markup=False, highlight=False)


def live_view(view: View, now: float, notes: list[str]) -> RenderableType:
    """Return the live view: counts, progress, hosts, errors."""
    stats = view.stats
    rate, speed = stats.rates(now)
    head = Text()
    for text, style in (
        (f"{stats.done:,} done", "green"),
        (f"  {stats.failed:,} failed", "red" if stats.failed else "dim"),
        (f"  {view.under_way:,} under way", "cyan"),
        (f"  {rate:,.0f} requests/s  {speed / 1e6:,.1f} MB/s", ""),
        (f"  {stats.unchanged:,} unchanged" if stats.unchanged else "", "dim"),
        (f"  {stats.skipped:,} skipped" if stats.skipped else "", "dim"),
    ):
        head.append(text, style)
    parts: list[RenderableType] = [head]
    done_fraction = fraction(view)
    if done_fraction is not None:
        left = time_left((view.total or 0) - stats.finished, rate)
        about = "" if view.is_total_known else "about "
        line = Table.grid(padding=(0, 1))
        line.add_row(
            ProgressBar(total=1.0, completed=done_fraction, width=40),
            f"{int(done_fraction * 100)} % of {about}{view.total:,}",
            f"about {left} left" if left else "",
        )
        parts.append(line)
    parts += [Text(printable(note), style="yellow") for note in notes]
    if stats.hosts:
        parts.append(host_table(stats))
    if stats.error_counts:
        kinds = ", ".join(
            f"{name} {n:,}" for name, n in stats.error_counts.most_common(ERRORS_SHOWN)
        )
        parts.append(Text(f"errors: {printable(kinds)}", style="red"))
    return Group(*parts)


def host_table(stats: FetchStats) -> Table:
    """Return a table of the busiest hosts."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, justify in (
        ("host", "left"),
        ("done", "right"),
        ("failed", "right"),
        ("MB", "right"),
        ("limit", "left"),
        ("slow because", "left"),
    ):
        if (name == "limit" and not stats.limits) or (name == "slow because" and not stats.slow):
            continue
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for host, (done, failed, size) in stats.busiest_hosts(HOSTS_SHOWN):
        table.add_row(
            Text(printable(host or "(no host)")),
            f"{done:,}",
            f"{failed:,}",
            f"{size / 1e6:,.1f}",
            *([Text(printable(stats.limits.get(host, "")), style="cyan")] if stats.limits else []),
            *([Text(printable(stats.slow.get(host, "")), style="yellow")] if stats.slow else []),
        )
    if len(stats.hosts) > HOSTS_SHOWN:
        table.add_row(Text(f"… and {len(stats.hosts) - HOSTS_SHOWN:,} more", style="dim"))
    return table


def time_left(requests: int, rate: float) -> str:
    """Return the time that so many requests take at this rate; empty if unknown."""
    if requests <= 0 or rate <= 0:
        return ""
    seconds = int(requests / rate)
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def summary(stats: FetchStats, state: str, failures: list[str]) -> list[str]:
    """Return the summary of a run: totals, statuses, errors, failed URLs, slow hosts."""
    seconds = max(monotonic() - stats.started, 0.001)
    total = stats.done + stats.failed
    text = (
        f"{state}: {stats.done:,} done, {stats.failed:,} failed in {seconds:,.1f} s "
        f"({total / seconds:,.0f} requests/s, {stats.bytes / 1e6:,.1f} MB)"
    )
    if stats.unchanged:
        text += f", {stats.unchanged:,} unchanged"
    if stats.dropped:
        text += f", {stats.dropped:,} dropped by filters"
    if stats.skipped:
        text += f", {stats.skipped:,} skipped (done before, or repeated in the input)"
    lines = [text]
    if stats.statuses:
        counts = sorted(stats.statuses.items())
        lines.append("  status: " + ", ".join(f"{status} ({n:,})" for status, n in counts))
    if stats.error_counts:
        kinds = ", ".join(f"{name} ({n:,})" for name, n in stats.error_counts.most_common())
        lines.append(f"  errors: {printable(kinds)}")
    lines += [f"  failed: {failure}" for failure in failures]
    if stats.failed > len(failures) > 0:
        lines.append(
            f"  … and {stats.failed - len(failures):,} more; the output contains all of them"
        )
    shown = list(stats.slow.items())[:HOSTS_SHOWN]
    lines += [f"  slow: {printable(host)}: {printable(reason)}" for host, reason in shown]
    if len(stats.slow) > len(shown):
        lines.append(f"  … and {len(stats.slow) - len(shown):,} more slow hosts")
    return lines
