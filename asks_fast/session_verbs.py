"""What a session is asked to do, by name: one method per verb, and many requests at once.

Rules:  everything goes through `request`, which the session defines; nothing is decided here.
Not here: how a request is made (`sessions`), how many are run at once (`crawl.mapping`).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .crawl.jobs import Result
    from .crawl.mapping import Map
    from .response_objects import Response
    from .urls import Url

__all__ = ["Verbs"]


class Verbs:
    """The methods that all sessions have beside `request`."""

    async def request(self, method: str, url: str | Url | None = None, **options: Any) -> Response:
        """Make a request and give its answer."""
        raise NotImplementedError

    async def get(self, url: str | Url | None = None, **options: Any) -> Response:
        """GET; arguments as for `request`."""
        return await self.request("GET", url, **options)

    async def head(self, url: str | Url | None = None, **options: Any) -> Response:
        """HEAD; redirects are followed only if `follow_redirects=True`."""
        return await self.request("HEAD", url, **options)

    async def post(self, url: str | Url | None = None, **options: Any) -> Response:
        """POST; arguments as for `request`."""
        return await self.request("POST", url, **options)

    async def put(self, url: str | Url | None = None, **options: Any) -> Response:
        """PUT; arguments as for `request`."""
        return await self.request("PUT", url, **options)

    async def delete(self, url: str | Url | None = None, **options: Any) -> Response:
        """DELETE; arguments as for `request`."""
        return await self.request("DELETE", url, **options)

    async def options(self, url: str | Url | None = None, **options: Any) -> Response:
        """OPTIONS; arguments as for `request`."""
        return await self.request("OPTIONS", url, **options)

    async def patch(self, url: str | Url | None = None, **options: Any) -> Response:
        """PATCH; arguments as for `request`."""
        return await self.request("PATCH", url, **options)

    # -- many requests

    def map(self, requests: Iterable[Any] | AsyncIterable[Any], **options: Any) -> Map:
        """Results of many requests, as they complete: `async for result in session.map(urls)`.

        `requests`: URLs (paths, for a session with a host), dicts of request arguments, or pairs
        `(key, one of these)`, endless ones too. `concurrency=` most under way, default all the
        connections; `ordered=`, `window=`, `retries=`, `politeness=` as in `crawl.map_requests`.
        A failure is a result. Left early, it cancels what is under way.
        """
        from .crawl.mapping import map_requests

        return map_requests(self, requests, **options)

    async def gather(
        self, requests: Iterable[Any] | AsyncIterable[Any], **options: Any
    ) -> list[Result]:
        """The results of a few requests, in the order asked; arguments as for `map`."""
        from .crawl.mapping import gather

        return await gather(self, requests, **options)
