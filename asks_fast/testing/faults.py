"""Faults of a response that `serve` sends over a real socket.

A fault applies after the first `after` bytes of the response, its head included. Use it as
`response(..., fault=...)`, or instead of a response.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Cut", "Drip", "Fault", "Garbage", "Reset", "Stall"]


@dataclass(frozen=True)
class Fault:
    """The base class. `after` is the number of bytes that are sent unchanged."""

    after: int = field(default=0, kw_only=True)


@dataclass(frozen=True)
class Cut(Fault):
    """The connection is closed in the middle of the response."""


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset (RST) in the middle of the response."""


@dataclass(frozen=True)
class Stall(Fault):
    """Nothing more is sent, and the connection stays open until the client closes it."""


@dataclass(frozen=True)
class Drip(Fault):
    """The rest is sent `size` bytes at a time, `pause` seconds apart."""

    size: int = 1
    pause: float = 0.01


@dataclass(frozen=True)
class Garbage(Fault):
    """These bytes are sent instead of the rest, then the connection is closed."""

    data: bytes = b"\x00\xff garbage \r\n\r\n"
