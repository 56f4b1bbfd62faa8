"""The duration of the phases of one exchange.

Each event of an exchange (`events`) ends a phase and begins the next one, so the phases add up to
the total. Phases that did not take place are None. `Timings` are computed on access; the exchange
only appends to a list of marks, and only with `timings=True`. Each response in `history` has its
own.
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
    """The duration of each phase of one exchange in seconds, None if it did not take place.

    On a reused connection `lookup`, `connect`, `tunnel` and `tls` are None. For a stream that is
    not read to its end `body` and `total` are None. For a request that was sent twice the values
    are those of the last exchange.

    Attributes:
        wait: waiting for a connection from the pool.
        lookup: name resolution.
        connect: TCP, to the origin or the proxy.
        tunnel: opening a tunnel through the proxy.
        tls: handshakes, that of an https proxy included.
        send: sending the request with its body.
        first_byte: from then to the first byte of the response.
        body: from then to the last byte.
        total: the sum.
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
        """Compute the durations from the marks of an exchange and the times of `response`."""
        steps = iter(marks)
        _, started = next(steps)
        durations: dict[str, float] = {}
        last = started
        for name, at in steps:
            phase = _PHASES.get(name)
            if phase is not None:
                durations[phase] = durations.get(phase, 0.0) + at - last
                last = at
        # A response may begin before the request is sent; the phases keep this order.
        sent = max(last, response.sent_at)
        first_byte = max(sent, response.first_byte_at)
        durations["send"] = sent - last
        durations["first_byte"] = first_byte - sent
        if response.is_complete:
            durations["body"] = response.completed_at - first_byte
            durations["total"] = response.completed_at - started
        return cls(**durations)

    def __str__(self) -> str:
        phases = ((one.name, getattr(self, one.name)) for one in fields(self))
        texts = (f"{name} {seconds:.6f} s" for name, seconds in phases if seconds is not None)
        return ", ".join(texts).replace("first_byte", "first byte")
