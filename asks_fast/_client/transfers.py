"""What a session does with more than one request for one result: event streams and downloads.

Implemented in `event_source` and `download`, which are loaded when first used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from .._guest import hosted
from .._request.headers import header_pairs
from ..errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from .._annotations import AnyArgument, AnyHeaderValue, Unchecked
    from .._config.transfer import BandwidthLimit, LowSpeed, ProgressCallback
    from ..response_objects import StreamResponse
    from .argument_types import Fields, Location, RequestArguments
    from .download import Download
    from .event_source import EventSource

__all__ = ["Transfers"]


class Transfers:
    """The methods of sessions that need several requests."""

    def events(
        self,
        url: Location = None,
        *,
        method: str = "GET",
        last_event_id: str = "",
        reconnect: bool = True,
        reconnect_delay: float = 3.0,
        max_failures: int | None = 10,
        max_event_size: int | None = 1 << 20,
        **options: Unpack[RequestArguments],
    ) -> EventSource:
        """Iterate over the server-sent events of a URL, over a new connection whenever one ends.

        Args:
            url: as for `request`.
            method: "POST" sends the body again with each connection, which must be replayable.
            last_event_id: the ID to continue after.
            reconnect: False ends with the first connection.
            reconnect_delay: seconds to wait before a new connection, unless the server sets a time.
            max_failures: the most connections in a row that bring nothing, None for no limit.
            max_event_size: the most bytes of one event, None for no limit.
            **options: arguments of each request.

        Returns:
            An async iterator and async context manager of `ServerSentEvent`. Leave it by `async
            with`, or `await source.aclose()`. Cancellation closes its connection.

        Example:
            async with session.events("https://example.org/feed") as events:
                async for event in events:
                    print(event.id, event.event, event.data)
        """
        from .event_source import EventSource

        arguments: dict[str, AnyArgument] = dict(options)
        headers = arguments.pop("headers", None)

        async def connect(fields: dict[str, str]) -> StreamResponse:
            request: Unchecked = self.request  # type: ignore[attr-defined]  # of RequestMethods
            response: StreamResponse = await request(
                method, url, stream=True, headers=with_fields(headers, fields), **arguments
            )
            return response

        return EventSource(
            connect,
            last_event_id=last_event_id,
            reconnect=reconnect,
            reconnect_delay=reconnect_delay,
            max_failures=max_failures,
            max_event_size=max_event_size,
        )

    @hosted
    async def download(
        self,
        url: Location,
        path: str | os.PathLike[str],
        /,
        *,
        resume: bool = True,
        progress: ProgressCallback | None = None,
        checksum: str | None = None,
        low_speed: LowSpeed | None = None,
        max_rate: float | BandwidthLimit | None = None,
        **options: Unpack[RequestArguments],
    ) -> Download:
        """Download a URL to a file, which appears under its name when it is complete.

        Until then it is `<path>.part`. If a connection fails, the next one continues where the file
        ends. A `Retry` policy decides how often: `retries=`, by default five attempts in a row that
        bring nothing.

        Args:
            url: as for `request`; relative to the base of the session if it has one.
            path: the file to write; it is replaced if it exists.
            resume: whether to continue a `.part` of an earlier call, and to keep one on failure.
            progress: called with a `Progress` after each chunk; a coroutine function is awaited.
            checksum: algorithm and hexadecimal digest, such as `"sha256:9f86d0…"`.
            low_speed: (bytes per second, seconds): a slower connection is closed and continued by
                another one.
            max_rate: bytes per second, or a `BandwidthLimit` that several downloads share.
            **options: arguments of each request. `timeout=` limits the time to its head.

        Returns:
            The path, the size and the figures of the download.

        Raises:
            BadStatus: the status is not 200.
            ChecksumMismatch: the file is not the expected one; it was discarded.
            ConnectivityError: the last failure, when the retry policy gives up.
            InvalidRequest: another download is writing this file, or an argument is invalid.
            OSError: the file cannot be written.

        Cancellation closes the connection. With `resume=True` the `.part` stays for the next call.

        Example:
            done = await session.download("https://example.org/big.iso", "big.iso")
        """
        from .._config.transfer import BandwidthLimit, check_low_speed
        from .download import DEFAULT_RETRY, Downloader, parse_checksum
        from .part_file import PartFile
        from .retry import Retry

        session: Unchecked = self  # it has the methods of RequestMethods, and `prepare`
        arguments: dict[str, AnyArgument] = dict(options)
        if "path" in arguments:
            raise TypeError("download() takes a URL and the path of a file, both by position")
        wanted = arguments.pop("retries", session._defaults.get("retries", DEFAULT_RETRY))
        headers = with_fields(arguments.pop("headers", None), {})
        if "range" in headers or "if-range" in headers:
            raise InvalidRequest("a download sets Range and If-Range itself")
        expected = parse_checksum(checksum)
        check_low_speed(low_speed)
        limit = BandwidthLimit.coerce(max_rate)

        async def send(fields: dict[str, str]) -> StreamResponse:
            response: StreamResponse = await session.get(
                url, stream=True, retries=0, headers=with_fields(headers, fields), **arguments
            )
            return response

        target = os.fspath(path)
        if os.path.isdir(target):
            raise InvalidRequest(f"{target!r} is a directory: give the path of the file")
        prepared = session.prepare("GET", url, headers=headers, **arguments)
        with PartFile(target, str(prepared.url), resume=resume) as part:
            downloader = Downloader(
                send,
                part,
                retry=Retry.coerce(wanted),
                checksum=expected,
                progress=progress,
                low_speed=low_speed,
                max_rate=limit,
            )
            try:
                return await downloader.run()
            except BaseException:
                if not resume or part.size == 0:
                    part.discard()
                raise


def with_fields(headers: Fields, fields: Mapping[str, str]) -> CIMultiDict[AnyHeaderValue]:
    """The caller's `headers` and those of `fields` that it does not have."""
    merged: CIMultiDict[AnyHeaderValue] = CIMultiDict(
        (str(name), value) for name, value in header_pairs(headers)
    )
    for name, value in fields.items():
        merged.setdefault(name, value)
    return merged
