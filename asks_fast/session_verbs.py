"""What a session is asked to do, by name: one method per verb, and many requests at once.

Rules:  everything goes through `_ask`, compiled in `src_pyx/swift.pyx`; nothing is decided here. A
        verb hands on its coroutine: one more to step through at every wait would cost a tenth.
Not here: how a request is made (`sessions`), how many are run at once (`crawl.mapping`).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from .crawl.jobs import Result
    from .crawl.mapping import Map
    from .response_objects import Response
    from .urls import Url

__all__ = ["Verbs"]

Answer: TypeAlias = "Coroutine[Any, Any, Response]"


class Verbs:
    """The methods that all sessions have beside `request`."""

    def _ask(self, method: str, url: str | Url | None, options: dict[str, Any]) -> Answer:
        raise NotImplementedError

    def request(self, method: str, url: str | Url | None = None, **options: Any) -> Answer:
        """Make a request and give its answer.

        `method`: any token, upper-cased. `url`: absolute; without one, the session's base,
        endpoint and `path`. All other arguments by keyword, see the table of the documentation.
        Raises `AsksException`s; `InvalidRequest` (a ValueError) and TypeError before anything is
        sent. Cancelled at any point it leaves no connection, place or waiter behind.
        """
        return self._ask(method, url, options)

    def get(self, url: str | Url | None = None, **options: Any) -> Answer:
        """GET; arguments as for `request`."""
        return self._ask("GET", url, options)

    def head(self, url: str | Url | None = None, **options: Any) -> Answer:
        """HEAD; redirects are followed only if `follow_redirects=True`."""
        return self._ask("HEAD", url, options)

    def post(self, url: str | Url | None = None, **options: Any) -> Answer:
        """POST; arguments as for `request`."""
        return self._ask("POST", url, options)

    def put(self, url: str | Url | None = None, **options: Any) -> Answer:
        """PUT; arguments as for `request`."""
        return self._ask("PUT", url, options)

    def delete(self, url: str | Url | None = None, **options: Any) -> Answer:
        """DELETE; arguments as for `request`."""
        return self._ask("DELETE", url, options)

    def options(self, url: str | Url | None = None, **options: Any) -> Answer:
        """OPTIONS; arguments as for `request`."""
        return self._ask("OPTIONS", url, options)

    def patch(self, url: str | Url | None = None, **options: Any) -> Answer:
        """PATCH; arguments as for `request`."""
        return self._ask("PATCH", url, options)

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
