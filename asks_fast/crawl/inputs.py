"""Requests read from a file or standard input, line by line; the input may be endless.

A line is a URL (without scheme: http), or a JSON object of request arguments (`url`, `method`,
`headers`, `data`, `json`, …, `key`). Empty lines and lines that begin with `#` are skipped.

Facts:  reading a regular file never blocks; reading a pipe or terminal may. The kernel waits for
        those without changing the flags that the descriptor shares with other processes.
Invariants: an invalid line becomes a request that fails, so the output shows it, with file name and
        line number.

Implemented elsewhere: skipping requests that were done before (`bulk_fetch`).
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from .._config.options import CONNECTION_OPTIONS, ONE_REQUEST_ONLY, SESSION_DEFAULTS, RequestOptions
from .._curio import io_release, read_wait
from .._extras import missing_extra
from ..errors import InvalidRequest, truncated_repr
from .job import INVALID_LINE

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["InputLines", "InvalidLine", "check_lines", "decompressor", "parse_line"]

MAX_LINE_LENGTH = 4 * 1024 * 1024
MAX_CHECKED_BYTES = 16 * 1024 * 1024  # bytes of lines checked before the first fetch
MAX_ERRORS = 5  # returned by `check_lines`
_NOT_IN_A_LINE = {
    "stream",
    "callback",
    "middleware",
    "on_event",
    "json_dumps",
    "json_loads",
    "path",
}


class InvalidLine(ValueError):
    """A line of the input is not a request."""


def parse_line(line: str) -> Any | None:
    """Return the request of one line, a URL or a dict; None for a line without one.

    Raises:
        InvalidLine: broken JSON, or invalid request arguments.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    if not line.startswith("{"):
        return with_scheme(line)
    try:
        request = json.loads(line)
    except RecursionError:
        raise InvalidLine("invalid JSON: nested too deeply") from None
    except ValueError as error:
        raise InvalidLine(f"invalid JSON: {error}") from None
    _check_arguments(request)
    request["url"] = with_scheme(request["url"].strip())
    return request


def _check_arguments(request: dict[str, Any]) -> None:
    """Check names and values of request arguments as far as possible before the request."""
    known = (SESSION_DEFAULTS | ONE_REQUEST_ONLY | CONNECTION_OPTIONS) - _NOT_IN_A_LINE
    known |= {"url", "method", "key"}
    for name in request:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidLine(f"unknown key {truncated_repr(name)}{hint}")
    url = request.get("url")
    if not isinstance(url, str) or not url.strip():
        found = "no url" if "url" not in request else f"the url {truncated_repr(repr(url))}"
        raise InvalidLine(f"a request needs a url that is a string, found {found}")
    if not isinstance(request.get("method", "GET"), str):
        raise InvalidLine(
            f"method must be a string, found {truncated_repr(repr(request['method']))}"
        )
    try:
        RequestOptions({k: v for k, v in request.items() if k not in ("url", "method", "key")})
    except (InvalidRequest, TypeError) as error:
        raise InvalidLine(str(error)) from None


def check_lines(source: str) -> list[str]:
    """Return the errors in the lines of a regular file, each with file name and line number.

    At most `MAX_ERRORS` errors of the first `MAX_CHECKED_BYTES` are returned; later lines are
    checked when they are read. Compressed files are decompressed. Other inputs are not read.
    """
    if source == "-" or not os.path.isfile(source):
        return []
    decompress = decompressor(source)
    errors: list[str] = []
    number, checked, rest = 0, 0, b""
    with open(source, "rb") as file:
        while checked < MAX_CHECKED_BYTES and (data := file.read(1 << 16)):
            data = rest + decompress(data)
            checked += len(data) - len(rest)
            *lines, rest = data.split(b"\n")
            for line in lines:
                number += 1
                _check_line(source, number, line, errors)
        else:
            if checked < MAX_CHECKED_BYTES:
                _check_line(source, number + 1, rest, errors)
    if len(errors) > MAX_ERRORS:
        errors[MAX_ERRORS:] = [f"… and {len(errors) - MAX_ERRORS:,} more lines"]
    return errors


def _check_line(source: str, number: int, line: bytes, errors: list[str]) -> None:
    try:
        parse_line(line.decode("utf-8", "replace"))
    except InvalidLine as error:
        errors.append(f"{source}:{number}: {error}")


def with_scheme(url: str) -> str:
    """Return the URL, with `http://` before it if it has no scheme."""
    return url if "://" in url or not url else "http://" + url


class InputLines:
    """Async iterator over the requests in a file, compressed or not; `-` is standard input.

    After a cancelled `__anext__` nothing is lost: the next call continues. `aclose` may be called
    at any time.
    """

    def __init__(self, source: str) -> None:
        # Closed by aclose.
        file: BinaryIO = sys.stdin.buffer if source == "-" else open(source, "rb")  # noqa: SIM115
        self._file: BinaryIO | None = file
        self._fd = file.fileno()
        status = os.fstat(self._fd)
        self._size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self._name = "standard input" if source == "-" else source
        self._number = 0  # of the last line
        self.count = 0  # requests returned so far
        self._may_block = os.isatty(self._fd) or not (
            stat.S_ISREG(status.st_mode) or stat.S_ISCHR(status.st_mode)
        )
        self._owns_file = source != "-"
        self._read = 0
        self._decompress = decompressor(source)
        self._partial_line = b""  # the start of a line whose end was not read yet
        self._lines: list[bytes] = []  # in reverse
        self._is_exhausted = False
        self._reached_eof = False

    @property
    def is_at_end(self) -> bool:
        """Whether every request was returned, so `count` is their number."""
        return self._reached_eof and not self._lines

    @property
    def total(self) -> int | None:
        """The number of requests in the input: exact at its end, estimated before, or None."""
        if self.is_at_end:
            return self.count
        if not self._size or not self._read:
            return None
        known = self.count + len(self._lines)
        return round(known * max(1.0, self._size / self._read))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while True:
            while self._lines:
                request = self._parse(self._lines.pop().decode("utf-8", "replace"))
                if request is not None:
                    self.count += 1
                    return request
            if self._is_exhausted:
                raise StopAsyncIteration
            await self._read_lines()

    def _parse(self, line: str) -> Any | None:
        """Return the request of the next line; for an invalid line, a request that fails."""
        self._number += 1
        try:
            return parse_line(line)
        except InvalidLine as error:
            reason = f"{self._name}:{self._number}: {error}"
            return {"url": "", "key": line.strip()[:2000], INVALID_LINE: reason}

    async def _read_lines(self) -> None:
        """Read more lines, waiting if necessary."""
        if self._may_block:
            await read_wait(self._file)
        data = os.read(self._fd, 1 << 16)
        self._read += len(data)
        if not data:
            self._is_exhausted = self._reached_eof = True
            self._lines = [self._partial_line] if self._partial_line else []
            self._partial_line = b""
            return
        *lines, self._partial_line = (self._partial_line + self._decompress(data)).split(b"\n")
        if len(self._partial_line) > MAX_LINE_LENGTH:
            raise ValueError(f"a line of the input is longer than {MAX_LINE_LENGTH} bytes")
        self._lines = lines[::-1]

    async def aclose(self) -> None:
        """Close the file. Idempotent."""
        file, self._file = self._file, None
        self._is_exhausted = True
        if file is None:
            return
        if self._may_block:
            with contextlib.suppress(Exception):  # the kernel never waited for it
                await io_release(file)
        if self._owns_file:
            file.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()


def decompressor(source: str) -> Any:
    """Return a function that decompresses the next piece, chosen by the suffix of the file name."""
    ending = Path(source).suffix
    if ending == ".gz":
        return _GzipDecompressor()
    if ending == ".zst":
        try:
            import zstandard
        except ImportError as e:
            raise ImportError(missing_extra("zstd input", "zstandard", "cli")) from e
        return zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress
    return bytes


class _GzipDecompressor:
    """Decompress gzip piece by piece, any number of members."""

    def __init__(self) -> None:
        import zlib

        self._new = zlib.decompressobj
        self._member = self._new(31)

    def __call__(self, data: bytes) -> bytes:
        out = []
        while data:
            if self._member.eof:
                self._member = self._new(31)
            out.append(self._member.decompress(data))
            data = self._member.unused_data
        return b"".join(out)
