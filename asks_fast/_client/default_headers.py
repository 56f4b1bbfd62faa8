"""The header fields that every request carries unless told otherwise."""

from __future__ import annotations

from functools import lru_cache

from .._version import __version__

__all__ = ["default_headers"]


@lru_cache(maxsize=1)
def default_headers() -> tuple[tuple[str, str], ...]:
    """The fields that every request carries unless told otherwise."""
    from .._response import content_decoder  # its list of codings is made at first use

    return (
        ("User-Agent", f"asks_fast/{__version__}"),
        ("Accept", "*/*"),
        ("Accept-Encoding", content_decoder.ACCEPT_ENCODING),
        ("Connection", "keep-alive"),
    )
