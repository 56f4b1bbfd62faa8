"""What a session does with more than one request for one result: event streams and downloads.

Implemented in `event_source` and `download`, which are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..response_objects import StreamResponse
    from .argument_types import Location, RequestArguments
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
        from .event_source import EventSource, event_request_options

        async def connect(fields: dict[str, str]) -> StreamResponse:
            request: Any = self.request  # type: ignore[attr-defined]  # of RequestMethods
            response: StreamResponse = await request(
                method, url, **event_request_options(dict(options), fields)
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
