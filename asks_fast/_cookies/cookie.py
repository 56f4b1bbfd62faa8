"""Parse one `Set-Cookie` value into a `Cookie`.

Facts:  The field is defined by an algorithm, not by a grammar (RFC 6265 §5.2, RFC 6265bis §5.6):
        split at `;`, split at the first `=`, strip blanks, use the last valid attribute of each
        name. Dates have no fixed format; RFC 6265 §5.1.1 finds time, day, month and year.
Invariants:
        No input raises: the result is a cookie or None. Values are opaque. Bytes that are not
        UTF-8 are kept as surrogate escapes and sent back as they came. A value with control
        characters is not a cookie. Time is linear in the input and every number is bounded.
        Servers repeat the attributes of a cookie more often than its value, so attributes that
        were parsed lately are not parsed again. What depends on the time is added afterwards.

Implemented elsewhere: whether the server may set the cookie, and when it is sent (`jar`), what
the Cookie field depends on (`src_pyx/hotpath/cookies.pyx`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

from .._annotations import AnyArgument, AnyHeaderValue
from .._hotpath import BaseCookie, octets
from ..errors import printable

__all__ = ["Cookie", "default_path", "parse_cookies", "parse_date", "parse_set_cookie"]

MAX_COOKIE = 4096  # octets of name and value together (RFC 6265bis §5.6)
MAX_ATTRIBUTE = 1024  # characters of an attribute's value; a longer one does not count
MAX_ATTRIBUTES = 64
MAX_AGE = 400 * 86400  # seconds (RFC 6265bis §5.5)

_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BLANK = " \t"
# Attributes stored in addition to the five of every cookie. No other name can hide an attribute.
_KEPT = frozenset(("max-age", "httponly", "samesite", "version", "partitioned", "priority"))
_FLAGS = frozenset(("secure", "httponly", "partitioned"))

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DATE_DELIMITERS = dict.fromkeys(map(ord, "\t !\"#$%&'()*+,-./;<=>?@[\\]^_`{|}~"), " ")

_NO_ATTRIBUTES: Mapping[str, AnyArgument] = {
    "name": None,
    "value": None,
    "domain": None,
    "path": None,
    "secure": False,
    "expires": None,
    "comment": None,
}


class Cookie(BaseCookie):
    """One cookie.

    Iteration yields the attributes as the server sent them, as pairs of name and value.

    Attributes:
        name, value: text; bytes that are not UTF-8 are surrogate escapes.
        domain, path, expires, comment: as the server sent them, None if it did not.
        secure, httponly: whether the attribute was sent.
        samesite: as the server sent it; it has no effect.
        host: the host that sent the cookie.
        effective_domain, scope_path: domain and path to which it is sent.
        host_only: whether it is not sent to subdomains.
        expires_at: seconds since 1970, None for the end of the session.
    """

    __slots__ = ("__dict__",)

    name: str
    value: str
    domain: str | None
    path: str | None
    secure: bool
    expires: str | None
    comment: str | None
    host: str
    httponly: bool = False
    samesite: str | None = None

    def __init__(self, host: str, data: Mapping[str, str | bool | None]) -> None:
        public: dict[str, AnyArgument] = {**_NO_ATTRIBUTES, **data}
        public.pop("host", None)
        public["host"] = host
        self._set(public, public["path"] or "/", None)

    @property
    def max_age(self) -> int | None:
        """`Max-Age` in seconds, at most 400 days; None if it is missing or not a number."""
        return _parse_max_age(str(self.__dict__.get("max-age", "")))

    def is_expired(self, now: float) -> bool:
        """Tell whether the cookie has expired at `now`, in seconds since 1970."""
        return self.expires_at is not None and self.expires_at <= now

    def __iter__(self) -> Iterator[tuple[str, str | bool | None]]:
        yield from self.__dict__.items()

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if isinstance(other, Cookie) else NotImplemented

    def __repr__(self) -> str:
        name = printable(self.name, 80) or "(no name)"
        return f"<Cookie {name} from {printable(self.host)}>"  # the value is a secret


def parse_set_cookie(
    line: str | bytes, host: str, request_path: str = "/", now: float | None = None
) -> Cookie | None:
    """Parse a `Set-Cookie` value.

    Args:
        line: the field value.
        host: the host that sent it.
        request_path: path of the request that it answers.
        now: seconds since 1970, by default the present time.

    Returns:
        The cookie, None if the value is not one.

    Example:
        >>> parse_set_cookie("a=1; Path=/", "example.com").value
        '1'
    """
    if now is None:
        now = time.time()
    if isinstance(line, bytes):
        line = line.decode("utf-8", "surrogateescape")
    if not (line.isascii() and line.isprintable()) and not _is_valid_line(line):
        return None
    pair, _, text = line.partition(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", pair
    name, value = name.strip(_BLANK), value.strip(_BLANK)
    if not (name or value):
        return None
    if 4 * len(pair) > MAX_COOKIE < octets(name) + octets(value):
        return None
    attributes = _repeated_attributes(text) if len(text) < 256 else _parse_attributes(text)
    if attributes.max_age is not None:
        expires_at = now + attributes.max_age if attributes.max_age > 0 else 0.0
    elif attributes.expiry_date is not None:
        expires_at = min(attributes.expiry_date, now + MAX_AGE)
    else:
        expires_at = None
    public = attributes.public.copy()
    public["name"] = name
    public["value"] = value
    public["host"] = host
    path = public["path"]
    cookie = Cookie.__new__(Cookie)
    cookie._set(public, path if path and path[0] == "/" else default_path(request_path), expires_at)
    return cookie


class _Attributes(NamedTuple):
    """What follows name and value in a `Set-Cookie` value."""

    public: dict[str, AnyArgument]  # as the public attributes of `Cookie`
    max_age: int | None  # seconds
    expiry_date: float | None  # seconds since 1970


def _parse_attributes(text: str) -> _Attributes:
    """Parse the attributes of a cookie. Nothing of the result may be changed."""
    public = dict(_NO_ATTRIBUTES)
    expiry_date: float | None = None
    max_age: int | None = None
    for attribute in text.split(";", MAX_ATTRIBUTES)[:MAX_ATTRIBUTES]:
        key, _, value = attribute.partition("=")
        key, value = key.strip(_BLANK).lower(), value.strip(_BLANK)
        if len(value) > MAX_ATTRIBUTE:
            continue
        if key == "expires":
            date = parse_date(value)
            if date is None:
                continue
            expiry_date = date
        elif key == "max-age":
            age = _parse_max_age(value)
            if age is None:
                continue
            max_age = age
        elif key == "domain":
            value = value.removeprefix(".")
        elif key not in ("path", "secure", "comment") and key not in _KEPT:
            continue
        public[key] = True if key in _FLAGS else value
    return _Attributes(public, max_age, expiry_date)


_repeated_attributes = lru_cache(256)(_parse_attributes)  # only of short texts, for their memory


class _ResponseHeaders(Protocol):
    def __getitem__(self, name: str, /) -> AnyHeaderValue: ...


class ResponseWithCookies(Protocol):
    """The response whose cookies `parse_cookies` sets."""

    cookies: list[Cookie]

    @property
    def headers(self) -> _ResponseHeaders: ...


def parse_cookies(response: ResponseWithCookies, host: str) -> None:
    """Set `response.cookies` from its `Set-Cookie` fields, as in asks.

    Args:
        response: an object with `headers`.
        host: the host that sent it.
    """
    try:
        values = response.headers["set-cookie"]
    except KeyError:
        return
    if isinstance(values, (str, bytes)):
        values = [values]
    found = (parse_set_cookie(value, host) for value in values)
    response.cookies = [cookie for cookie in found if cookie is not None]


def is_valid_text(text: str) -> bool:
    """Tell whether the name or value of a cookie may contain this text."""
    return ";" not in text and ((text.isascii() and text.isprintable()) or _is_valid_line(text))


def _is_valid_line(text: str) -> bool:
    """Tell whether a text has no control characters and no lone surrogates (except PEP 383)."""
    if text.isascii() and text.isprintable():
        return True
    if _FORBIDDEN.search(text):
        return False
    try:
        octets(text)
    except UnicodeEncodeError:
        return False
    return True


def _parse_max_age(text: str) -> int | None:
    """Return seconds, at most 400 days; None unless the text is an integer (RFC 6265 §5.2.2)."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    if digits != text:
        return 0
    return min(int(digits), MAX_AGE) if len(digits) < 10 else MAX_AGE


def default_path(request_path: str) -> str:
    """Return the path of a cookie without one: the directory of the request (RFC 6265 §5.1.4)."""
    if not request_path.startswith("/"):
        return "/"
    return request_path.rpartition("/")[0] or "/"


def parse_date(text: str) -> float | None:
    """Parse the date of a cookie (RFC 6265 §5.1.1).

    The first token that looks like a time, a day, a month or a year is used as such, in any order.
    Time zones and weekdays are ignored.

    Returns:
        Seconds since 1970, None if the text is not a date.

    Example:
        >>> parse_date("Thu, 01-Jan-1970 00:00:10 GMT")
        10.0
    """
    clock: tuple[int, int, int] | None = None
    day = month = year = -1
    for token in text.translate(_DATE_DELIMITERS).split(" "):
        if not token:
            continue
        if clock is None and (found := _parse_clock(token)) is not None:
            clock = found
        elif day < 0 and (number := _leading_number(token, 1, 2)) >= 0:
            day = number
        elif month < 0 and (name := token[:3].lower()) in _MONTHS:
            month = _MONTHS.index(name) + 1
        elif year < 0 and (number := _leading_number(token, 2, 4)) >= 0:
            year = number
    if 70 <= year <= 99:
        year += 1900
    elif 0 <= year <= 69:
        year += 2000
    if clock is None or month < 0 or year < 1601 or not 1 <= day <= _days_in_month(month, year):
        return None
    hours, minutes, seconds = clock
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    return float(_days_since_1970(year, month, day) * 86400 + hours * 3600 + minutes * 60 + seconds)


def _leading_number(token: str, least: int, most: int) -> int:
    """Return the number at the start of a token; -1 unless it has `least` to `most` digits."""
    count = 0
    while count < len(token) and "0" <= token[count] <= "9":
        count += 1
        if count > most:
            return -1
    return int(token[:count]) if count >= least else -1


def _parse_clock(token: str) -> tuple[int, int, int] | None:
    """Parse `h:m:s`, one or two digits each; text after them is ignored."""
    parts = token.split(":", 2)
    if len(parts) != 3 or not 0 < len(parts[0]) <= 2 or not 0 < len(parts[1]) <= 2:
        return None
    hours, minutes = (_leading_number(part, len(part), 2) for part in parts[:2])
    seconds = _leading_number(parts[2], 1, 2)
    return None if min(hours, minutes, seconds) < 0 else (hours, minutes, seconds)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_in_month(month: int, year: int) -> int:
    return 29 if month == 2 and _is_leap(year) else _MONTH_DAYS[month - 1]


def _days_since_1970(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01 in the Gregorian calendar."""
    years = year - 1
    days = years * 365 + years // 4 - years // 100 + years // 400 - 719162
    days += sum(_MONTH_DAYS[: month - 1]) + (1 if month > 2 and _is_leap(year) else 0)
    return days + day - 1
