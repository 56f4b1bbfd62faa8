"""A stored response."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from .._hotpath import Headers
from .cache_control import parse_cache_control

__all__ = ["MAX_VARIANTS", "Entry"]

MAX_VARIANTS = 50  # responses of one URL; those stored first are dropped


@dataclass(frozen=True)
class Entry:
    """One stored response to a GET. Header values of the request are kept as digests only.

    Attributes:
        status: the status code.
        reason: the reason phrase as received.
        fields: the header fields as received, without those that may not be stored.
        requested_at, received_at: seconds since 1970.
        vary: the names in `Vary`, in lower case and sorted.
        variant: a digest of the values that the request had for these names.
        credentials: a digest of the request's Authorization, b"" without one.
        body: as received; None if it was not loaded yet.
        size: bytes of the body.
        row: the row of a database, 0 for none.
    """

    status: int
    reason: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    requested_at: float
    received_at: float
    vary: tuple[str, ...] = ()
    variant: bytes = b""
    credentials: bytes = b""
    body: bytes | None = field(default=b"", repr=False)
    size: int = 0
    row: int = 0

    @cached_property
    def headers(self) -> Headers:
        """The header fields."""
        return Headers.from_pairs(self.fields)

    @cached_property
    def directives(self) -> dict[str, str | None]:
        """The directives of Cache-Control."""
        return parse_cache_control(self.headers.getlist("cache-control"))

    @property
    def cost(self) -> int:
        """The bytes that the entry takes, about."""
        return self.size + sum(len(name) + len(value) + 4 for name, value in self.fields) + 256
