"""The output of `asks-fast get`: the body, heads, progress, and the text of `-w`.

The body goes to standard output or to a file, everything else to standard error. Text from a
server is escaped before it goes to standard error, and secrets in heads are masked.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any
from urllib.parse import unquote

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from asks_fast import errors
from asks_fast._response.status_codes import REDIRECT_STATUSES
from asks_fast.cli.display import printable
from asks_fast.cli.exit_codes import CannotResume, CannotWrite
from asks_fast.cli.get_request import Options, read_file
from asks_fast.crawl.file_io import write_all
from asks_fast.crawl.raw_exchange import header_items

__all__ = ["Output", "Verbose", "head_lines", "say", "timing_lines", "write_out"]

MIN_PROGRESS_BODY = 1 << 20  # bytes; progress is shown for larger bodies


def say(text: str) -> None:
    """Print a line on standard error."""
    print(text, file=sys.stderr, flush=True)


# -- the body


class Output:
    """The destination of the body: standard output, or a file that may hold the start of the body.

    `offset` is the number of bytes that are there already (`-C`). The file is opened after the
    response has arrived, so a failed request leaves an earlier file as it was.
    """

    def __init__(self, given: Options, url: str) -> None:
        self.name: str | None = given["output"]
        if given["remote_name"]:
            self.name = remote_name(url)
        self.to_stdout = self.name in (None, "-")
        self._limit: int | None = given["max_filesize"]
        self._shows_progress = not (self.to_stdout or given["silent"]) and sys.stderr.isatty()
        self.offset = self._offset(given["continue_at"])
        self._fd = 1
        self.size = 0  # bytes of the body written

    def _offset(self, wanted: str | None) -> int:
        if wanted is None:
            return 0
        if wanted != "-":
            return int(wanted)
        if self.to_stdout:
            return 0
        assert self.name is not None
        try:
            return os.stat(self.name).st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise CannotWrite(f"cannot resume {self.name}: {error.strerror}") from error

    def accepts(self, response: Any) -> bool:
        """Return whether there is a body to write.

        A 416 whose size equals `offset` means that the file is complete.

        Raises:
            CannotResume: the response does not continue the file.
        """
        if not self.offset or (response.status_code >= 400 and response.status_code != 416):
            return True
        value = str(response.headers.get("content-range") or "")
        if response.status_code == 416:
            if value.replace(" ", "") == f"bytes*/{self.offset}":
                return False
            raise CannotResume(
                f"the server has no data from byte {self.offset} on: it sent {printable(value)!r}"
            )
        found = re.match(r"bytes\s+(\d+)-", value)
        if response.status_code != 206 or found is None or int(found[1]) != self.offset:
            raise CannotResume(
                f"the server does not send the body from byte {self.offset} on; "
                "without -C the whole body is fetched again"
            )
        return True

    async def write(self, response: Any, head: str) -> None:
        """Write `head` and then the body. Raises `CannotWrite` and `ResponseTooLarge`."""
        appends = self.offset and response.status_code == 206
        if not self.to_stdout:
            assert self.name is not None
            flags = os.O_WRONLY | os.O_CREAT | (0 if appends else os.O_TRUNC)
            try:
                self._fd = os.open(self.name, flags, 0o666)
                if appends:
                    os.lseek(self._fd, self.offset, os.SEEK_SET)
            except OSError as error:
                raise CannotWrite(f"cannot write to {self.name}: {error.strerror}") from error
        try:
            if head:
                self._write_all(head.encode("utf-8", "replace"))
            with self._progress(response, self.offset if appends else 0) as shown:
                async for piece in response.body:
                    self._check(piece)
                    self._write_all(piece)
                    self.size += len(piece)
                    shown.advance(len(piece))
        finally:
            if self._fd != 1:
                os.close(self._fd)

    def _check(self, piece: Any) -> None:
        """Raise for a body that is too large, and for binary data on a terminal."""
        if self._limit is not None and self.size + len(piece) > self._limit:
            raise errors.ResponseTooLarge(f"the body is larger than {self._limit} bytes")
        if self.name is None and self.size == 0 and b"\0" in bytes(piece[:1024]) and os.isatty(1):
            raise CannotWrite("the body is binary data; -o FILE saves it, -o - prints it")

    def _write_all(self, data: Any) -> None:
        try:
            write_all(self._fd, data)
        except OSError as error:
            name = "standard output" if self.to_stdout else self.name
            raise CannotWrite(f"cannot write to {name}: {error.strerror}") from error

    def _progress(self, response: Any, begun: int) -> _ProgressBar:
        length = None
        if "content-encoding" not in response.headers:
            value = str(response.headers.get("content-length") or "")
            length = int(value) + begun if value.isdigit() else None
        is_long = length is None or length >= MIN_PROGRESS_BODY
        return _ProgressBar(begun, length, self._shows_progress and is_long)


class _ProgressBar:
    """A progress bar on standard error, or nothing."""

    def __init__(self, begun: int, total: int | None, shown: bool) -> None:
        self._bar: Progress | None = None
        if shown:
            self._bar = Progress(
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %") if total else TextColumn(""),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                refresh_per_second=4,
            )
            self._task: TaskID = self._bar.add_task("", total=total, completed=begun)

    def __enter__(self) -> _ProgressBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, size: int) -> None:
        """Count `size` more bytes."""
        if self._bar is not None:
            self._bar.advance(self._task, size)


def remote_name(url: str) -> str:
    """Return the file name of `-O`: the last segment of the URL's path."""
    path = url.partition("://")[2].partition("#")[0].partition("?")[0]
    name = unquote(path.partition("/")[2].rpartition("/")[2])
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise CannotWrite(f"-O: the URL {url!r} has no file name; -o FILE gives one")
    return name


# -- heads


def head_lines(response: Any) -> list[str]:
    """Return the lines of the response head, control characters escaped."""
    first = f"HTTP/{response.http_version} {response.status_code} {response.reason_phrase}"
    pairs = header_items(response.headers)
    return [printable(line) for line in [first.rstrip(), *(f"{n}: {v}" for n, v in pairs)]]


class Verbose:
    """Print the steps of a request, its heads and those of its responses, as they happen.

    Credentials, cookies, and the values of header fields and query pairs with secret names are
    masked.
    """

    def __init__(self) -> None:
        from asks_fast.testing.masking import Mask

        self._mask = Mask()

    def __call__(self, event: Any) -> None:
        """Print one event of `on_event=`."""
        if event.name == "sent":
            for line in self._request_lines(event.request):
                say(f"> {line}")
        elif event.name == "head":
            for line in self._response_lines(event.response):
                say(f"< {line}")
        elif event.name not in ("connection_acquired", "body"):
            facts = ", ".join(f"{name} {value}" for name, value in event.data.items())
            say(
                printable(
                    f"* {event.name} {self._mask.url(facts) if '://' in facts else facts}".rstrip()
                )
            )

    def _request_lines(self, request: Any) -> list[str]:
        first, *fields = request.head().partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, target, version = first.split(" ", 2)
        pairs = self._mask.fields(
            (name, value) for name, _, value in (f.partition(": ") for f in fields)
        )
        lines = [
            f"{method} {self._mask.url(target)} {version}",
            *(f"{n}: {v}" for n, v in pairs),
            "",
        ]
        return [printable(line) for line in lines]

    def _response_lines(self, response: Any) -> list[str]:
        first = f"HTTP/{response.http_version} {response.status_code} {response.reason_phrase}"
        pairs = self._mask.fields(header_items(response.headers))
        lines = [first.rstrip(), *(f"{name}: {value}" for name, value in pairs), ""]
        return [printable(line) for line in lines]


# -- times


def timing_lines(response: Any, size: int) -> list[str]:
    """Return the time of each exchange, and the sum."""
    hops = [*response.history, response]
    lines = [f"{hop.method} {hop.url}: {hop.timings}" for hop in hops]
    phases_taken = [hop.timings.total for hop in hops]
    if None not in phases_taken:
        lines.append(
            f"all {sum(phases_taken):.6f} s; {size} bytes, {len(response.history)} redirects"
        )
    return [printable(line) for line in lines]


# -- -w


def write_out(form: str, response: Any, output: Output | None, url: str, error: str) -> None:
    """Print the text of `-w`: `%{name}` becomes a value, `\\n`, `\\t`, `\\r` and `%%` a character.

    The names are curl's. `%{stderr}` and `%{stdout}` select the stream for the rest. If `response`
    is None, its variables are empty or 0.
    """
    if form.startswith("@"):
        form = read_file(form[1:]).decode("utf-8", "replace")
    values = _variables(response, output, url, error)
    stream = sys.stdout
    for piece in re.split(r"(%\{\w+\}|%%|\\[nrt\\])", form):
        if piece.startswith("%{"):
            name = piece[2:-1]
            if name in ("stderr", "stdout"):
                stream.flush()
                stream = sys.stderr if name == "stderr" else sys.stdout
            elif name in values:
                stream.write(printable(values[name]))
            else:
                say(f"asks-fast: unknown variable {name!r} in -w; known: {', '.join(values)}")
        else:
            stream.write(_ESCAPES.get(piece, piece))
    stream.flush()


_ESCAPES = {"%%": "%", "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\\\": "\\"}
_TIMES = {  # the phases that are over at each of curl's times
    "time_namelookup": ("wait", "lookup"),
    "time_connect": ("wait", "lookup", "connect"),
    "time_appconnect": ("wait", "lookup", "connect", "tunnel", "tls"),
    "time_pretransfer": ("wait", "lookup", "connect", "tunnel", "tls"),
    "time_starttransfer": ("wait", "lookup", "connect", "tunnel", "tls", "send", "first_byte"),
    "time_total": ("total",),
}


def _variables(response: Any, output: Output | None, url: str, error: str) -> dict[str, str]:
    size = output.size if output is not None else 0
    hops = [] if response is None else [*response.history, response]
    headers = response.headers if response is not None else {}
    status = f"{response.status_code:03}" if response is not None else "000"
    location = str(headers.get("location") or "")
    total = sum(hop.timings.total or 0.0 for hop in hops)
    values = {
        "content_type": str(headers.get("content-type") or ""),
        "errormsg": error,
        "filename_effective": "" if output is None or output.to_stdout else str(output.name),
        "http_code": status,
        "http_version": str(response.http_version) if response is not None else "0",
        "method": str(response.method) if response is not None else "",
        "num_redirects": str(sum(hop.status_code in REDIRECT_STATUSES for hop in hops[:-1])),
        "redirect_url": _redirect_target(str(response.url), location)
        if response is not None and location
        else "",
        "response_code": status,
        "scheme": (str(response.url) if response is not None else url).partition("://")[0],
        "size_download": str(size),
        "speed_download": str(round(size / total) if total else 0),
        "url": url,
        "url_effective": str(response.url) if response is not None else url,
    }
    for name, phases in _TIMES.items():
        phases_taken = [sum(getattr(hop.timings, p) or 0.0 for p in phases) for hop in hops[-1:]]
        before = sum(hop.timings.total or 0.0 for hop in hops[:-1])
        values[name] = f"{before + sum(phases_taken):.6f}"
    return values


def _redirect_target(base: str, location: str) -> str:
    """Return the URL that a redirect leads to, or its text if it is not a URL."""
    from asks_fast.urls import join_url, parse_url

    try:
        return str(join_url(parse_url(base), location))
    except errors.InvalidURL:
        return location
