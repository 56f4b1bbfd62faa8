"""Create and read request bodies; chunks from generators."""

from __future__ import annotations

import curio

from asks_fast._request.body import Body, make_body


def read(body: Body) -> bytes:
    async def main():
        pieces = [bytes(piece) async for piece in body.chunks()]
        assert all(pieces), "an empty piece would end a chunked body"
        return b"".join(pieces)

    return curio.run(main)


def made(*args, **kw) -> Body:
    body = make_body(*args, **kw)
    assert body is not None
    return body


async def later():
    for piece in (b"ab", b"", b"cd"):
        yield piece


def at_once():
    yield from (b"ab", b"", b"cd")
