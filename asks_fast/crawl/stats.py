"""The counts of a bulk run: results, errors, bytes and rates.

Invariants: memory is bounded: at most `MAX_HOSTS` hosts are counted separately, the rest together.
        `merge` adds the counts of several processes.

Implemented elsewhere: displays (`asks_fast.cli.display`).
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

__all__ = ["FetchStats"]

MAX_HOSTS = 5_000
COUNT_NAMES = ("done", "failed", "dropped", "unchanged", "skipped", "not_written", "bytes")
OTHER_HOSTS = "(other hosts)"
RATE_INTERVAL = 10.0  # seconds over which rates are measured


class FetchStats:
    """The counts of one run. `done` counts requests with a response, whatever its status."""

    def __init__(self, now: float = 0.0) -> None:
        self.started = now
        self.done = 0
        self.failed = 0  # no response, or not sent
        self.dropped = 0  # by filters; among `done`
        self.unchanged = 0  # since the earlier run; among `done`
        self.skipped = 0  # done by an earlier run, or repeated in the input
        self.not_written = 0  # local errors, which the next run fetches again; among `failed`
        self.bytes = 0  # of bodies
        self.error_counts: Counter[str] = Counter()  # by the name of the error
        self.statuses: Counter[int] = Counter()
        self.hosts: dict[str, list[int]] = {}  # host -> [done, failed, bytes]
        self.slow: dict[str, str] = {}  # host -> why it is slow; bounded
        self.limits: dict[str, str] = {}  # busy host -> its adaptive limit
        self._samples: deque[tuple[float, int, int]] = deque()  # (time, done + failed, bytes)

    def __repr__(self) -> str:
        rare = ("dropped", "unchanged", "skipped", "not_written")
        counts = [f"{self.done:,} done", f"{self.failed:,} failed"]
        counts += [f"{value:,} {name}" for name in rare if (value := getattr(self, name))]
        return f"<FetchStats {', '.join(counts)}>"

    def add(
        self,
        host: str,
        status: int | None,
        size: int,
        error: str | None,
        dropped: bool = False,
        unchanged: bool = False,
    ) -> None:
        """Count one result: one with a status, or one with the name of its error."""
        if error is None:
            self.done += 1
            self.statuses[status or 0] += 1
            self.dropped += dropped
            self.unchanged += unchanged
        else:
            self.failed += 1
            self.error_counts[error] += 1
        self.bytes += size
        row = self.hosts.get(host)
        if row is None:
            if len(self.hosts) >= MAX_HOSTS:
                host = OTHER_HOSTS
            row = self.hosts.setdefault(host, [0, 0, 0])
        row[0] += error is None
        row[1] += error is not None
        row[2] += size

    @property
    def finished(self) -> int:
        """Requests of the input that have a final result, skipped ones included."""
        return self.done + self.failed + self.skipped

    def rates(self, now: float) -> tuple[float, float]:
        """Return results and bytes per second over the last `RATE_INTERVAL`; call it regularly."""
        total = self.done + self.failed
        self._samples.append((now, total, self.bytes))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_INTERVAL:
            self._samples.popleft()
        then, before, size = self._samples[0]
        if now - then < 0.2:
            then, before, size = self.started, 0, 0
        seconds = max(now - then, 0.001)
        return (total - before) / seconds, (self.bytes - size) / seconds

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, for logs and for another process."""
        return {
            "done": self.done,
            "failed": self.failed,
            "dropped": self.dropped,
            "unchanged": self.unchanged,
            "skipped": self.skipped,
            "not_written": self.not_written,
            "bytes": self.bytes,
            "errors": dict(self.error_counts),
            "statuses": {str(k): v for k, v in self.statuses.items()},
            "slow": dict(self.slow),
            "limits": dict(self.limits),
        }

    @classmethod
    def merge(cls, parts: list[dict[str, Any]], started: float) -> FetchStats:
        """Return the sum of several `as_dict`, to which `hosts` may have been added."""
        made = cls(started)
        for part in parts:
            for name in COUNT_NAMES:
                setattr(made, name, getattr(made, name) + part.get(name, 0))
            made.error_counts.update(part.get("errors", {}))
            made.statuses.update({int(k): v for k, v in part.get("statuses", {}).items()})
            made.slow.update(part.get("slow", {}))
            made.limits.update(part.get("limits", {}))
            for host, row in part.get("hosts", {}).items():
                mine = made.hosts.setdefault(host, [0, 0, 0])
                made.hosts[host] = [a + b for a, b in zip(mine, row, strict=True)]
        return made

    def busiest_hosts(self, most: int) -> list[tuple[str, list[int]]]:
        """Return the `most` hosts with the most results."""
        return sorted(self.hosts.items(), key=lambda item: -(item[1][0] + item[1][1]))[:most]
