"""The default header fields of every request."""

from __future__ import annotations

from functools import lru_cache

from .._version import __version__

__all__ = ["default_headers"]


@lru_cache(maxsize=1)
def default_headers() -> tuple[tuple[str, str], ...]:
    """The default header fields of every request."""
    from .._response import content_decoder  # its list of codings is made at first use

    return (
        ("User-Agent", f"asks_fast/{__version__}"),
        ("Accept", "*/*"),
        ("Accept-Encoding", content_decoder.ACCEPT_ENCODING),
        ("Connection", "keep-alive"),
    )
