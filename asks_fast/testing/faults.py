"""What may go wrong with one answer of a `LocalServer`, over a real socket.

Each fault lets the first `after` bytes of the answer through (its head included), then does its
harm. Give one to `answer(..., fault=...)`, or as an answer of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Cut", "Drip", "Fault", "Garbage", "Reset", "Stall"]


@dataclass(frozen=True)
class Fault:
    """The base of all faults. `after`: bytes of the answer that arrive unharmed."""

    after: int = field(default=0, kw_only=True)


@dataclass(frozen=True)
class Cut(Fault):
    """The connection is closed in the middle of the answer."""


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset (RST) in the middle of the answer."""


@dataclass(frozen=True)
class Stall(Fault):
    """Nothing more comes, and the connection stays open until the client closes it."""


@dataclass(frozen=True)
class Drip(Fault):
    """The rest comes `size` bytes at a time, `pause` seconds apart."""

    size: int = 1
    pause: float = 0.01


@dataclass(frozen=True)
class Garbage(Fault):
    """These bytes come in place of the rest, then the connection is closed."""

    data: bytes = b"\x00\xff garbage \r\n\r\n"
