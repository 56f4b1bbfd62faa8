"""Where the URLs come from: a file or standard input, line by line, endless if need be.

A line is a URL (without scheme: http), or a JSON object of request arguments (`url`, `method`,
`headers`, `data`, `json`, …, `key`). Empty lines and lines that begin with `#` are nothing.

Facts:  a regular file never makes us wait; a pipe or terminal does, and is waited for by the
        kernel, without touching the flags it shares with other processes.
Rules:  a line that makes no sense becomes a request that fails, so that it shows in the output.
Not here: which of them were done before (`fetching`).
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from curio.traps import _io_release, _read_wait

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Lines", "identity", "parse_line"]

LONGEST_LINE = 4 * 1024 * 1024


def parse_line(line: str) -> Any | None:
    """The request of one line: a URL or a dict; None for a line that says nothing.

    Broken JSON gives a dict without `url` and with `key`: a request that fails.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    if line.startswith("{"):
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"url": "", "key": line[:2000]}
        if isinstance(request.get("url"), str):
            request["url"] = with_scheme(request["url"].strip())
        else:
            request["url"] = ""
        return request
    return with_scheme(line)


def with_scheme(url: str) -> str:
    """The URL, with `http://` before it if it has no scheme."""
    return url if "://" in url or not url else "http://" + url


def identity(request: Any) -> str:
    """What makes two requests the same one: the user's key, else method, URL and body."""
    if isinstance(request, str):
        return request
    if request.get("key") is not None:
        return f"key {request['key']}"
    method = str(request.get("method", "GET")).upper()
    rest = {k: v for k, v in request.items() if k not in ("url", "method")}
    if method == "GET" and not rest:
        return str(request["url"])
    return f"{method} {request['url']} {json.dumps(rest, sort_keys=True, default=str)}"


class Lines:
    """Async iterator over the requests in a file, `-` being standard input; compressed files too.

    `fraction` tells how much of a regular file was read. `aclose` may come at any time.
    Cancellation in `__anext__` loses nothing: the next call goes on.
    """

    def __init__(self, source: str) -> None:
        # Closed by aclose, which may come at any time.
        file: BinaryIO = sys.stdin.buffer if source == "-" else open(source, "rb")  # noqa: SIM115
        self._file: BinaryIO | None = file
        self._fd = file.fileno()
        status = os.fstat(self._fd)
        self._total = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self._waits = os.isatty(self._fd) or not (
            stat.S_ISREG(status.st_mode) or stat.S_ISCHR(status.st_mode)
        )
        self._owns = source != "-"
        self._read = 0
        self._unpack = _unpacker(source)
        self._rest = b""  # of a line that was not read to its end
        self._lines: list[bytes] = []  # in reverse
        self._ended = False
        self.stopped = False  # set to end the input where it is

    @property
    def fraction(self) -> float | None:
        """Between 0 and 1: how much was read; None when there is no telling."""
        return self._read / self._total if self._total else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while True:
            while self._lines:
                request = parse_line(self._lines.pop().decode("utf-8", "replace"))
                if request is not None:
                    return request
            if self._ended or self.stopped:
                raise StopAsyncIteration
            await self._fill()

    async def _fill(self) -> None:
        """Read on, waiting where that may be needed."""
        if self._waits:
            await _read_wait(self._file)
        data = os.read(self._fd, 1 << 16)
        self._read += len(data)
        if not data:
            self._ended = True
            self._lines = [self._rest] if self._rest else []
            self._rest = b""
            return
        *lines, self._rest = (self._rest + self._unpack(data)).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise ValueError(f"a line of the input is longer than {LONGEST_LINE} bytes")
        self._lines = lines[::-1]

    async def aclose(self) -> None:
        """Let go of the file. Idempotent."""
        file, self._file = self._file, None
        self._ended = True
        if file is None:
            return
        if self._waits:
            with contextlib.suppress(Exception):  # it was never waited for
                await _io_release(file)
        if self._owns:
            file.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()


def _unpacker(source: str) -> Any:
    """A function that unpacks the next piece, by what the file's name ends in."""
    ending = Path(source).suffix
    if ending == ".gz":
        return _Gunzip()
    if ending == ".zst":
        try:
            import zstandard
        except ImportError as e:
            raise ImportError('zstd input needs zstandard: pip install "asks-fast[cli]"') from e
        return zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress
    return bytes


class _Gunzip:
    """Unpacks gzip piece by piece, however many members there are."""

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
