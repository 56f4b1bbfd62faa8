"""The output of a comparison: results.json, README.md with tables, plots.

Facts:  results.json contains every run; everything else is generated from it.
Rules:  a table shows medians with the spread of the rounds, and which clients are missing and why,
        also where ours is not the fastest.
Implemented elsewhere: measuring, goals.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..clients.job import MIB, WORKLOADS, Workload
from .field import CLIENTS, Client
from .goals import NONE, Goal, goals
from .measure import Series
from .plots import draw, of

Results = dict[tuple[str, str], Series]

INTRODUCTION = """# Benchmarks

One server process runs on one core and one client process on another. Every client is a small
script that works as its own documentation advises (`bench/clients/`), in an environment of its own,
and gets the same responses. The clients take turns, round by round; a figure is the median of the
rounds. Every response is checked: status and length always, each byte of small bodies, and each
byte of all bodies in a first run that is not counted.

## How to repeat it

```sh
python -m bench.compare --quick     # a few minutes, into .cache/bench/quick/
python -m bench.compare --full      # under half an hour, into docs/benchmarks/
python -m bench.compare --full --only small-50,tls --clients asks_fast,aiohttp,pycurl
```

It needs nginx (or granian), matplotlib for the plots, trustme for the certificate, and two idle
cores; wrk is used if it is installed. The environments of the other clients are created under
`.cache/` on first use.
"""

READING = """
## How to read it

- *requests/s*: median of the rounds; *spread*: (fastest - slowest) / median.
- *CPU µs*: processor time of the client, all threads, user and system, per request. It is
  meaningful even if the server is slower than the client.
- *RSS*: highest resident memory of the client's process.
- *by CPU time* in the table of goals: the same ratio of the clients' CPU times, which a busy
  machine or a slow server affects less than the rates.
- `wrk` is a C program that hardly parses the responses: the practical limit of server and
  network. *bare socket loop* is Python's blocking `socket` without any parsing.
- `asks 2.4` closes each connection by default; here keep-alive is forced on.
- pycurl's figure is libcurl without reading the header fields.
- requests uses a thread and a session for every connection.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: int = 1) -> str:
    """A Markdown table; columns from number `right` on are aligned right."""
    lines = [
        "| " + " | ".join(head) + " |",
        "|" + "|".join("---" if i < right else "--:" for i in range(len(head))) + "|",
    ]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def amount(value: float) -> str:
    """A number with a suitable number of digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 1 else f"{value:.2f}"


def workload_table(results: Results, work: Workload) -> str:
    """All clients of one workload, the fastest first."""
    series = of(results, work.name)
    long = max(work.size, work.upload)
    ours = [s for s in series if CLIENTS[s.client].ours]
    best = max((s.rate for s in ours), default=0.0)
    head = ["client", "requests/s", "spread", "ours /", "CPU µs", "RSS MiB"]
    if long >= MIB // 16:
        head.insert(2, "MiB/s")
    rows = []
    for s in series:
        bold = "**" if CLIENTS[s.client].ours else ""
        row = [
            f"{bold}{CLIENTS[s.client].label}{bold}",
            amount(s.rate),
            f"{s.spread:.0%}",
            f"{best / s.rate:.2f}" if best else NONE,
            amount(s.cpu),
            amount(s.rss) if s.rss else NONE,
        ]
        if long >= MIB // 16:
            row.insert(2, amount(s.rate * long / MIB))
        rows.append(row)
    missing = [s for (_, name), s in results.items() if name == work.name and not s.runs]
    text = table(head, rows)
    if missing:
        text += (
            "\nLeft out: "
            + "; ".join(
                f"{CLIENTS[s.client].label} ({s.problem.replace('|', '/')})" for s in missing
            )
            + ".\n"
        )
    return text


def goals_table(lines: Sequence[Goal]) -> str:
    """Goal, figure reached, ok or missed."""
    head = ["work", "measured", "goal", "reached", "by CPU time", ""]
    return table(head, [g.row() for g in lines], right=2)


def versions(results: Results) -> str:
    """Every client with the versions that ran."""
    shown: dict[str, str] = {}
    for (name, _), series in results.items():
        for run in series.runs[:1]:
            parts = [f"{k} {v}" for k, v in run.get("versions", {}).items()]
            if "libcurl" in run:
                parts.append(f"libcurl {run['libcurl']}")
            if "version" in run:
                parts.insert(0, f"asks_fast {run['version']}")
            shown[name] = ", ".join(parts)
    return table(
        ["client", "versions"],
        [(CLIENTS[n].label, shown[n]) for n in CLIENTS if shown.get(n)],
        right=2,
    )


def machine_lines(machine: Mapping[str, Any]) -> str:
    """The machine in words."""
    cores = (
        f"server on core {machine['server_core']}, client on core {machine['client_core']}"
        if machine["client_core"] is not None
        else "nothing pinned to a core"
    )
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; Python "
        f"{machine['python']}; {machine['server']}; {cores}; {machine['rounds']} rounds of "
        f"about {machine['seconds']:g} s each; {machine['time']}. Load average at the start: "
        f"{machine['load']:.1f}.\n"
    ) + "".join(
        f"\nMeasured again, {later['rounds']} rounds of about {later['seconds']:g} s, "
        f"{later['time']}: {', '.join(later['workloads'])}; by {', '.join(later['clients'])}.\n"
        for later in machine.get("again", ())
    )


def measured_again(
    before: Mapping[str, Any],
    here: Mapping[str, Any],
    workloads: Sequence[str],
    clients: Sequence[Client],
) -> dict[str, Any]:
    """The machine of the first run, and what was measured again."""
    later = {name: here[name] for name in ("rounds", "seconds", "time", "load")}
    later |= {"workloads": list(workloads), "clients": [client.name for client in clients]}
    return {**before, "again": [*before.get("again", ()), later]}


def page(
    results: Results, probes: Mapping[str, Any], machine: Mapping[str, Any], pictures: Sequence[str]
) -> str:
    """The whole README.md."""
    lines = goals(results, probes)
    text = [
        INTRODUCTION,
        "## The machine\n",
        machine_lines(machine),
        "## Goals\n",
        goals_table(lines),
        "## Results\n",
    ]
    for picture in pictures:
        text.append(f"![{picture}]({picture}.svg)\n")
    for work in WORKLOADS.values():
        if of(results, work.name):
            text += [f"### {work.title}\n", workload_table(results, work)]
    if times := probes.get("import"):
        text += [
            "### Import\n",
            table(
                ["package", "CPU ms beyond a bare interpreter"],
                [
                    (CLIENTS[n].label, f"{ms:.0f}")
                    for n, ms in sorted(times.items(), key=lambda i: i[1])
                ],
            ),
        ]
    text += ["## Versions\n", versions(results), READING]
    return "\n".join(text)


def save(
    folder: Path, results: Results, probes: Mapping[str, Any], machine: Mapping[str, Any]
) -> None:
    """Write results.json."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"machine": machine, "probes": probes, "series": [s.as_json() for s in results.values()]}
    scratch = folder / "results.json.new"
    scratch.write_text(json.dumps(kept, indent=1) + "\n")
    scratch.replace(folder / "results.json")


def load(folder: Path) -> tuple[Results, dict[str, Any], dict[str, Any]]:
    """The content of results.json; empty if there is none."""
    file = folder / "results.json"
    if not file.exists():
        return {}, {}, {}
    kept = json.loads(file.read_text())
    results = {
        (s["client"], s["workload"]): Series(**s)
        for s in kept["series"]
        if s["client"] in CLIENTS and s["workload"] in WORKLOADS
    }
    return results, kept["probes"], kept["machine"]


def render(folder: Path) -> list[Goal]:
    """Write README.md and the plots from results.json; return the goals."""
    results, probes, machine = load(folder)
    try:
        pictures = draw(results, folder)
    except ImportError:
        pictures = []
    (folder / "README.md").write_text(page(results, probes, machine, pictures))
    return goals(results, probes)
