"""How long each phase of a request may take.

Rules:  None means no limit and no timer. A limit of 0 or below, or one that is no number, is
        refused before anything is sent: "none at all" and "not a moment" are both written 0 by
        somebody.
Not here: arming timers, and which error a phase raises (`errors`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import InvalidRequest

__all__ = ["DEFAULT_TIMEOUTS", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds, None for none.

    `pool` is the wait in line for a connection, `connect` the making of one (name, TCP, proxy,
    TLS), `read` the longest silence of the server, `write` the longest time in which it takes
    no byte, `total` the whole exchange with redirects and retries, but without `pool`. Raises
    `InvalidRequest` for a limit that is not above 0 or no number.
    """

    pool: float | None = None
    connect: float | None = 60.0
    read: float | None = 300.0
    write: float | None = 300.0
    total: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))

    @classmethod
    def coerce(cls, value: Timeouts | float | None) -> Timeouts:
        """The value itself; a number for short means `total`; None the defaults."""
        if isinstance(value, Timeouts):
            return value
        if value is None:
            return DEFAULT_TIMEOUTS
        _check("total", value)
        return cls(total=value)

    def replace(self, **limits: float | None) -> Timeouts:
        """The same with some limits changed; the very same object if none is."""
        if all(getattr(self, name) == limit for name, limit in limits.items()):
            return self
        return replace(self, **limits)


def _check(name: str, limit: Any) -> None:
    if limit is None:
        return
    # bool is an int, and True seconds is a slip; a NaN is neither below nor above anything.
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        raise InvalidRequest(f"the {name} time-out is a number of seconds or None, not {limit!r}")
    if not limit > 0:
        raise InvalidRequest(f"the {name} time-out is more than 0 seconds, not {limit!r}")


DEFAULT_TIMEOUTS = Timeouts()
