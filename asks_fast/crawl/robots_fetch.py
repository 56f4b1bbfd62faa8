"""The fetcher of robots.txt, independent of how the run's session treats its responses.

The session of a run may filter, save or transform its responses, carry credentials, or follow no
redirects. robots.txt is fetched by a bare session instead, which has the same proxies, name
resolution and TLS settings and nothing else of it.

Invariants: at most `MAX_BYTES` are read. At least five redirects are followed (RFC 9309 §2.3.1.2).

Implemented elsewhere: the meaning of a status or an error (`robots`).
"""

from __future__ import annotations

from typing import Any

from curio import current_task
from curio.errors import TaskTimeout

from .._client.redirect_pause import gates
from .._deadlines import timeout_after
from ..errors import TotalTimeout
from ..sessions import BaseSession, DSession, bare_session
from .job import SessionLike
from .page import PageSession
from .robots_rules import MAX_BYTES

__all__ = ["RobotsFetcher"]

CONNECTIONS = 20
MAX_REDIRECTS = 10
TIMEOUT = 30.0  # seconds for the whole request


class RobotsFetcher:
    """Fetch robots.txt: `await fetch(url)` returns `(status, body)`. Close it with `aclose`."""

    def __init__(self, session: SessionLike, user_agent: str) -> None:
        """Make a fetcher.

        Args:
            session: the session of the run; one of a foreign class is used as it is.
            user_agent: the value of the User-Agent field.
        """
        self._session = session.session if isinstance(session, PageSession) else session
        self._bare: DSession | None = None
        if isinstance(self._session, BaseSession):
            self._bare = bare_session(self._session, CONNECTIONS)
        self._fields = {"User-Agent": user_agent}

    async def fetch(self, url: str) -> tuple[int, bytes]:
        """Return status and body after redirects; raises what the session raises.

        The body is cut one byte after `MAX_BYTES`. Redirects are followed at once, without waiting
        for the limits of the hosts that they lead to.
        """
        task = await current_task()
        gate = gates.pop(task, None)
        try:
            if self._bare is None:
                response: Any = await self._session.request(
                    "GET", url=url, headers=self._fields, timeout=TIMEOUT
                )
                return response.status_code, response.content[: MAX_BYTES + 1]
            found: tuple[int, bytes] = await timeout_after(TIMEOUT, self._read(self._bare, url))
            return found
        except TaskTimeout:
            raise TotalTimeout(f"GET {url}: not finished within {TIMEOUT:g} s", TIMEOUT) from None
        finally:
            if gate is not None:
                gates[task] = gate

    async def _read(self, session: DSession, url: str) -> tuple[int, bytes]:
        response = await session.get(
            url, headers=self._fields, max_redirects=MAX_REDIRECTS, stream=True
        )
        data = bytearray()
        async with response.body as body:
            if 200 <= response.status_code < 300:
                async for chunk in body:
                    data += chunk
                    if len(data) > MAX_BYTES:
                        break
        return response.status_code, bytes(data[: MAX_BYTES + 1])

    async def aclose(self) -> None:
        """Close the bare session. Idempotent."""
        if self._bare is not None:
            await self._bare.close()
