"""Parse header values that describe a body: media types, charsets, links, file names, dates.

All input is text from a server. No function raises for it, and each takes time linear in its
length.

Invariants:
        A charset is looked up with `codec_for`; its name never reaches Python's codec registry as
        it came. A returned file name contains no path and is not a name that an operating system
        treats specially.

Implemented elsewhere: `; name=value` parameters (`_header_syntax`), decoding of text (`charset`),
decompression (`content_decoder`), dates of cookies (`_cookies/cookie`).
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache

from .._header_syntax import find_any, parse_parameter, parse_parameters
from .charset import codec_for, decode

__all__ = [
    "charset_of",
    "decode_text",
    "filename_from",
    "parse_content_type",
    "parse_http_date",
    "parse_links",
    "retry_after",
]


def parse_content_type(value: str | None) -> tuple[str, dict[str, str]]:
    """Split a Content-Type into the media type in lower case and its parameters.

    Returns:
        Media type and parameters; `("", {})` if there is no value.

    Example:
        >>> parse_content_type("text/html; charset=utf-8")
        ('text/html', {'charset': 'utf-8'})
    """
    if not value:
        return "", {}
    return value.partition(";")[0].strip().lower(), parse_parameters(value)


# -- text


def charset_of(content_type: str | None) -> str | None:
    """Return the charset of a Content-Type as the name of a Python codec.

    Returns:
        The codec, None if the charset is missing or unknown.

    Example:
        >>> charset_of("text/html; charset=shift_jis")
        'cp932'
    """
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
    """Decode the text of a body.

    Undecodable bytes become U+FFFD. A byte order mark is removed.

    Args:
        data: the body, decompressed.
        content_type: value of Content-Type; if it names a charset, that one is used, otherwise
            that of a byte order mark.
        fallback: codec for a body with neither.
        detect: inspect such a body before `fallback` is used: UTF-8 if it is valid, otherwise the
            charset of its `<meta charset>` or XML declaration, otherwise a guess. Needs the
            `charset` extra.

    Raises:
        UnknownEncoding: `fallback` is not a text encoding.
        ModuleNotFoundError: `detect` without the extra.

    Example:
        >>> decode_text("café".encode("latin-1"), "text/plain; charset=latin-1")
        'café'
    """
    return decode(data, charset_of(content_type), fallback, detect=detect)


# -- links (RFC 8288)


def parse_links(value: str | None) -> dict[str, dict[str, str]]:
    """Parse a Link field into links by relation, as in requests.

    A link with several relations appears under each; one without any, under its URL. Relations are
    in lower case. Of two links with the same relation the last counts. URLs are returned as the
    server wrote them, relative ones included.

    Example:
        >>> parse_links('</2>; rel="next"')
        {'next': {'url': '/2', 'rel': 'next'}}
    """
    links: dict[str, dict[str, str]] = {}
    at = (value or "").find("<")
    while value and at >= 0:
        end = value.find(">", at)
        if end < 0:
            break
        link = {"url": value[at + 1 : end].strip()}
        at = find_any(value, end + 1, ";,")
        while at < len(value) and value[at] == ";":
            name, parameter, at = parse_parameter(value, at + 1, ";,")
            if name and name != "url":
                link.setdefault(name, parameter or "")
        for relation in link.get("rel", "").lower().split() or [link["url"]]:
            links[relation] = link
        at = value.find("<", at)
    return links


# -- file names (RFC 6266)


def filename_from(content_disposition: str | None, url: str | None = None) -> str | None:
    """Return the file name that a server suggests, made safe for use in a directory.

    `filename*` (RFC 8187) takes precedence over `filename`. Without both, the last segment of the
    URL's path is used. Directories, control characters, bidirectional marks, characters that
    Windows forbids, leading dots and excess length are removed; device names get a `_` in front.

    Args:
        content_disposition: value of Content-Disposition.
        url: URL of the response.

    Returns:
        The name, None if nothing suggests one.

    Example:
        >>> filename_from('attachment; filename="../report.pdf"')
        'report.pdf'
    """
    parameters = parse_parameters(content_disposition or "")
    name = _decode_extended(parameters.get("filename*", ""))
    if name is None and "filename" in parameters:
        name = parameters["filename"]
        with suppress(UnicodeError):  # fields are decoded as latin-1, many servers write UTF-8
            name = name.encode("latin-1").decode("utf-8")
    if name is None and url:
        from urllib.parse import unquote, urlsplit

        try:
            name = unquote(urlsplit(url).path.rpartition("/")[2])
        except ValueError:
            name = None
    return _safe_name(name) if name else None


def _decode_extended(value: str) -> str | None:
    """Decode an extended value such as `UTF-8'en'%e2%82%ac%20rates` (RFC 8187 §3.2)."""
    charset, _, rest = value.partition("'")
    _, has_language, encoded = rest.partition("'")
    codec = codec_for(charset) if has_language else None
    if codec is None:
        return None
    from urllib.parse import unquote_to_bytes

    return decode(unquote_to_bytes(encoded), codec)


_FORBIDDEN_IN_NAMES = '<>:"|?*'
_BIDIRECTIONAL_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)
_MAX_NAME_BYTES = 200


def _safe_name(name: str) -> str | None:
    name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = "".join(
        "_" if character in _FORBIDDEN_IN_NAMES else character
        for character in name[:1000]
        if character.isprintable() and character not in _BIDIRECTIONAL_MARKS
    ).strip(" .")
    if not name:
        return None
    stem, dot, suffix = name.rpartition(".")
    if stem and len(suffix) <= 16:
        suffix = dot + suffix
    else:
        stem, suffix = name, ""
    stem_bytes = _MAX_NAME_BYTES - len(suffix.encode("utf-8", "replace"))
    stem = stem.encode("utf-8", "replace")[:stem_bytes].decode("utf-8", "ignore")
    if stem.partition(".")[0].strip().lower() in _DEVICES:
        stem = f"_{stem}"
    return stem + suffix


# -- dates


_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_UTC_NAMES = frozenset(["gmt", "utc", "ut", "z", "+0000"])


def parse_http_date(text: str) -> float | None:
    """Parse a date in any of HTTP's three formats (RFC 9110 §5.6.7).

    Returns:
        Seconds since 1970, None if the text is not such a date.

    Example:
        >>> parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT")
        784111777.0
    """
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

    Example:
        >>> retry_after("120", now=0.0)
        120.0
    """
    waits: list[float] = []
    # This also splits a date at its comma. The weekday alone is ignored, the rest is a valid date.
    for part in (value or "")[:_MAX_RETRY_AFTER].split(","):
        text = part.strip()
        if _SECONDS.fullmatch(text):
            waits.append(float(text[:12]))  # more digits than that exceed every limit
        elif (date := parse_http_date(text)) is not None:
            waits.append(max(0.0, date - now))
    return max(waits, default=None)
