"""The time limits of the phases of a request.

None means no limit and no timer. A limit that is not a number above 0 is rejected before anything
is sent. 0 is ambiguous: some libraries read it as "no limit", others as "immediately".

Timers are implemented in `_deadlines` and in the pool monitor; `errors` defines which error a phase
raises.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from ..errors import InvalidRequest

__all__ = ["DEFAULT_TIMEOUTS", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits in seconds, None for no limit.

    Attributes:
        pool: waiting for a connection from the pool.
        connect: opening a connection: name resolution, TCP, proxy, TLS.
        read: the longest time without a byte from the server.
        write: the longest time in which the server accepts no byte.
        total: the whole request with redirects and retries, without `pool`.
        dns: name resolution, which is part of `connect`; of a proxy's name too.

    Raises:
        InvalidRequest: a limit is not a number above 0.

    Example:
        >>> await asks_fast.get(url, timeout=Timeouts(connect=5, read=30))
    """

    pool: float | None = None
    connect: float | None = 60.0
    read: float | None = 300.0
    write: float | None = 300.0
    total: float | None = None
    dns: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))

    @classmethod
    def coerce(cls, value: Timeouts | float | None) -> Timeouts:
        """Return a `Timeouts`: `value` itself, a number as `total`, the defaults for None."""
        if isinstance(value, Timeouts):
            return value
        if value is None:
            return DEFAULT_TIMEOUTS
        _check("total", value)
        return cls(total=value)

    def replace(self, **limits: float | None) -> Timeouts:
        """Return a copy with other limits, or this object if nothing changes."""
        if all(getattr(self, name) == limit for name, limit in limits.items()):
            return self
        return replace(self, **limits)


def _check(name: str, limit: object) -> None:
    if limit is None:
        return
    # bool is an int, and True is a mistake; NaN is not greater than 0.
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        raise InvalidRequest(
            f"the {name} time-out must be a number of seconds or None, not {limit!r}"
        )
    if not limit > 0:
        raise InvalidRequest(f"the {name} time-out must be more than 0 seconds, not {limit!r}")


DEFAULT_TIMEOUTS = Timeouts()
