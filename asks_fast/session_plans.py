"""Plans: what a session keeps of a request so as to send the next of its kind in one go.

Rules:  only a request that needs nothing but a path has a plan. By it go the same bytes as by the
        long way (a test compares them).
Not here: the sending (`src_pyx/swift.pyx`), which plan serves which request (`sessions`).
"""

from __future__ import annotations

from . import _hotpath
from .fields import Layers
from .request import PreparedRequest
from .response_objects import Response
from .transport.dispatch import Transport

__all__ = ["is_plain", "make_plan"]


def is_plain(request: PreparedRequest) -> bool:
    """Whether nothing about the request itself asks for the long way."""
    return (
        request.url.userinfo is None
        and request.url.scheme in ("http", "https")
        and request.method in ("GET", "HEAD", "OPTIONS", "DELETE")
        and not request.says_close
        and request.proxy_credentials is None
    )


def make_plan(
    transport: Transport,
    origin: _hotpath.OriginPool,
    request: PreparedRequest,
    target: str,
    layers: Layers,
) -> _hotpath.Plan:
    """The plan for requests like this one, with a path behind `target`; `layers` are its fields."""
    fields = _hotpath.render_fields([("Host", request.url.authority), *layers.pairs()])
    return _hotpath.Plan(
        origin,
        request.method.encode("ascii"),
        target.encode("ascii"),
        fields,
        Response,
        transport.open,
        transport.watch,
    )
