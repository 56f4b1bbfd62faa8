"""JSON documents that are separated by line ends: NDJSON, JSON Lines, and JSON text sequences.

Lines are UTF-8 and end in LF, with or without CR before it. Empty lines are skipped, and so is the
record separator of RFC 7464 at the start of a line. The last line needs no end. A line never takes
more than `max_line_size` bytes.
Reading from the connection is implemented in `_response/stream`.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from .._guest import hosted
from ..errors import JsonDecodeError, ResponseTooLarge, truncated_repr
from .source import BodySource, context_of, iterate_body

__all__ = ["DEFAULT_MAX_LINE_SIZE", "JsonLines"]

DEFAULT_MAX_LINE_SIZE = 64 << 20  # bytes
_BLANK = b" \t\r\x1e"


class JsonLines:
    """The documents of one response: `async for item in response.json_lines()`.

    `line_number` is that of the document returned last, from 1. Cancellation closes the connection.
    """

    def __init__(
        self, response: BodySource, *, max_line_size: int | None = DEFAULT_MAX_LINE_SIZE
    ) -> None:
        self.line_number = 0
        self._response = response
        self._chunks: AsyncIterator[bytes] = iterate_body(response)
        self._loads: Callable[..., Any] = response._get_option("json_loads", None) or json.loads
        self._max_line_size = max_line_size
        self._ready: deque[bytes] = deque()
        self._partial: list[bytes] = []  # pieces of the line that is not complete
        self._partial_size = 0
        self._ended = False

    def __aiter__(self) -> JsonLines:
        return self

    @hosted
    async def __anext__(self) -> Any:  # whatever the server sent
        """Return the next document.

        Raises:
            JsonDecodeError: a line is not JSON; the body is closed.
            ResponseTooLarge: a line has more than `max_line_size` bytes; the body is closed.
        """
        while True:
            while self._ready:
                line = self._ready.popleft()
                self.line_number += 1
                if self.line_number == 1:
                    line = line.removeprefix(BOM_UTF8)
                line = line.strip(_BLANK)
                if line:
                    return await self._parse(line)
            if self._ended:
                raise StopAsyncIteration
            await self._read()

    async def _read(self) -> None:
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            self._ended = True
            self._ready.append(b"".join(self._partial))
            self._partial = []
            return
        first, *others = chunk.split(b"\n")
        self._partial.append(first)
        self._partial_size += len(first)
        await self._check_size(self._partial_size, self.line_number + 1)
        if others:
            self._ready.append(b"".join(self._partial))
            last = others.pop()
            self._ready.extend(others)
            self._partial, self._partial_size = [last], len(last)

    async def _check_size(self, size: int, number: int) -> None:
        if self._max_line_size is not None and size > self._max_line_size:
            await self.aclose()
            raise ResponseTooLarge(
                f"{context_of(self._response)}: line {number} has more than "
                f"max_line_size={self._max_line_size} bytes"
            )

    async def _parse(self, line: bytes) -> Any:
        await self._check_size(len(line), self.line_number)
        try:
            return self._loads(line)
        except (ValueError, RecursionError) as error:
            await self.aclose()
            raise self._not_json(line, error) from error

    def _not_json(self, line: bytes, error: ValueError | RecursionError) -> JsonDecodeError:
        document, position, reason = "", 0, str(error)
        if isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        elif isinstance(error, json.JSONDecodeError):
            document, position, reason = error.doc, error.pos, error.msg
        refused = JsonDecodeError(
            f"{context_of(self._response)}: line {self.line_number} of this "
            f"{self._response.status_code} response is not JSON, it begins with "
            f"{truncated_repr(line).removeprefix('b')}: {reason}",
            document,
            position,
        )
        refused.response = self._response  # type: ignore[assignment]
        return refused

    @hosted
    async def aclose(self) -> None:
        """Close the body, and the connection if more was to come. Safe to call again."""
        self._ended = True
        self._ready.clear()
        await self._response.__aexit__(None, None, None)
