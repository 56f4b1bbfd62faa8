"""The links of a page: absolute URLs in canonical form, bounded in number and length.

Two URLs with the same canonical form are one page: scheme and host in lower case, no default port,
no fragment, no user; dot segments resolved; escapes in upper case, and none for letters, digits,
`-`, `.`, `_` and `~` (RFC 3986 §6.2.2).

Facts:  selectolax parses a page of 4 KB in 15 µs. For a tag inside n open ones it takes n steps: a
        page of 400 KB that opens a `div` 80,000 times took 13 s. So it does for each of n
        attributes of an element: 60,000 took 7 s. And each of n paragraphs gets a copy of the n
        formatting elements that earlier ones left open: 2,000 in 33 KB took 540 MiB.
Invariants: no page raises. At most `MAX_HTML` bytes are parsed, and of a page that is nested
        deeper than `MAX_DEPTH`, or exceeds `MAX_PAIRS` or `MAX_COPIES`, only the part before
        that place. A link that is not http or https, or not a valid URL, is left out.

Implemented elsewhere: which links are followed (`scope`, `frontier`), sitemaps (`sitemaps`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .._extras import missing_extra
from .._response.charset import decode
from ..errors import InvalidRequest
from ..urls import Url, join_url, parse_url

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

__all__ = ["Links", "canonical_url", "find_links", "load_parser", "resolve"]

MAX_HTML = 4 * 1024 * 1024
MAX_DEPTH = 5_000  # of elements in each other
MAX_PAIRS = 10_000**2  # of attributes of one element; text in a script can look like some hundreds
MAX_COPIES = 500_000  # of formatting elements
SMALL_HTML = 8 * 1024  # bytes, in which none of this matters
MAX_LINKS = 5_000
MAX_URL_LENGTH = 2_000

# A path that is in canonical form as it is, if it has no dot segment.
_PLAIN_PATH = re.compile(r"/(?:[A-Za-z0-9_~.,;:@!$&'()*+=?-][A-Za-z0-9_~.,;:@!$&'()*+=?/-]*)?")
_OTHER_SCHEME = re.compile(r"(?!https?:)[A-Za-z][A-Za-z0-9+.-]*:", re.IGNORECASE)
# The third group is set if all attributes were matched, and they are few.
_TAG = re.compile(
    rb"<(/?)([A-Za-z][A-Za-z0-9-]*)"
    rb"((?:\s{1,9}[A-Za-z0-9:_.@-]+(?:=\"[^\"]*\"|='[^']*'|=[A-Za-z0-9_.#%-]+)?){0,50}\s{0,9}/?>)?"
)
_ATTRIBUTE = re.compile(
    rb"[\s/]*=?[^\s/>=]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>\"'][^\s>]*|(?=>)))?|[\s/]*="
)
_FORMATTING = frozenset(b"b big code em font i nobr s small strike strong tt u".split())
_MARKERS = frozenset(b"td th caption applet object marquee template".split())
_NEVER_NESTED = frozenset(
    b"area base br col embed hr img input link meta param source track wbr p li dt dd td th tr "
    b"option".split()
)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_REMOVED = dict.fromkeys(map(ord, "\t\r\n"))  # from URLs, as browsers do (WHATWG URL §4.4)
_REFRESH = re.compile(r"\s*\d*(?:\.\d*)?\s*[;,]?\s*url\s*=\s*['\"]?([^'\"]+)", re.IGNORECASE)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SELECTOR = "a[href], area[href], iframe[src], frame[src], link[rel], meta[content], base[href]"


class Links(NamedTuple):
    """What a page links to."""

    urls: list[str]  # in canonical form and in the order of the page, each once
    canonical: str | None = None  # the address that the page gives for itself, if another


def find_links(
    content: bytes,
    url: str,
    charset: str | None = None,
    *,
    header: str = "",
    nofollow: bool = True,
    max_links: int = MAX_LINKS,
    max_url_length: int = MAX_URL_LENGTH,
) -> Links:
    """Return the links of an HTML page.

    Links with `rel=nofollow` are left out, and all links of a page whose robots directives have
    `nofollow` or `none`.

    Args:
        content: the page, decompressed.
        url: its address in canonical form.
        charset: name of its character encoding, from the Content-Type.
        header: value of its X-Robots-Tag fields.
        nofollow: obey `nofollow`.
        max_links: limit of links per page; further ones are left out.
        max_url_length: limit in characters; longer links are left out.

    Raises:
        ImportError: selectolax is not installed.
    """
    base = parse_url(url)
    found: dict[str, None] = {}
    canonical: str | None = None
    has_base = False
    follows = not (nofollow and _forbids_links(header))
    tree = _parse(_cut_costly_end(content[:MAX_HTML]), charset)
    for node in tree.css(_SELECTOR):
        attributes = node.attributes
        name = node.tag
        if name == "a" or name == "area":
            if not follows or len(found) >= max_links:
                continue
            rel = attributes.get("rel")
            if rel and nofollow and "nofollow" in rel.lower().split():
                continue
            target = resolve(base, attributes.get("href") or "", max_url_length)
            if target is not None:
                found[target] = None
        elif name == "base":
            if not has_base:  # the first one counts, for all links after it
                has_base = True
                base = _base(base, attributes.get("href") or "") or base
        elif name == "meta":
            text = attributes.get("content") or ""
            if (attributes.get("name") or "").lower() == "robots":
                follows = follows and not (nofollow and _forbids_links(text))
            elif (attributes.get("http-equiv") or "").lower() == "refresh":
                refresh = _REFRESH.match(text)
                target = resolve(base, refresh[1], max_url_length) if refresh else None
                if target is not None:
                    found[target] = None
        elif name == "link":
            rels = (attributes.get("rel") or "").lower().split()
            target = resolve(base, attributes.get("href") or "", max_url_length)
            if target is not None and "canonical" in rels and canonical is None:
                canonical = target
            elif target is not None and "next" in rels and "nofollow" not in rels:
                found[target] = None
        else:
            target = resolve(base, attributes.get("src") or "", max_url_length)
            if target is not None and len(found) < max_links:
                found[target] = None
    if canonical == url:
        canonical = None
    elif canonical is not None:
        found[canonical] = None
    return Links(list(found) if follows else [], canonical)


def resolve(base: Url, link: str, max_length: int = MAX_URL_LENGTH) -> str | None:
    """Return the canonical URL of a link on a page, or None if it is not a valid http URL."""
    link = link.partition("#")[0].strip(" \t\r\n\f")
    if not link or len(link) > max_length:
        return None
    if _PLAIN_PATH.fullmatch(link) and "/." not in link:
        return base.origin + link
    if _OTHER_SCHEME.match(link):
        return None
    try:
        return canonical_url(join_url(base, link.translate(_REMOVED), max_length=max_length))
    except (InvalidRequest, UnicodeError):
        return None


def canonical_url(url: str | Url) -> str:
    """Return the canonical form of a URL.

    Raises:
        InvalidURL: it is not a URL with http or https.

    Example:
        >>> canonical_url("HTTP://Example.com:80/%7ea/../b?q=%c3%bc#part")
        'http://example.com/b?q=%C3%BC'
    """
    parsed = parse_url(url)
    target = parsed.target
    if "%" in target:
        target = _ESCAPE.sub(_normalized_escape, target)
    return _origin(parsed.scheme, parsed.host, parsed.port) + target


@lru_cache(1024)
def _origin(scheme: str, host: str, port: int) -> str:
    return Url(scheme, host, port, "/").origin


def _normalized_escape(found: re.Match[str]) -> str:
    text = found[0]
    character = chr(int(text[1:], 16))
    return character if character in _UNRESERVED else text.upper()


def _base(page: Url, link: str) -> Url | None:
    try:
        return join_url(page, link.strip(), max_length=MAX_URL_LENGTH)
    except (InvalidRequest, UnicodeError):
        return None


def _forbids_links(directives: str) -> bool:
    """Return whether robots directives for all robots contain `nofollow` or `none`."""
    words: Iterable[str] = (word.strip() for word in directives.lower().split(","))
    return any(word in ("nofollow", "none") for word in words)


def _parse(content: bytes, charset: str | None) -> LexborHTMLParser:
    parser = load_parser()
    if charset is None or charset.lower() in ("utf-8", "utf8", "us-ascii", "ascii"):
        return parser(content)
    return parser(decode(content, charset, errors="replace"))


def _cut_costly_end(content: bytes) -> bytes:
    """Return the page up to where it would cost too much to parse."""
    if len(content) <= SMALL_HTML:
        return content
    depth = copies = pairs = 0
    opened: dict[bytes, int] = {}
    formats = _Formats()
    for tag in _TAG.finditer(content):
        ends, name = tag[1], tag[2].lower()
        end = tag.end()
        if tag[3] is None:
            end, attributes = _end_of_attributes(content, end)
            pairs += attributes * attributes
        if name in _FORMATTING:
            if ends:
                formats.end(name)
            else:
                formats.start(name, content[tag.start() : end])
        elif name in _MARKERS:
            formats.mark()
        copies += formats.active
        if copies > MAX_COPIES or pairs > MAX_PAIRS:
            return content[: tag.start()]
        if name in _NEVER_NESTED:
            continue
        count = opened.get(name, 0)
        if not ends:
            opened[name] = count + 1
            depth += 1
            if depth > MAX_DEPTH:
                return content[: tag.start()]
        elif count:
            opened[name] = count - 1
            depth -= 1
    return content


class _Formats:
    """The formatting elements that a parser opens again in the next block (HTML §13.2.4.3).

    `active` is at least their number. An element that is equal to three open ones is not counted.
    """

    def __init__(self) -> None:
        self.active = 0
        self._equal: dict[bytes, int] = {}  # by the text of the tag
        self._opened: dict[bytes, list[bytes]] = {}  # tags by name, since the last marker

    def start(self, name: bytes, tag: bytes) -> None:
        count = self._equal.get(tag, 0)
        if count < 3:
            self._equal[tag] = count + 1
            self._opened.setdefault(name, []).append(tag)
            self.active += 1

    def end(self, name: bytes) -> None:
        tags = self._opened.get(name)
        if tags:
            self._equal[tags.pop()] -= 1
            self.active -= 1

    def mark(self) -> None:
        """Note a table cell: an end tag in it does not end elements before it."""
        self._opened.clear()


def _end_of_attributes(content: bytes, position: int) -> tuple[int, int]:
    """Return where the attributes that begin at `position` end, and how many there are.

    More than 10,001 are not counted.
    """
    for count in range(10_001):
        attribute = _ATTRIBUTE.match(content, position)
        if attribute is None:
            return position, count
        position = attribute.end()
    return position, 10_001


@lru_cache(1)
def load_parser() -> type[LexborHTMLParser]:
    """Return the HTML parser; ImportError names the extra if it is not installed."""
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError as e:
        raise ImportError(missing_extra("following links", "selectolax", "crawl")) from e
    return LexborHTMLParser
