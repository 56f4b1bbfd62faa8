"""What `asks-fast bench URL` prints: a live view, and the results as text, JSON or CSV.

Facts:  CSV has one row for each second and a last row `total`. JSON has the same figures, the
        percentiles, and the histogram as pairs of upper bound and count.
Invariants: text from servers is never interpreted as markup. Times are milliseconds in the text,
        seconds in JSON and CSV.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from time import monotonic

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from asks_fast.cli.bench_load import LoadPlan, LoadRun
from asks_fast.cli.histogram import Histogram
from asks_fast.errors import printable

__all__ = ["PERCENTILES", "LiveLoad", "as_csv", "as_json", "as_text"]

PERCENTILES = (50, 75, 90, 95, 99, 99.9)
ROWS = 12  # of the picture of the histogram
WIDTH = 40  # characters of its longest bar
COLUMNS = ("second", "requests", "failed", "bytes", "p50", "p99", "max")
CPU_LIMIT = 0.9  # share of a core from which the client may limit the closed loop


def as_text(run: LoadRun) -> str:
    """Return the results as lines of text."""
    total, latencies = run.total, run.total.latencies
    seconds = max(run.elapsed, 1e-9)
    lines = [
        f"{printable(run.plan.url)}: {describe(run.plan)}",
        "",
        f"  requests     {total.requests:>12,}   {total.requests / seconds:>12,.1f}/s"
        f"   in {run.elapsed:,.1f} s",
        f"  bodies       {total.bytes / 1e6:>9,.1f} MB   {total.bytes / 1e6 / seconds:>9,.1f} MB/s",
    ]
    if run.statuses:
        counts = ", ".join(f"{status} ({n:,})" for status, n in sorted(run.statuses.items()))
        lines.append(f"  status       {counts}")
    lines += [
        f"  errors       {printable(name)} ({n:,}), the first: {printable(run.messages[name])}"
        for name, n in run.errors.most_common()
    ]
    if latencies.count:
        lines += ["", *_latency_lines(run), "", *picture(latencies)]
    return "\n".join([*lines, *(f"\n  note: {note}" for note in notes(run))])


def _latency_lines(run: LoadRun) -> list[str]:
    """Return the table of percentiles; with a rate, of service times too."""
    columns: list[tuple[str, Histogram]] = [("latency", run.total.latencies)]
    if run.plan.rate is not None:
        columns.append(("from sending", run.service))
    figures: list[tuple[str, Callable[[Histogram], float]]] = [
        ("min", lambda one: one.min),
        ("mean", lambda one: one.mean),
        *((f"p{p:g}", lambda one, p=p: one.percentile(p)) for p in PERCENTILES),
        ("max", lambda one: one.max),
    ]
    return [
        "  ms       " + "".join(f"{name:>14}" for name, _ in columns),
        *(
            f"  {name:<9}" + "".join(f"{figure(one) * 1e3:>14,.3f}" for _, one in columns)
            for name, figure in figures
        ),
    ]


def picture(latencies: Histogram) -> list[str]:
    """Return the histogram as lines with bars; the bounds grow by a constant factor."""
    rows = latencies.rows(ROWS)
    most = max(count for _, count in rows)
    return [
        f"  ≤ {bound * 1e3:>10,.3f} ms  {'█' * round(WIDTH * count / most):<{WIDTH}}  {count:,}"
        for bound, count in rows
    ]


def describe(plan: LoadPlan) -> str:
    """Return the plan in words."""
    kind = "closed loop" if plan.rate is None else f"open loop, {plan.rate:g} requests/s"
    size = f"{plan.duration:g} s" if plan.requests is None else f"{plan.requests:,} requests"
    return f"{kind}, {plan.connections} connections, {size} after {plan.warm_up:g} s of warm-up"


def notes(run: LoadRun) -> list[str]:
    """Return warnings about the figures."""
    made = []
    if run.is_stopped:
        made.append("interrupted; the figures are of the requests made until then")
    if run.not_started:
        made.append(
            f"{run.not_started:,} requests were due and not started in time: server or client "
            "is slower than the rate, and the latencies would be higher with more time"
        )
    if run.plan.rate is None and run.elapsed > 0 and run.cpu / run.elapsed > CPU_LIMIT:
        made.append(
            f"this client used {run.cpu / run.elapsed:.0%} of a core, so it may limit the rate and "
            "delay responses; run several clients at once for more load"
        )
    return made


def as_json(run: LoadRun) -> str:
    """Return the results as one JSON object."""
    plan, total = run.plan, run.total
    return json.dumps(
        {
            "url": plan.url,
            "method": plan.method,
            "loop": "closed" if plan.rate is None else "open",
            "rate": plan.rate,
            "connections": plan.connections,
            "warm_up": plan.warm_up,
            "seconds": run.elapsed,
            "requests": total.requests,
            "requests_per_second": total.requests / run.elapsed if run.elapsed else 0.0,
            "failed": total.failed,
            "not_started": run.not_started,
            "bytes": total.bytes,
            "cpu_seconds": run.cpu,
            "statuses": {str(status): n for status, n in sorted(run.statuses.items())},
            "errors": dict(run.errors),
            "messages": run.messages,
            "latency": _figures(total.latencies),
            "latency_from_sending": None if plan.rate is None else _figures(run.service),
            "histogram": total.latencies.rows(100),
            "each_second": [vars(second) for second in run.seconds],
        }
    )


def _figures(latencies: Histogram) -> dict[str, float]:
    return {
        "min": latencies.min,
        "mean": latencies.mean,
        "deviation": latencies.deviation,
        **{f"p{percent:g}": latencies.percentile(percent) for percent in PERCENTILES},
        "max": latencies.max,
    }


def as_csv(run: LoadRun) -> str:
    """Return a row for each second and one for the total."""
    total, latencies = run.total, run.total.latencies
    more = [f"p{percent:g}" for percent in PERCENTILES if f"p{percent:g}" not in COLUMNS]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS, "seconds", "requests_per_second", "min", "mean", *more])
    for number, second in enumerate(run.seconds, 1):
        writer.writerow([number, *vars(second).values()])
    figures = _figures(latencies)
    writer.writerow(
        [
            "total",
            total.requests,
            total.failed,
            total.bytes,
            *(figures[name] for name in ("p50", "p99", "max")),
            run.elapsed,
            total.requests / run.elapsed if run.elapsed else 0.0,
            *(figures[name] for name in ("min", "mean", *more)),
        ]
    )
    return out.getvalue().rstrip("\n")


class LiveLoad:
    """A live view of a run on standard error; shows nothing if that is not a terminal."""

    interval = 0.25  # seconds between two updates

    def __init__(self, run: LoadRun, *, is_quiet: bool = False) -> None:
        self._run = run
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self.is_shown = self._console.is_terminal and not is_quiet

    def __enter__(self) -> LiveLoad:
        if self.is_shown:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self) -> None:
        """Draw the view."""
        if self.is_shown:
            self._live.update(live_view(self._run, monotonic()), refresh=True)


def live_view(run: LoadRun, now: float) -> Group:
    """Return the progress, the figures of the last second, and the percentiles so far."""
    if now < run.begin:
        return Group(Text(f"warming up, {run.plan.warm_up:g} s", style="dim"))
    plan, total = run.plan, run.total
    done = (
        run.started / plan.requests
        if plan.requests is not None
        else (now - run.begin) / (plan.duration or 1.0)
    )
    head = Text(f"{run.started:,} requests", style="green")
    if run.seconds:
        last = run.seconds[-1]
        head.append(f"  {last.requests:,}/s  p50 {last.p50 * 1e3:,.2f} ms", style="default")
        head.append(
            f"  p99 {last.p99 * 1e3:,.2f} ms  max {last.max * 1e3:,.2f} ms", style="default"
        )
    if run.errors:
        head.append(f"  {sum(run.errors.values()):,} failed", style="red")
    so_far = "  ".join(
        f"p{percent:g} {total.latencies.percentile(percent) * 1e3:,.2f}" for percent in PERCENTILES
    )
    return Group(
        head,
        ProgressBar(total=1.0, completed=min(done, 1.0), width=WIDTH),
        Text(f"so far, ms: {so_far}" if total.latencies.count else "", style="dim"),
    )
