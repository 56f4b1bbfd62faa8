"""Sitemaps: XML, an index of sitemaps, or a list of URLs as text, compressed or not.

Facts:  the protocol allows 50,000 URLs and 50 MiB in a sitemap (sitemaps.org). An XML document may
        define entities that grow without end; a sitemap needs no document type, so one with a
        document type is not read further.
Invariants: nothing raises; what was read before an error is used. At most `MAX_BYTES` are
        decompressed and `MAX_URLS` returned.

Implemented elsewhere: the `Sitemap` lines of robots.txt (`robots_rules`).
"""

from __future__ import annotations

import zlib
from typing import NamedTuple
from xml.parsers import expat

__all__ = ["Sitemap", "is_sitemap", "read_sitemap"]

MAX_BYTES = 50 * 1024 * 1024
MAX_URLS = 50_000
PIECE = 256 * 1024
GZIP = b"\x1f\x8b"


class Sitemap(NamedTuple):
    """What a sitemap lists, as written in it."""

    urls: list[str]
    sitemaps: list[str]  # of an index


def is_sitemap(content: bytes) -> bool:
    """Return whether a document is a sitemap in XML, judged by its first 4,096 bytes."""
    start = _decompress(content[:4096], 4096) if content.startswith(GZIP) else content[:4096]
    return b"<urlset" in start or b"<sitemapindex" in start


def read_sitemap(content: bytes) -> Sitemap:
    """Return what a sitemap lists."""
    if content.startswith(GZIP):
        content = _decompress(content, MAX_BYTES)
    content = content[:MAX_BYTES]
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _read_xml(content)
    lines = content.decode("utf-8", "replace").removeprefix("\ufeff").split("\n", MAX_URLS)
    urls = [line.strip() for line in lines[:MAX_URLS]]
    return Sitemap([url for url in urls if url.startswith(("http://", "https://"))], [])


def _decompress(content: bytes, limit: int) -> bytes:
    made = bytearray()
    member = zlib.decompressobj(31)
    try:
        for at in range(0, len(content), PIECE):
            made += member.decompress(content[at : at + PIECE], limit - len(made))
            if member.eof or len(made) >= limit:
                break
    except zlib.error:
        pass
    return bytes(made)


class _Done(Exception):
    """The rest of the document is not read."""


def _read_xml(content: bytes) -> Sitemap:
    found = Sitemap([], [])
    path: list[str] = []
    text: list[str] = []
    size = 0

    def start(name: str, attributes: object) -> None:
        nonlocal size
        path.append(name.rpartition(":")[2].lower())
        if len(path) > 10:
            raise _Done
        text.clear()
        size = 0

    def data(piece: str) -> None:
        nonlocal size
        size += len(piece)
        if size <= 10_000:
            text.append(piece)

    def end(name: str) -> None:
        if path[-2:] == ["url", "loc"]:
            found.urls.append("".join(text).strip())
        elif path[-2:] == ["sitemap", "loc"]:
            found.sitemaps.append("".join(text).strip())
        if len(found.urls) + len(found.sitemaps) >= MAX_URLS:
            raise _Done
        path.pop()

    def document_type(*_: object) -> None:
        raise _Done

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = document_type
    try:
        for at in range(0, len(content), PIECE):
            parser.Parse(content[at : at + PIECE], at + PIECE >= len(content))
    except (_Done, expat.ExpatError):
        pass
    return found
