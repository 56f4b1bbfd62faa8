"""The plots of a comparison, as SVG and PNG.

Rules:  ours in one colour, the limits (wrk, bare sockets) in grey, the rest in another; an error
        bar runs from the slowest to the fastest round.
Implemented elsewhere: figures; matplotlib is imported only when something is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..clients.job import MIB, WORKLOADS
from .field import CLIENTS
from .measure import Series

OURS, OTHERS, LIMIT = "#d1495b", "#30638e", "#9a9a9a"
LIMITS = ("wrk", "bare")
Results = Mapping[tuple[str, str], Series]


def colour(client: str) -> str:
    """The colour of a client's bar."""
    if client in LIMITS:
        return LIMIT
    return OURS if CLIENTS[client].ours else OTHERS


def of(results: Results, workload: str) -> list[Series]:
    """The series of one workload that have figures, fastest first."""
    found = [s for (_, name), s in results.items() if name == workload and s.runs]
    return sorted(found, key=lambda s: -s.rate)


def bars(axes: Any, series: list[Series], scale: float, unit: str, title: str) -> None:
    """Horizontal bars, the fastest at the top."""
    values = [s.rate * scale for s in series]
    spans = [
        [(s.rate - s.rates[0]) * scale for s in series],
        [(s.rates[-1] - s.rate) * scale for s in series],
    ]
    labels = [CLIENTS[s.client].label for s in series]
    axes.barh(
        labels,
        values,
        color=[colour(s.client) for s in series],
        xerr=spans,
        error_kw={"ecolor": "#333333", "elinewidth": 1, "capsize": 2},
    )
    axes.invert_yaxis()
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(unit, fontsize=9)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    for row, value in enumerate(values):
        axes.annotate(f" {value:,.0f}", (value + spans[1][row], row), va="center", fontsize=8)
    axes.margins(x=0.15)


def draw(results: Results, folder: Path) -> list[str]:
    """Write all plots for which there are figures; return their names without suffix."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "asks_fast"
    from matplotlib import pyplot

    written: list[str] = []

    def save(figure: Any, name: str) -> None:
        figure.tight_layout()
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png", dpi=130)
        pyplot.close(figure)
        written.append(name)

    for workload, name in (("small-50", "small-50"), ("tls", "tls"), ("example", "example")):
        if series := of(results, workload):
            figure, axes = pyplot.subplots(figsize=(8, 0.36 * len(series) + 1.3))
            bars(axes, series, 1, "requests/s", WORKLOADS[workload].title)
            save(figure, name)
    many = [w for w in ("body-100k", "body-10m", "chunked-10m", "post-10m") if of(results, w)]
    if many:
        figure, grid = pyplot.subplots(1, len(many), figsize=(5.2 * len(many), 4.6), squeeze=False)
        for axes, workload in zip(grid[0], many, strict=True):
            work = WORKLOADS[workload]
            bars(
                axes, of(results, workload), max(work.size, work.upload) / MIB, "MiB/s", work.title
            )
        save(figure, "bodies")
    curves(results, pyplot, save)
    return written


def curves(results: Results, pyplot: Any, save: Any) -> None:
    """Requests per second over the number of connections, if there are figures."""
    points = {
        name: [
            (WORKLOADS[w].connections, results[name, w].rate)
            for w in ("small-1", "small-10", "small-50", "small-200", "small-1000")
            if (name, w) in results and results[name, w].runs
        ]
        for name in CLIENTS
    }
    points = {name: line for name, line in points.items() if len(line) > 2}
    if not points:
        return
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name, line in points.items():
        style = {"color": colour(name)} if name in LIMITS or CLIENTS[name].ours else {}
        axes.plot(
            *zip(*line, strict=True),
            marker="o",
            markersize=4,
            linewidth=2.5 if CLIENTS[name].ours else 1.2,
            linestyle="--" if name in LIMITS or name == "asks_fast" else "-",
            label=CLIENTS[name].label,
            **style,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("connections")
    axes.set_ylabel("requests/s")
    axes.set_title("small JSON", fontsize=11, loc="left")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(fontsize=8, ncol=2)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, "connections")
