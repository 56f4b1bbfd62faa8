"""Where the time of one exchange went.

Facts:  each event of an exchange (events.py) ends a phase, and the next one begins there: so the
        phases add up to the total. Phases that did not take place are None.
Rules:  made when it is looked at; what an exchange pays for it is a list of marks, and only where
        `timings=True` was asked for.
Not here: whole conversations. Each response of a `history` has timings of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from .events import TimedResponse

__all__ = ["Timings"]

_PHASES = {
    "connection_acquired": "wait",
    "resolved": "lookup",
    "connected": "connect",
    "tunnel_established": "tunnel",
    "tls": "tls",
}


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that the phases of one exchange took; None for what did not take place.

    `wait`: in line for a connection. `lookup`: the name. `connect`: TCP, to the origin or the
    proxy. `tunnel`: what the proxy took to open one. `tls`: handshakes, an https proxy's included.
    `send`: the request, its body included. `first_byte`: from then to the first byte of the
    answer. `body`: from then to the last one. `total`: all of these. Over a connection that served
    before there is no `lookup`, `connect`, `tunnel` and `tls`; of a stream that is not read to
    its end, no `body` and `total`. Of a request that was sent twice, these are of the last time.
    """

    wait: float
    lookup: float | None = None
    connect: float | None = None
    tunnel: float | None = None
    tls: float | None = None
    send: float | None = None
    first_byte: float | None = None
    body: float | None = None
    total: float | None = None

    @classmethod
    def from_marks(cls, marks: Iterable[tuple[str, float]], response: TimedResponse) -> Timings:
        """The distances between an exchange's marks, and those that `response` noted."""
        steps = iter(marks)
        _, begun = next(steps)
        spent: dict[str, float] = {}
        last = begun
        for name, at in steps:
            phase = _PHASES.get(name)
            if phase is not None:
                spent[phase] = spent.get(phase, 0.0) + at - last
                last = at
        # An answer may begin before the request is out: the phases end in this order all the same.
        sent = max(last, response.sent_at)
        spoke = max(sent, response.first_byte_at)
        spent["send"] = sent - last
        spent["first_byte"] = spoke - sent
        if response.is_complete:
            spent["body"] = response.completed_at - spoke
            spent["total"] = response.completed_at - begun
        return cls(**spent)

    def __str__(self) -> str:
        phases = ((one.name, getattr(self, one.name)) for one in fields(self))
        said = (f"{name} {spent:.6f} s" for name, spent in phases if spent is not None)
        return ", ".join(said).replace("first_byte", "first byte")
