"""Download a URL to a file: resumed after a failure, verified, and visible only when complete.

A request for the rest has `Range` and `If-Range`, so that a resource that has changed is sent from
its start (RFC 9110, sections 13.1.5 and 14). `Content-Range` must continue exactly where the file
ends. If it does not, the download starts again without ranges. Ranges refer to the bytes without a
content coding, so none is asked for; a response that has one is decompressed and cannot be resumed.
The file is implemented in `part_file`, the pace in `_config/transfer`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import curio

from .._config.transfer import BandwidthLimit, LowSpeed, ProgressCallback, TransferMeter
from .._response.metered import MeteredBody
from ..errors import (
    BadHttpResponse,
    BadStatus,
    ChecksumMismatch,
    ConnectivityError,
    InvalidRequest,
    ServerClosedConnectionError,
    truncated_repr,
)
from ..http_utils import parse_http_date
from .part_file import PartFile, Resource
from .retry import Attempt, Retry

if TYPE_CHECKING:
    from ..response_objects import BaseResponse, StreamResponse

__all__ = ["DEFAULT_RETRY", "Download", "Downloader", "parse_checksum"]

DEFAULT_RETRY = Retry(attempts=5)
HASH_CHUNK = 1 << 20  # bytes hashed before other tasks run
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,19})", re.ASCII)

Send = Callable[[dict[str, str]], "Awaitable[StreamResponse]"]


@dataclass(frozen=True, slots=True)
class Download:
    """A finished download.

    `path`: the file. `size`: its bytes. `received`: bytes that this call received. `resumed_from`:
    bytes that were there from an earlier call. `attempts`: requests that were sent. `response`: the
    last response, whose body has been read.
    """

    path: str
    size: int
    received: int
    resumed_from: int
    attempts: int
    response: BaseResponse


class Downloader:
    """One download; `send` makes a streamed GET with the header fields that it is given."""

    def __init__(
        self,
        send: Send,
        part: PartFile,
        *,
        retry: Retry,
        checksum: tuple[str, str] | None = None,
        progress: ProgressCallback | None = None,
        low_speed: LowSpeed | None = None,
        max_rate: float | BandwidthLimit | None = None,
    ) -> None:
        self._send = send
        self._part = part
        self._retry = retry
        self._checksum = checksum
        self._meter = TransferMeter(
            start=part.size, progress=progress, low_speed=low_speed, max_rate=max_rate
        )
        self._response: StreamResponse | None = None
        self._attempts = 0
        self._received = 0
        self._may_resume = True
        self._digest = ""

    async def run(self) -> Download:
        """Receive the whole resource and give the file its name."""
        resumed_from = self._part.size
        await self._receive_all()
        if not await self._is_as_expected():
            if not resumed_from or not self._may_resume:
                self._fail_checksum()
            self._start_again()  # the earlier part may have been damaged
            resumed_from = 0
            await self._receive_all()
            if not await self._is_as_expected():
                self._fail_checksum()
        self._part.commit()
        assert self._response is not None
        return Download(
            self._part.path,
            self._part.size,
            self._received,
            min(resumed_from, self._meter.resumed_from),
            self._attempts,
            self._response,
        )

    async def _receive_all(self) -> None:
        """Send requests until the file is complete or the retry policy gives up."""
        tries = 0  # in a row that brought nothing
        while True:
            before = self._received
            outcome: dict[str, Any]
            try:
                self._attempts += 1
                if await self._receive():
                    return
                outcome = {}
            except ConnectivityError as error:
                outcome = {"error": error}
            except BadStatus as error:
                outcome = {"response": error.response, "status": error}
            if not outcome:
                continue  # there is more, or it starts again once
            tries = 1 if self._received > before else tries + 1
            failure: BaseException = outcome.pop("status", None) or outcome["error"]
            delay = self._retry.delay_before_next(Attempt.coerce(tries, "GET", **outcome))
            if delay is None:
                raise failure
            await curio.sleep(delay)

    async def _receive(self) -> bool:
        """Send one request and write its body; whether the file is complete then."""
        part, fields = self._part, {"Accept-Encoding": "identity"}
        if part.size and part.resource.validator is not None and self._may_resume:
            fields["Range"] = f"bytes={part.size}-"
            fields["If-Range"] = part.resource.validator
        response = self._response = await self._send(fields)
        async with response:
            return await self._take(response, "Range" in fields)

    async def _take(self, response: StreamResponse, is_resumed: bool) -> bool:
        part, status = self._part, response.status_code
        if status == 416 and is_resumed:
            found = _UNSATISFIED.fullmatch(response.headers.get("content-range", ""))
            if found is not None and int(found[1]) == part.size:
                return True
            self._start_again()
            return False
        if status == 206:
            end = self._check_range(response) if is_resumed else None
            if end is None:
                if not is_resumed:
                    raise BadHttpResponse(f"{_context(response)}: 206 to a request without Range")
                self._start_again()
                return False
            await self._write(response, end)
            return part.size == part.resource.total
        if status not in (200, 203):
            response.raise_for_status()
            raise BadStatus(f"{_context(response)}: {status} has no file", response, status)
        self._begin(response)
        await self._write(response, part.resource.total)
        return True

    def _check_range(self, response: StreamResponse) -> int | None:
        """The position after the last byte of a 206 that continues the file, else None."""
        part = self._part
        found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if found is None or _is_coded(response):
            return None
        start, end, known = int(found[1]), int(found[2]) + 1, part.resource.total
        total = known if found[3] == "*" else int(found[3])
        if total is None or total != (known or total) or not part.size == start < end <= total:
            return None
        validator, etag = part.resource.validator or "", response.headers.get("etag")
        if validator.startswith('"') and etag not in (None, validator):
            return None
        length = response.headers.get("content-length")
        if length is not None and int(length) != end - start:
            return None
        part.resource = replace(part.resource, total=total)
        self._meter.total = total
        return end

    def _begin(self, response: StreamResponse) -> None:
        """Start the file with a response that has the whole resource."""
        length = response.headers.get("content-length")
        is_plain = not _is_coded(response)
        response.decompress_data = not is_plain
        self._part.restart(
            Resource(
                self._part.url_digest,
                _validator(response) if is_plain else None,
                int(length) if length is not None and is_plain else None,
            )
        )
        self._meter.transferred = self._meter.resumed_from = 0
        self._meter.total = self._part.resource.total

    async def _write(self, response: StreamResponse, end: int | None) -> None:
        part = self._part
        if response.status_code == 206:
            response.decompress_data = False
        async for chunk in MeteredBody(response.body, self._meter):
            if end is not None and part.size + len(chunk) > end:
                raise BadHttpResponse(f"{_context(response)}: more bytes than its Content-Range")
            part.write(chunk)
            self._received += len(chunk)
        if end is not None and part.size < end:
            raise ServerClosedConnectionError(
                f"{_context(response)}: the body ended at byte {part.size} of {end}"
            )

    def _start_again(self) -> None:
        """Discard the file and ask for no range from now on."""
        self._may_resume = False
        self._part.restart(Resource(self._part.url_digest))
        self._meter.transferred = self._meter.resumed_from = 0

    async def _is_as_expected(self) -> bool:
        """Whether the file has the checksum that was asked for."""
        if self._checksum is None:
            return True
        name, expected = self._checksum
        digest = hashlib.new(name)
        at = 0
        while data := self._part.read(at, HASH_CHUNK):
            digest.update(data)
            at += len(data)
            await curio.sleep(0)
        self._digest = digest.hexdigest()
        return self._digest == expected

    def _fail_checksum(self) -> None:
        assert self._checksum is not None
        assert self._response is not None
        self._part.discard()
        raise ChecksumMismatch(
            f"{_context(self._response)}: the {self._checksum[0]} of the {self._part.size} bytes "
            f"is {self._digest}, not {self._checksum[1]}; the file was discarded"
        )


def parse_checksum(value: str | None) -> tuple[str, str] | None:
    """The algorithm and the hexadecimal digest in `"sha256:9f86d0…"`; None for None.

    Raises:
        InvalidRequest: the algorithm is unknown or the digest does not fit it.
    """
    if value is None:
        return None
    name, _, digest = value.partition(":")
    name, digest = name.strip().lower().replace("sha-", "sha"), digest.strip().lower()
    try:
        size = hashlib.new(name).digest_size * 2
    except (ValueError, TypeError):
        size = -1
    if len(digest) != size or not re.fullmatch(r"[0-9a-f]+", digest):
        raise InvalidRequest(
            "checksum must be an algorithm and a hexadecimal digest, such as 'sha256:9f86d0…', not "
            f"{truncated_repr(value)}"
        )
    return name, digest


def _validator(response: StreamResponse) -> str | None:
    """The field value for If-Range: a strong ETag, else a Last-Modified that is strong."""
    etag: str | None = response.headers.get("etag")
    if etag is not None and etag.startswith('"') and len(etag) <= 1024:
        return etag
    modified: str | None = response.headers.get("last-modified")
    date = parse_http_date(response.headers.get("date") or "")
    changed = parse_http_date(modified or "")
    # RFC 9110, section 8.8.2.2: changed at least a second before the response was made.
    if date is not None and changed is not None and date - changed >= 1:
        return modified
    return None


def _is_coded(response: StreamResponse) -> bool:
    return any(coding.strip().lower() != "identity" for coding in response.content_codings())


def _context(response: StreamResponse) -> str:
    return f"{response.method} {response.url}"
