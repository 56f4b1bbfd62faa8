"""The goals of asks_fast, compared with the figures of a run.

Facts:  a ratio is the median of the ratios of each round (the clients run in turn, so a round is
        one moment of the machine), or the ratio of medians where a client missed a round.
Rules:  a goal without figures is "not measured", never "reached". The goals of many connections and
        of the documented example are set for `asks_fast.run` alone; the same ratio on
        `curio.run` is shown beside it, without a goal.
Implemented elsewhere: measuring.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..clients.job import WORKLOADS
from .field import CLIENTS, Client
from .measure import Series

Results = Mapping[tuple[str, str], Series]
STOCK, OWN = "asks_fast", "asks_fast_own"
# Event loops of other libraries: the share of the rate of `asks_fast.run` that is the goal.
HOSTS = {"asks_fast_asyncio": 0.85, "asks_fast_uvloop": 0.85, "asks_fast_trio": 0.7}
HOST_WORK = {
    "small-50": "small JSON, 50 connections",
    "small-1000": "1,000 connections",
    "small-1": "1 connection, sequential",
    "tls": "TLS kept alive",
    "body-10m": "10 MiB bodies",
}
TIMES, NONE = "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"


@dataclass(frozen=True)
class Goal:
    """One line of the table. `figure` is None where something was not measured, `limit` where no
    goal was set."""

    work: str
    what: str
    limit: float | None
    at_least: bool
    figure: float | None
    unit: str = TIMES
    by_cpu: float | None = None  # the same ratio in CPU time of the clients: steadier under load

    @property
    def verdict(self) -> str:
        """ok, missed, not measured or no goal."""
        if self.figure is None:
            return "not measured"
        if self.limit is None:
            return "no goal"
        reached = self.figure >= self.limit if self.at_least else self.figure <= self.limit
        return "ok" if reached else "missed"

    def row(self) -> tuple[str, str, str, str, str, str]:
        """The cells of the table."""
        sign = "≥" if self.at_least else "≤"
        shown = NONE if self.figure is None else f"{self.figure:.2f} {self.unit}"
        cpu = "" if self.by_cpu is None else f"{self.by_cpu:.2f} {self.unit}"
        goal = NONE if self.limit is None else f"{sign} {self.limit:g} {self.unit}"
        return self.work, self.what, goal, shown, cpu, self.verdict


def ratio(results: Results, one: tuple[str, str], other: tuple[str, str]) -> float | None:
    """The rate of `one` divided by that of `other`; keys are (client, workload)."""
    a, b = results.get(one), results.get(other)
    if a is None or b is None or not a.runs or not b.runs:
        return None
    if len(a.runs) == len(b.runs):
        return statistics.median(x / y for x, y in zip(a.in_turn, b.in_turn, strict=True))
    return a.rate / b.rate


def cpu_ratio(results: Results, one: tuple[str, str], other: tuple[str, str]) -> float | None:
    """The CPU time per request of `other` divided by that of `one`."""
    a, b = results.get(one), results.get(other)
    if a is None or b is None or not a.runs or not b.runs:
        return None
    return b.cpu / a.cpu


def is_concurrent_rival(client: Client) -> bool:
    """Whether it is another asynchronous client; libcurl, wrk and the bare loop are not."""
    return client.is_async and not client.ours


def is_rival(client: Client) -> bool:
    """Whether it is another client; wrk and the bare loop, which install nothing, are not."""
    return bool(client.requires) and not client.ours


def fastest(results: Results, workload: str, takes_part: Callable[[Client], bool]) -> str | None:
    """The name of the fastest client of that workload, among those that take part."""
    rates = {
        name: results[name, workload].rate
        for name, client in CLIENTS.items()
        if takes_part(client) and (name, workload) in results and results[name, workload].runs
    }
    return max(rates, key=rates.__getitem__) if rates else None


def goals(results: Results, probes: Mapping[str, Any]) -> list[Goal]:
    """All lines, in the order of the table."""
    table: list[Goal] = []

    def add(
        work: str,
        what: str,
        limit: float | None,
        figure: float | None,
        *,
        least: bool = True,
        unit: str = TIMES,
        by_cpu: float | None = None,
    ) -> None:
        table.append(Goal(work, what, limit, least, figure, unit, by_cpu))

    def against(work: str, workload: str, rivals: Mapping[str, float]) -> None:
        for rival, limit in rivals.items():
            label = CLIENTS[rival].label
            for ours in (STOCK, OWN):
                add(
                    work,
                    f"{CLIENTS[ours].label} / {label}",
                    limit,
                    ratio(results, (ours, workload), (rival, workload)),
                    by_cpu=cpu_ratio(results, (ours, workload), (rival, workload)),
                )

    first = "small JSON, 50 connections"
    add(
        first, "curio.run / wrk -t1", 0.65, ratio(results, (STOCK, "small-50"), ("wrk", "small-50"))
    )
    add(
        first,
        "asks_fast.run / wrk -t1",
        0.90,
        ratio(results, (OWN, "small-50"), ("wrk", "small-50")),
    )
    against(first, "small-50", {"pycurl": 1.5})
    other = fastest(results, "small-50", is_concurrent_rival)
    if other is not None:
        against(first, "small-50", {other: 3.0})
    against(first, "small-50", {"aiohttp": 7.0, "asks2": 20.0})
    against("1 connection, sequential", "small-1", {"bare": 0.7})
    for workload, clients in (
        ("small-1000", (STOCK, OWN, "wrk")),
        ("small-10000", (OWN, "wrk")),
    ):
        for client in clients:
            add(
                WORKLOADS[workload].title.removeprefix("small JSON, "),
                f"cost of a request / that at 50, {CLIENTS[client].label}",
                1.15 if client == OWN else None,
                ratio(results, (client, "small-50"), (client, workload)),
                least=False,
            )
    add(
        "each head another one",
        "asks_fast.run / wrk -t1",
        0.80,
        ratio(results, (OWN, "varied-50"), ("wrk", "varied-50")),
    )
    for ours in (STOCK, OWN):
        add(
            "20 origins, DSession",
            f"DSession / HSession at 50, {CLIENTS[ours].label}",
            0.8,
            ratio(results, (ours, "origins-20"), (ours, "small-50")),
        )
    for ours in (STOCK, OWN):
        add(
            "1,000 origins, DSession",
            f"cost / HSession at 1,000, {CLIENTS[ours].label}",
            1.5,
            ratio(results, (ours, "small-1000"), (ours, "origins-1000")),
            least=False,
        )
    for ours in (STOCK, OWN):
        add(
            "documented example",
            f"wall time / (10,000 / rate at 50), {CLIENTS[ours].label}",
            1.6 if ours == OWN else None,
            ratio(results, (ours, "small-50"), (ours, "example")),
            least=False,
        )
    against("10 MiB bodies", "body-10m", {"bare": 0.85, "pycurl": 1.6})
    against("chunked 10 MiB", "chunked-10m", {"aiohttp": 1.5})
    against("gzip JSON", "gzip-json", {"aiohttp": 1.5})
    for workload, work in (
        ("gzip-json", "gzip JSON"),
        ("tls-new", "TLS, new connections"),
        ("post-10m", "POST of 10 MiB"),
        ("stream", "64 MiB to disk"),
    ):
        rival = fastest(results, workload, is_rival)
        if rival is not None:
            against(work, workload, {rival: 1.0})
    against("TLS kept alive", "tls", {"aiohttp": 3.0, "pycurl": 1.0})
    hosts(add, results)
    probe(add, probes)
    return table


def hosts(add: Callable[..., None], results: Results) -> None:
    """The lines for asyncio, uvloop, trio and blocking calls, compared with `asks_fast.run`."""
    for workload, work in HOST_WORK.items():
        for host, limit in HOSTS.items():
            pair = ((host, workload), (OWN, workload))
            add(
                work,
                f"{CLIENTS[host].label} / {CLIENTS[OWN].label}",
                limit if workload in ("small-50", "small-1000") else None,
                ratio(results, *pair),
                by_cpu=cpu_ratio(results, *pair),
            )
    for ours, workload, rival, least in (
        ("asks_fast_uvloop", "small-50", "aiohttp", 5.0),
        ("asks_fast_sync", "small-1", "pycurl_easy", 1.2),
        ("asks_fast_sync", "small-1", "requests", 6.0),
    ):
        pair = ((ours, workload), (rival, workload))
        add(
            HOST_WORK[workload],
            f"{CLIENTS[ours].label} / {CLIENTS[rival].label}",
            least,
            ratio(results, *pair),
            by_cpu=cpu_ratio(results, *pair),
        )


def probe(add: Callable[..., None], probes: Mapping[str, Any]) -> None:
    """The lines that come from single measurements, not from rates."""
    add(
        "TLS, new connections",
        "share of connections that resumed a session",
        0.9,
        probes.get("resumed"),
        unit="",
    )
    add(
        "memory",
        "one of 10,000 idle connections",
        3.0,
        probes.get("idle_kib"),
        least=False,
        unit="KiB",
    )
    add(
        "memory",
        "one waiting request, without curio's task",
        1.0,
        probes.get("waiting_kib"),
        least=False,
        unit="KiB",
    )
    add(
        "memory",
        "growth while 1 GiB is streamed",
        8.0,
        probes.get("stream_mib"),
        least=False,
        unit="MiB",
    )
    times = probes.get("import", {})
    both = times.get("asks_fast"), times.get("aiohttp")
    add(
        "import",
        "import asks_fast / import aiohttp",
        0.6,
        both[0] / both[1] if all(both) else None,
        least=False,
    )
