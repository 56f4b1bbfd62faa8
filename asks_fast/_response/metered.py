"""A streamed body that is read with progress, a lowest speed and a bandwidth limit."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Protocol

from .._config.transfer import TransferMeter
from .._guest import hosted
from ..errors import ReadTimeout

__all__ = ["MeteredBody"]


class TimedBody(Protocol):
    """The body that is read: a `StreamBody`."""

    timeout: float | None

    def __anext__(self) -> Awaitable[bytes]: ...

    def close(self) -> Awaitable[None]: ...


class MeteredBody:
    """The chunks of a body, counted by a meter: `async for chunk in response.body.metered(…)`."""

    def __init__(self, body: TimedBody, meter: TransferMeter) -> None:
        self._body = body
        self._meter = meter
        self._timeout = body.timeout

    def __aiter__(self) -> MeteredBody:
        return self

    @hosted
    async def __anext__(self) -> bytes:
        """Return the next chunk. Cancellation closes the connection.

        Raises:
            TransferTooSlow: the body came more slowly than `low_speed`; the connection is closed.
        """
        meter = self._meter
        left = meter.time_left()
        is_shorter = left is not None and (self._timeout is None or left < self._timeout)
        self._body.timeout = left if is_shorter else self._timeout
        began = time.monotonic()
        try:
            chunk = await self._body.__anext__()
        except ReadTimeout:
            if is_shorter:
                meter.wait_ended(left or 0.0, 0)
            raise
        try:
            meter.wait_ended(time.monotonic() - began, len(chunk))
            await meter.count(len(chunk))
        except BaseException:
            await self._body.close()
            raise
        return chunk
