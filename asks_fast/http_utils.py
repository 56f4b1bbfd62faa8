"""What header fields say about a body, read properly: types, charsets, links, file names, dates.

Everything here takes text that a stranger wrote, and gives a value or "nothing to be had": no
function raises for what a server sent, and each takes time in proportion to its input.

Rules:  a charset is what codec_for makes of it, never a name handed to Python as it came. A file
        name that leaves here has no path in it and names nothing special.
Not here: the decoding of text (charsets.py), decompression (decoding.py; the generators
        that asks had in this module are below, built on it), URLs, cookies and their dates.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from ._response.charset import TextDecoder, codec_for, decode

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

__all__ = [
    "charset_of",
    "decode_text",
    "decompress",
    "decompress_one",
    "filename_from",
    "parse_content_encoding",
    "parse_content_type",
    "parse_http_date",
    "parse_links",
    "parse_parameters",
    "retry_after",
]

# -- parameters


def parse_parameters(text: str, at: int = 0) -> dict[str, str]:
    """The `; name=value` pairs from `at` on, names in lower case (RFC 9110 §5.6.6).

    Quoted values are unquoted. Of a repeated name the first counts, as in browsers. Lenient to
    spaces around `=` and a missing end quote; what is no parameter is passed over.
    """
    found: dict[str, str] = {}
    at = text.find(";", at)
    while 0 <= at < len(text):
        name, value, at = _parameter(text, at + 1, ";")
        if name and value is not None:
            found.setdefault(name, value)
    return found


def _parameter(text: str, at: int, ends: str) -> tuple[str, str | None, int]:
    """One parameter: its name, its value (None without `=`), and where the end sign stands."""
    end = _next_of(text, at, ends + "=")
    name = text[at:end].strip().lower()
    if end == len(text) or text[end] != "=":
        return name, None, end
    at = end + 1
    while at < len(text) and text[at] in " \t":
        at += 1
    if at < len(text) and text[at] == '"':
        value, at = _quoted(text, at + 1)
        return name, value, _next_of(text, at, ends)
    end = _next_of(text, at, ends)
    return name, text[at:end].strip(), end


def _next_of(text: str, at: int, signs: str) -> int:
    """Where the next of the signs stands, the end of the text if none does."""
    while at < len(text) and text[at] not in signs:
        at += 1
    return at


def _quoted(text: str, at: int) -> tuple[str, int]:
    """The quoted string whose first character is at `at`, and the place behind its end quote."""
    pieces = []
    begin = at
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            pieces.append(text[begin:at])
            begin = at = at + 1  # the next character stands for itself
        at += 1
    pieces.append(text[begin:at])
    return "".join(pieces), at + 1


def parse_content_type(value: str | None) -> tuple[str, dict[str, str]]:
    """`text/html; charset=utf-8` as `("text/html", {"charset": "utf-8"})`; `("", {})` for none."""
    if not value:
        return "", {}
    return value.partition(";")[0].strip().lower(), parse_parameters(value)


# -- text


def charset_of(content_type: str | None) -> str | None:
    """The charset that a Content-Type names, as a Python encoding; None if unknown or absent."""
    if not content_type or ";" not in content_type:
        return None
    return _charset_of(content_type[:300])


@lru_cache(maxsize=256)
def _charset_of(content_type: str) -> str | None:
    name = parse_parameters(content_type).get("charset")
    return codec_for(name.strip("'\" ")) if name else None


def decode_text(
    data: bytes, content_type: str | None, fallback: str = "utf-8", detect: bool = False
) -> str:
    """The text of a body: charset of the header, else of a byte order mark, else `fallback`.

    Args:
        fallback: encoding for a body that does not tell its own.
        detect: look into a body that does not tell its own: UTF-8 if it is valid, else what its
            `<meta charset>` or XML declaration says, else a guess. Needs the `charset` extra.

    Undecodable bytes become U+FFFD, a byte order mark is left out.

    Raises:
        UnknownEncoding: `fallback` is not a text encoding.
        ModuleNotFoundError: `detect` without the extra.
    """
    return decode(data, charset_of(content_type), fallback, detect=detect)


# -- links (RFC 8288)


def parse_links(value: str | None) -> dict[str, dict[str, str]]:
    """A Link field by relation: `{"next": {"url": "/2", "rel": "next", …}}`, as in requests.

    A link with several relations is found under each; one without any, under its URL. Relations
    are in lower case, since case does not distinguish them. Of two links with the same relation the
    last counts. URLs are as they came, relative ones included.
    """
    links: dict[str, dict[str, str]] = {}
    at = (value or "").find("<")
    while value and at >= 0:
        end = value.find(">", at)
        if end < 0:
            break
        link = {"url": value[at + 1 : end].strip()}
        at = _next_of(value, end + 1, ";,")
        while at < len(value) and value[at] == ";":
            name, parameter, at = _parameter(value, at + 1, ";,")
            if name and name != "url":
                link.setdefault(name, parameter or "")
        for relation in link.get("rel", "").lower().split() or [link["url"]]:
            links[relation] = link
        at = value.find("<", at)
    return links


# -- file names (RFC 6266)


def filename_from(content_disposition: str | None, url: str | None = None) -> str | None:
    """The file name that a server suggests, safe to be created in a directory; None for none.

    `filename*` (RFC 8187) goes before `filename`; the last part of the URL's path is taken when
    the field names nothing. Directories, control and direction signs, signs that Windows
    forbids, device names, leading dots and over-length are taken out.
    """
    parameters = parse_parameters(content_disposition or "")
    name = _extended(parameters.get("filename*", ""))
    if name is None and "filename" in parameters:
        name = parameters["filename"]
        with suppress(UnicodeError):  # fields are read as latin-1, many servers write UTF-8
            name = name.encode("latin-1").decode("utf-8")
    if name is None and url:
        from urllib.parse import unquote, urlsplit

        try:
            name = unquote(urlsplit(url).path.rpartition("/")[2])
        except ValueError:
            name = None
    return _safe_name(name) if name else None


def _extended(value: str) -> str | None:
    """The text of `UTF-8'en'%e2%82%ac%20rates` (RFC 8187 §3.2)."""
    charset, _, rest = value.partition("'")
    _, is_whole, encoded = rest.partition("'")
    codec = codec_for(charset) if is_whole else None
    if codec is None:
        return None
    from urllib.parse import unquote_to_bytes

    return decode(unquote_to_bytes(encoded), codec)


_FORBIDDEN_IN_NAMES = '<>:"|?*'
_DIRECTION_SIGNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)
_NAME_BYTES = 200


def _safe_name(name: str) -> str | None:
    name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = "".join(
        "_" if sign in _FORBIDDEN_IN_NAMES else sign
        for sign in name[:1000]
        if sign.isprintable() and sign not in _DIRECTION_SIGNS
    ).strip(" .")
    if not name:
        return None
    stem, dot, suffix = name.rpartition(".")
    if stem and len(suffix) <= 16:
        suffix = dot + suffix
    else:
        stem, suffix = name, ""
    room = _NAME_BYTES - len(suffix.encode("utf-8", "replace"))
    stem = stem.encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
    if stem.partition(".")[0].strip().lower() in _DEVICES:
        stem = f"_{stem}"
    return stem + suffix


# -- dates


_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_UTC_NAMES = frozenset(["gmt", "utc", "ut", "z", "+0000"])


def parse_http_date(text: str) -> float | None:
    """Seconds since 1970 of a date in any of HTTP's three forms (RFC 9110 §5.6.7), else None."""
    words = text[:64].lower().replace(",", " ").replace("-", " ").split()
    if words and words[0][:3] in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"):
        del words[0]
    if len(words) == 4 and words[0] in _MONTHS:  # Nov 6 08:49:37 1994
        month, day, clock, year = words
    elif len(words) == 5 and words[4] in _UTC_NAMES:  # 06 Nov 1994 08:49:37 GMT
        day, month, year, clock = words[:4]
    else:
        return None
    from datetime import datetime, timezone

    try:
        hour, minute, second = map(_number, clock.split(":"))
        century = 0
        if len(year) == 2:
            this_year = datetime.now(timezone.utc).year
            century = this_year // 100 * 100
            if century + _number(year) > this_year + 50:
                century -= 100
        return datetime(
            century + _number(year),
            _MONTHS.index(month) + 1,
            _number(day),
            hour,
            minute,
            min(second, 59),  # a leap second
            tzinfo=timezone.utc,
        ).timestamp()
    except ValueError:
        return None


def _number(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 4):
        raise ValueError(digits)
    return int(digits)


_MAX_RETRY_AFTER = 10_000  # characters of the field that are parsed
_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After field asks to wait, or None if it cannot be parsed.

    Seconds may have a fraction (`2.0`). If the field was sent several times, the longest wait
    counts. A date in the past gives 0.0.

    Args:
        value: the field value; repeated fields joined by commas.
        now: seconds since 1970, by the clock that a date is compared with.
    """
    waits: list[float] = []
    # A date is cut at its comma too: its weekday alone says nothing, the rest is a date by itself.
    for part in (value or "")[:_MAX_RETRY_AFTER].split(","):
        text = part.strip()
        if _SECONDS.fullmatch(text):
            waits.append(float(text[:12]))  # more digits than that exceed every limit
        elif (date := parse_http_date(text)) is not None:
            waits.append(max(0.0, date - now))
    return max(waits, default=None)


# -- what asks had in this module


def parse_content_encoding(content_encoding: str) -> list[str]:
    """The codings named in a Content-Encoding, in order."""
    return [coding.strip() for coding in content_encoding.split(",")]


def decompress(
    compressions: Iterable[str], encoding: str | None = None
) -> Generator[bytes | str, bytes, None]:
    """A started generator: `send` it compressed bytes, get plain ones (text with `encoding`)."""
    generator = _decompress(list(compressions), encoding)
    next(generator)
    return generator


def decompress_one(compression: str) -> Generator[bytes | str, bytes, None]:
    """`decompress` for a single coding."""
    return decompress([compression])


def _decompress(
    compressions: list[str], encoding: str | None
) -> Generator[bytes | str, bytes, None]:
    from ._response.content_decoder import ContentDecoder

    decoder = ContentDecoder(compressions)
    to_text = TextDecoder(encoding) if encoding else None
    plain: bytes | str = b""
    while True:
        data = yield plain
        plain = decoder.decode(data)
        if to_text is not None:
            plain = to_text.decode(plain)
