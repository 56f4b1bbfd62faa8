"""What is read of an answer that only leads to the next one.

Facts:  the connection of such an answer is worth something, its body is not: to read a short rest
        costs less than to connect again, a long one more, and an endless one never ends.
Rules:  at most `MAX_DRAIN_BYTES`, `MAX_DRAIN_SECONDS` and `max_body`, then the connection is closed. A rest
        that breaks off or does not come is left as well; one that breaks the rules of HTTP is an
        error here too, or it would depend on what comes together with the head. `max_body` is an
        error only in a response that no other request follows. The `content` of what was left
        raises. Code that must see bodies to decide gets them whole, unless they exceed `max_body`.
Not here: what an answer leads to (`flow`); the reading itself (`src_pyx/hotpath/followup.pyx`).
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from .._deadlines import ignore_after
from .._hotpath import Connection, read_remaining
from .._response.status_codes import REDIRECT_STATUSES
from .._response.stream import StreamBody
from ..auth import PostResponseAuth
from ..errors import ConnectivityError, ResponseTooLarge

if TYPE_CHECKING:
    from .._config.options import RequestOptions
    from ..auth import AuthBase
    from ..response_objects import BaseResponse
    from .retry import Retry

__all__ = ["MAX_DRAIN_BYTES", "MAX_DRAIN_SECONDS", "drain", "get_followup_statuses"]

MAX_DRAIN_BYTES = 65536  # of a body, read to save its connection
MAX_DRAIN_SECONDS = 1.0  # likewise

_FOLLOWUPS = REDIRECT_STATUSES | {407, 408, 417}


def get_followup_statuses(
    options: RequestOptions, auth: AuthBase | None, retry: Retry | None
) -> Container[int]:
    """Of which answers the head is to be looked at before the body is read."""
    statuses = (
        _FOLLOWUPS if options.follow_redirects is not False else _FOLLOWUPS - REDIRECT_STATUSES
    )
    if isinstance(auth, PostResponseAuth):
        statuses |= {401}
    return statuses if retry is None else statuses | retry.statuses


async def drain(response: BaseResponse, pending_connection: Connection | None) -> None:
    """Free the connection of an answer, reading to its end if that is near.

    `pending_connection` is the connection if the exchange stopped at the head. Raises `BadHttpResponse`.
    Cancelled, it leaves the connection closed.
    """
    try:
        if pending_connection is not None:
            await ignore_after(
                MAX_DRAIN_SECONDS, read_remaining(pending_connection, response, MAX_DRAIN_BYTES)
            )
        elif isinstance(response.body, StreamBody):
            await ignore_after(MAX_DRAIN_SECONDS, _drain(response, response.body))
    except ConnectivityError:
        pass


async def _drain(response: BaseResponse, body: StreamBody) -> None:
    """Read the body of a stream; with `keep_framing`, what was read becomes `response.body`."""
    body.decompress_data = False
    read = 0
    kept = bytearray()
    try:
        async for chunk in body:
            read += len(chunk)
            if response.keeps_framing:
                kept += chunk
            if read > MAX_DRAIN_BYTES:
                break
    except ResponseTooLarge:
        pass
    finally:
        await body.close()
        if response.keeps_framing:
            response.body = bytes(kept)
