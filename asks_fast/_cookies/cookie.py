"""One `Set-Cookie` line to one `Cookie`.

Facts:  the field is no grammar but an algorithm (RFC 6265 §5.2, RFC 6265bis §5.6): cut at `;`,
        at the first `=`, strip blanks, take the last of each attribute that makes sense.
        Dates have no format either; §5.1.1 picks time, day, month and year out of what is there.
Rules:  nothing a server sends raises: a line is a cookie or it is None. Values are opaque, bytes
        that are not UTF-8 included (they travel as surrogate escapes and go back as they came).
        A line with control characters is no cookie. Everything is linear, every number bounded.
Not here: whether the server may set it, and who gets it back (`cookie_jar`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import printable

__all__ = ["Cookie", "default_path", "parse_date", "parse_set_cookie"]

MAX_COOKIE = 4096  # octets of name and value together (RFC 6265bis §5.6)
MAX_ATTRIBUTE = 1024  # characters of an attribute's value; a longer one does not count
MAX_ATTRIBUTES = 64
MAX_AGE = 400 * 86400  # seconds (RFC 6265bis §5.5)

_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BLANK = " \t"
# Kept as data, beside the five that every cookie has; no other name can shadow an attribute.
_KEPT = frozenset(("max-age", "httponly", "samesite", "version", "partitioned", "priority"))
_FLAGS = frozenset(("secure", "httponly", "partitioned"))

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DATE_DELIMITERS = dict.fromkeys(map(ord, "\t !\"#$%&'()*+,-./;<=>?@[\\]^_`{|}~"), " ")


class Cookie:
    """One cookie: `name value domain path secure expires comment host`, and what else was sent.

    `domain`, `path` and `expires` are what the server said (None where it said nothing),
    `max-age`, `httponly` and `samesite` too; iteration yields all of them as pairs. What follows
    from them: `effective_domain` and `scope_path` (where it is sent), `host_only` (not to
    subdomains), `expires_at` (seconds since 1970, None for the end of the session).
    """

    __slots__ = (
        "__dict__",
        "creation_index",
        "effective_domain",
        "expires_at",
        "host_only",
        "last_used",
        "scope_path",
    )

    name: str
    value: str
    domain: str | None
    path: str | None
    secure: bool
    expires: str | None
    comment: str | None
    host: str
    httponly: bool = False
    # As the server wrote it; data only, a client without pages has no use for it.
    samesite: str | None = None

    def __init__(self, host: str, data: Mapping[str, Any]) -> None:
        public: dict[str, Any] = {
            "name": None,
            "value": None,
            "domain": None,
            "path": None,
            "secure": False,
            "expires": None,
            "comment": None,
        }
        public.update(data)
        public.pop("host", None)
        public["host"] = host
        self.__dict__ = public
        self.effective_domain: str = public["domain"] or host
        self.scope_path: str = public["path"] or "/"
        self.host_only: bool = not public["domain"]
        self.expires_at: float | None = None
        self.creation_index = 0  # place in the order of creation
        self.last_used = 0  # the tracker's count of uses when this one was last sent

    @property
    def max_age(self) -> int | None:
        """`Max-Age` in seconds, as far as it is a number; at most 400 days."""
        return _parse_max_age(str(self.__dict__.get("max-age", "")))

    def is_expired(self, now: float) -> bool:
        """Whether its time is over at `now`, seconds since 1970."""
        return self.expires_at is not None and self.expires_at <= now

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from self.__dict__.items()

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if isinstance(other, Cookie) else NotImplemented

    def __repr__(self) -> str:
        name = printable(self.name, 80) or "without a name"
        return f"<Cookie {name} from {printable(self.host)}>"  # no values in a log


def parse_set_cookie(
    line: str | bytes, host: str, request_path: str = "/", now: float | None = None
) -> Cookie | None:
    """The cookie that a `Set-Cookie` value means, or None where it means none; never raises.

    `host` sent it in answer to a request for `request_path` at `now` (seconds since 1970, default
    the present time).
    """
    if now is None:
        now = time.time()
    if isinstance(line, bytes):
        line = line.decode("utf-8", "surrogateescape")
    if not _is_valid_line(line):
        return None
    pair, *attributes = line.split(";", MAX_ATTRIBUTES + 1)
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", pair
    name, value = name.strip(_BLANK), value.strip(_BLANK)
    if not (name or value) or octets(name) + octets(value) > MAX_COOKIE:
        return None

    data: dict[str, Any] = {"name": name, "value": value}
    by_date: float | None = None
    by_age: int | None = None
    for attribute in attributes[:MAX_ATTRIBUTES]:
        key, _, text = attribute.partition("=")
        key, text = key.strip(_BLANK).lower(), text.strip(_BLANK)
        if len(text) > MAX_ATTRIBUTE:
            continue
        if key == "expires":
            date = parse_date(text)
            if date is None:
                continue
            by_date = min(date, now + MAX_AGE)
        elif key == "max-age":
            age = _parse_max_age(text)
            if age is None:
                continue
            by_age = age
        elif key == "domain":
            text = text.removeprefix(".")
        elif key not in ("path", "secure", "comment") and key not in _KEPT:
            continue
        data[key] = True if key in _FLAGS else text
    cookie = Cookie(host, data)
    if not cookie.scope_path.startswith("/") or not data.get("path"):
        cookie.scope_path = default_path(request_path)
    if by_age is not None:
        cookie.expires_at = now + by_age if by_age > 0 else 0.0
    else:
        cookie.expires_at = by_date
    return cookie


def octets(text: str) -> int:
    """The length of a text on the wire."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def is_valid_text(text: str) -> bool:
    """Whether a cookie's name or value may contain this text, received or sent."""
    return ";" not in text and _is_valid_line(text)


def field_value(text: str) -> str | bytes:
    """The text as a field value: bytes where it has escaped bytes, which UTF-8 cannot encode."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogateescape")
    return text


def _is_valid_line(text: str) -> bool:
    """Without control characters and lone surrogates; escaped bytes (PEP 383) are allowed."""
    if _FORBIDDEN.search(text):
        return False
    try:
        octets(text)
    except UnicodeEncodeError:
        return False
    return True


def _parse_max_age(text: str) -> int | None:
    """Seconds, at most 400 days; None unless it is `-`? and digits (§5.2.2)."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    if digits != text:
        return 0
    return min(int(digits), MAX_AGE) if len(digits) < 10 else MAX_AGE


def default_path(request_path: str) -> str:
    """The path of a cookie that names none: the folder of the request (RFC 6265 §5.1.4)."""
    if not request_path.startswith("/"):
        return "/"
    return request_path.rpartition("/")[0] or "/"


def parse_date(text: str) -> float | None:
    """Seconds since 1970 of a cookie date in any of the formats in use; None if it is none.

    RFC 6265 §5.1.1: the first token that looks like a time, a day, a month and a year, in whatever
    order they come; zone names and weekdays are not looked at.
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
    if clock is None or month < 0 or year < 1601 or not 1 <= day <= _days_of(month, year):
        return None
    hours, minutes, seconds = clock
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    return float(_days_since_1970(year, month, day) * 86400 + hours * 3600 + minutes * 60 + seconds)


def _leading_number(token: str, least: int, most: int) -> int:
    """The number that a token begins with, if it has that many digits; else -1."""
    count = 0
    while count < len(token) and "0" <= token[count] <= "9":
        count += 1
        if count > most:
            return -1
    return int(token[:count]) if count >= least else -1


def _parse_clock(token: str) -> tuple[int, int, int] | None:
    """`h:m:s`, one or two digits each, anything behind them."""
    parts = token.split(":", 2)
    if len(parts) != 3 or not 0 < len(parts[0]) <= 2 or not 0 < len(parts[1]) <= 2:
        return None
    hours, minutes = (_leading_number(part, len(part), 2) for part in parts[:2])
    seconds = _leading_number(parts[2], 1, 2)
    return None if min(hours, minutes, seconds) < 0 else (hours, minutes, seconds)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_of(month: int, year: int) -> int:
    return 29 if month == 2 and _is_leap(year) else _MONTH_DAYS[month - 1]


def _days_since_1970(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar."""
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400 - 719162
    days += sum(_MONTH_DAYS[: month - 1]) + (1 if month > 2 and _is_leap(year) else 0)
    return days + day - 1
