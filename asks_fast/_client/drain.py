"""Drain the body of a response that is followed by another request.

Facts:  the connection of such a response is worth keeping, its body is not. Reading a short rest
        costs less than connecting again, a long one costs more, and an endless one never ends.
Rules:  at most `MAX_DRAIN_BYTES`, `MAX_DRAIN_SECONDS` and `max_body` are read, then the connection
        is closed. A body that breaks off or does not come is left, too. One that violates HTTP is
        an error, as it would be if it had come with the head. `max_body` is an error only in a
        response that no other request follows. The `content` of a body that was left raises. Code
        that must see bodies to decide gets them whole, unless they exceed `max_body`.
Implemented elsewhere: what follows a response (`request_flow`), reading
        (`src_pyx/hotpath/followup.pyx`).
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from .._deadlines import ignore_after
from .._hotpath import Exchange, read_remaining
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
    """The statuses of responses whose head is needed before their body is read."""
    statuses = (
        _FOLLOWUPS if options.follow_redirects is not False else _FOLLOWUPS - REDIRECT_STATUSES
    )
    if isinstance(auth, PostResponseAuth):
        statuses |= {401}
    return statuses if retry is None else statuses | retry.statuses


async def drain(response: BaseResponse, exchange: Exchange | None) -> None:
    """Free the connection of a response, reading to its end if that is near.

    `exchange` holds the connection if `Pool.run` stopped at the head of the response.

    Raises:
        BadHttpResponse: the body violates HTTP.

    Cancelled, it leaves the connection closed.
    """
    try:
        if exchange is not None and exchange.connection is not None:
            await ignore_after(MAX_DRAIN_SECONDS, read_remaining(exchange, MAX_DRAIN_BYTES))
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
