"""Stored responses in memory, the most recently used ones."""

from __future__ import annotations

import os
from collections import OrderedDict
from threading import Lock

from .entry import MAX_VARIANTS, Entry

__all__ = ["MemoryStore"]

Variant = tuple[tuple[str, ...], bytes, bytes]


class MemoryStore:
    """Entries by key, with a limit in bytes. Safe in several threads.

    Args:
        max_size: the limit in bytes.
    """

    def __init__(self, max_size: int) -> None:
        self.salt = os.urandom(16)
        self._max_size = max_size
        self._entries: OrderedDict[tuple[bytes, Variant], Entry] = OrderedDict()
        self._variants: dict[bytes, list[Variant]] = {}
        self._size = 0
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._entries)} responses, {self._size} bytes>"

    async def find(self, key: bytes) -> list[Entry]:
        """Return the entries of a key."""
        with self._lock:
            return [self._entries[key, variant] for variant in self._variants.get(key, ())]

    async def load(self, key: bytes, entry: Entry) -> bytes | None:
        """Return the body of an entry that is being used; None if it is gone."""
        with self._lock:
            if (key, _variant(entry)) in self._entries:
                self._entries.move_to_end((key, _variant(entry)))
        return entry.body

    async def put(self, key: bytes, entry: Entry) -> None:
        """Store an entry instead of the one for the same requests, and drop the oldest ones."""
        with self._lock:
            self._drop(key, _variant(entry))
            if entry.cost > self._max_size:
                return
            self._entries[key, _variant(entry)] = entry
            self._variants.setdefault(key, []).append(_variant(entry))
            self._size += entry.cost
            if len(self._variants[key]) > MAX_VARIANTS:
                self._drop(key, self._variants[key][0])
            while self._size > self._max_size:
                self._drop(*next(iter(self._entries)))

    async def update(self, key: bytes, entry: Entry) -> None:
        """Replace the fields of an entry, whose body stays."""
        await self.put(key, entry)

    def remove(self, key: bytes) -> None:
        """Remove all entries of a key."""
        with self._lock:
            for variant in list(self._variants.get(key, ())):
                self._drop(key, variant)

    async def discard(self, key: bytes) -> None:
        """As `remove`."""
        self.remove(key)

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._entries.clear()
            self._variants.clear()
            self._size = 0

    def _drop(self, key: bytes, variant: Variant) -> None:
        entry = self._entries.pop((key, variant), None)
        if entry is None:
            return
        self._size -= entry.cost
        self._variants[key].remove(variant)
        if not self._variants[key]:
            del self._variants[key]

    def close(self) -> None:
        """Nothing to close: the entries stay."""


def _variant(entry: Entry) -> Variant:
    return entry.vary, entry.variant, entry.credentials
