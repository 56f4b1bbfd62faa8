"""URLs: text to origin and request target, and one URL seen from another.

Facts:  an origin is scheme, host and port (RFC 6454); the request line carries path and query
        only (RFC 9112 §3.2.1), never the fragment, never the user.
Rules:  read as browsers read where that can be turned against nobody (a backslash in a path is a
        slash, a port may begin with zeros), else refuse: control characters inside, a backslash
        before the path, a host or port that two programs could read differently. Spaces and line
        ends around a URL are cut off, as browsers do.
        Escapes are kept as they came, `.` and `..` segments resolved in linear time.
        No message and no repr shows the user or password.
        The plain URL (ASCII, nothing to encode, origin seen before) takes a short way: one
        look-up, one pass over the target, a microsecond or so; about as fast as yarl answers
        from its cache and many times faster than yarl or `urllib.parse` parse.
Not here: quoting (`url_quote`), hosts (`url_host`), which redirects to follow.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ._url.host import canonical_host, canonical_ipv6
from ._url.quoting import (
    MAX_URL_LENGTH,
    TARGET_SAFE,
    Params,
    add_params,
    encode_params,
    form_encode,
    has_control,
    has_stray_percent,
    quote_target,
)
from .errors import InvalidURL, truncated_repr

__all__ = [
    "MAX_URL_LENGTH",
    "Params",
    "Url",
    "add_params",
    "encode_params",
    "form_encode",
    "is_relative",
    "join_path",
    "join_url",
    "parse_url",
    "quote_target",
]

DEFAULT_PORTS = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}
HTTP_SCHEMES = ("http", "https")

_PLAIN = TARGET_SAFE + b"?%"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)")
_AUTHORITY_END = re.compile(r"[/?#]")
_ESCAPED_DOT = re.compile(r"%2e", re.IGNORECASE)
_AROUND = " \t\n\r\f\v"
_DOT = frozenset((".", "%2e"))
_TWO_DOTS = frozenset(("..", ".%2e", "%2e.", "%2e%2e"))

# Origins seen, by the text in front of the path; only ones without user. Emptied when full.
_origins: dict[str, tuple[str, str, int]] = {}
_MAX_ORIGINS = 1024


class Url(NamedTuple):
    """A URL taken apart: immutable, hashable, cheap to make (a tuple).

    `scheme` and `host` are lower-case ASCII, an IPv6 host has no brackets and keeps its zone;
    `port` is filled in; `target` is path and query ready for the request line; `userinfo` is
    (user, password), decoded, or None; `fragment` is None where the URL had no `#`.
    """

    scheme: str
    host: str
    port: int
    target: str
    userinfo: tuple[str, str] | None = None
    fragment: str | None = None

    @property
    def origin(self) -> str:
        """`http://host:port`, the default port left out: equal for equal origins only."""
        host = self.host
        if ":" in host:
            host = f"[{host.replace('%', '%25')}]"
        if DEFAULT_PORTS.get(self.scheme) == self.port:
            return f"{self.scheme}://{host}"
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of the Host field (RFC 9110 §7.2): no user, no zone, no default port."""
        host = self.host
        if ":" in host:
            host = f"[{host.partition('%')[0]}]"
        if DEFAULT_PORTS.get(self.scheme) == self.port:
            return host
        return f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query without `?`, `""` if there is none."""
        return self.target.partition("?")[2]

    def with_target(self, target: str) -> Url:
        """The same URL with another target, which must be ready for the wire; no fragment."""
        return Url(self.scheme, self.host, self.port, target, self.userinfo)

    def without_userinfo(self) -> Url:
        """The same URL without user and password."""
        return self if self.userinfo is None else self._replace(userinfo=None)

    def same_origin(self, other: Url) -> bool:
        """Whether scheme, host and port are all equal: the test for sending credentials on."""
        return self[:3] == other[:3]

    def __str__(self) -> str:
        """The URL as text, without user and password."""
        if self.fragment is None:
            return self.origin + self.target
        return f"{self.origin}{self.target}#{self.fragment}"

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"


def parse_url(
    text: str | Url,
    *,
    schemes: tuple[str, ...] = HTTP_SCHEMES,
    raw: bool = False,
    max_length: int = MAX_URL_LENGTH,
) -> Url:
    """The parts of an absolute URL; a `Url` is handed back as it is.

    `schemes` are the ones allowed. `raw=True` sends path and query exactly as written: no dot
    segment is resolved, nothing is quoted, what may not be sent is refused. `max_length` is in
    characters, for the text and for the target made from it. Raises `InvalidURL`, saying what is
    wrong.
    """
    if isinstance(text, Url):
        return text
    try:
        slash = text.find("/", 8)
    except (AttributeError, TypeError):
        raise InvalidURL(f"a URL must be a str, not {type(text).__name__}") from None
    if slash > 0 and (origin := _origins.get(text[:slash])) is not None:
        target = text[slash:]
        if (
            schemes is HTTP_SCHEMES
            and target.isascii()
            and not target.encode().translate(None, _PLAIN)
            and "/." not in target
            and len(text) <= max_length
            and ("%" not in target or _is_well_escaped(target))
        ):
            return tuple.__new__(Url, (*origin, target, None, None))
    return _parse(text, schemes, raw, max_length)


def _is_well_escaped(target: str) -> bool:
    return not has_stray_percent(target) and not _ESCAPED_DOT.search(target)


def _refuse(text: str, why: str) -> InvalidURL:
    """The error for this URL, what may be a password left out."""
    front, at, rest = text.rpartition("@")
    if at:
        scheme, slashes, _ = front.partition("//")
        text = f"{scheme}//***@{rest}" if slashes else f"***@{rest}"
    return InvalidURL(f"{truncated_repr(text, 120)}: {why}")


def _parse(text: str, schemes: tuple[str, ...], raw: bool, max_length: int) -> Url:
    """The long way, for every URL that is new or not plain."""
    text = text.strip(_AROUND)
    if len(text) > max_length:
        raise _refuse(text, f"the URL is {len(text)} characters long, more than {max_length}")
    if has_control(text):
        raise _refuse(text, "a URL may not hold a control character (line end, tab, NUL …)")
    found = _SCHEME.match(text)
    if found is None or text[found.end() : found.end() + 3] != "://":
        raise _refuse(text, f"the URL must begin with {' or '.join(s + '://' for s in schemes)}")
    scheme = found.group().lower()
    if scheme not in schemes:
        raise _refuse(text, f"the scheme {scheme!r} is not one of {', '.join(schemes)}")
    begin = found.end() + 3
    end_found = _AUTHORITY_END.search(text, begin)
    end = len(text) if end_found is None else end_found.start()
    userinfo, host, port = _parse_authority(text, text[begin:end], scheme)

    front, hash_mark, fragment = text[end:].partition("#")
    target = _make_target(text, front, raw)
    if len(target) > max_length:
        raise _refuse(text, f"the target grows to {len(target)} characters, over {max_length}")
    if userinfo is None and scheme in HTTP_SCHEMES:
        if len(_origins) >= _MAX_ORIGINS:
            _origins.clear()
        _origins[text[:end]] = (scheme, host, port)
    return Url(scheme, host, port, target, userinfo, quote_target(fragment) if hash_mark else None)


def _make_target(text: str, front: str, raw: bool) -> str:
    """Path and query as they go on the request line, from path and query as written."""
    if not front.startswith("/"):
        front = "/" + front
    if not raw:
        return _resolve_dots(quote_target(_with_slashes(front)))
    target = quote_target(front)
    if target != front:
        raise _refuse(text, "raw=True, but the URL holds characters that cannot be sent")
    return target


def _with_slashes(front: str) -> str:
    """Path and query with each backslash of the path turned into a slash (WHATWG URL §4.4)."""
    if "\\" not in front:
        return front
    path, mark, query = front.partition("?")
    return path.replace("\\", "/") + mark + query


def _parse_authority(
    text: str, authority: str, scheme: str
) -> tuple[tuple[str, str] | None, str, int]:
    """User, host and port; `text` is the whole URL, for the error."""
    if "\\" in authority:
        raise _refuse(text, "a backslash before the path: programs disagree on the host")
    user, at, hostport = authority.rpartition("@")
    try:
        if hostport.startswith("["):
            inside, bracket, port = hostport[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise InvalidURL("the bracket of the IPv6 address is not closed, or junk follows")
            host, port = canonical_ipv6(inside), port[1:]
        else:
            host, _, port = hostport.partition(":")
            host = canonical_host(host)
        userinfo = _parse_userinfo(user) if at else None
    except InvalidURL as err:
        raise _refuse(text, str(err)) from err
    return userinfo, host, _parse_port(text, port, scheme)


def _parse_port(text: str, port: str, scheme: str) -> int:
    if not port:
        if scheme not in DEFAULT_PORTS:
            raise _refuse(text, f"a port is needed: {scheme!r} has no default one")
        return DEFAULT_PORTS[scheme]
    digits = port.lstrip("0")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) <= 65535):
        raise _refuse(text, "the port must be a number from 1 to 65535")
    return int(digits)


def _parse_userinfo(user: str) -> tuple[str, str] | None:
    """User and password, decoded; None where both are empty."""
    if not user:
        return None
    name, _, password = user.partition(":")
    return _decode_user(name), _decode_user(password)


def _decode_user(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote_to_bytes

    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeError as err:
        raise InvalidURL("user and password must be UTF-8") from err
    if has_control(decoded):
        raise InvalidURL("user and password may not hold control characters")
    return decoded


def _resolve_dots(target: str) -> str:
    """The target with `.` and `..` segments of the path gone (RFC 3986 §5.2.4), in one pass."""
    if "/." not in target and "%2" not in target:
        return target
    path, mark, query = target.partition("?")
    kept: list[str] = []
    segments = path.split("/")[1:]
    last_is_dot = False
    for segment in segments:
        if segment[:1] in (".", "%") and (folded := segment.lower()) in _DOT | _TWO_DOTS:
            last_is_dot = True
            if folded in _TWO_DOTS and kept:
                kept.pop()
        else:
            last_is_dot = False
            kept.append(segment)
    if last_is_dot:
        kept.append("")
    return "/" + "/".join(kept) + mark + query


def is_relative(text: object) -> bool:
    """Tell whether a URL is a text without a scheme: a relative reference (RFC 3986 §4.2)."""
    return isinstance(text, str) and _SCHEME.match(text.lstrip(_AROUND)) is None


def join_url(base: Url, location: str | bytes, *, max_length: int = MAX_URL_LENGTH) -> Url:
    """What `location` (a Location field, a link) means when met at `base` (RFC 3986 §5.2).

    Bytes are read as UTF-8, others kept as escapes. Without a fragment of its own the result
    inherits that of `base` (RFC 9110 §10.2.2); a relative reference keeps user and password.
    Raises `InvalidURL` also for schemes other than http and https.
    """
    if isinstance(location, bytes):
        location = location.decode("utf-8", "surrogateescape")
    location = location.strip(_AROUND)
    if location[:2].replace("\\", "/") == "//" != location[:2]:
        raise _refuse(location, "a backslash before the path: programs disagree on the host")
    if location.startswith("//"):
        url = parse_url(f"{base.scheme}:{location}", max_length=max_length)
    elif _SCHEME.match(location):
        url = parse_url(location, max_length=max_length)
    else:
        url = _join_relative(base, location, max_length)
    if url.fragment is None and base.fragment is not None:
        return url._replace(fragment=base.fragment)
    return url


def _join_relative(base: Url, location: str, max_length: int) -> Url:
    if len(location) > max_length:
        raise _refuse(location, f"the URL is longer than {max_length} characters")
    front, hash_mark, fragment = location.partition("#")
    front = _with_slashes(front)
    if not front:
        target = base.target
    elif front.startswith("/"):
        target = _resolve_dots(quote_target(front))
    elif front.startswith("?"):
        target = base.path + quote_target(front)
    else:
        folder = base.path.rpartition("/")[0]
        target = _resolve_dots(f"{folder}/{quote_target(front)}")
    if len(target) > max_length:
        raise _refuse(location, f"the target grows to {len(target)} characters, over {max_length}")
    return Url(
        base.scheme,
        base.host,
        base.port,
        target,
        base.userinfo,
        quote_target(fragment) if hash_mark else None,
    )


def join_path(base: Url, endpoint: str | None = "", path: str | None = "") -> str:
    """The target of `base + endpoint + path`, for sessions bound to one host.

    One slash joins the pieces, however many stand there; a slash at the very end is kept as
    given. Pieces are joined as text, so `//evil` in a path cannot change the host. A piece
    beginning with `?` is a query and takes no slash; a fragment is cut off. Raises `InvalidURL`
    for an absolute URL, for a base with query or fragment, and for text behind a query.
    """
    if base.fragment is not None or "?" in base.target:
        raise _refuse(str(base), "the base of a session may have neither query nor fragment")
    target = base.target
    for piece in (endpoint, path):
        if not piece:
            continue
        if has_control(piece):
            raise InvalidURL(f"{truncated_repr(piece)}: a path may not hold a control character")
        found = _SCHEME.match(piece)
        if found is not None and piece.startswith("://", found.end()):
            raise _refuse(piece, "an absolute URL is not a path; give it as url=")
        piece = _with_slashes(piece.partition("#")[0])
        if not piece:
            continue
        if "?" in target:
            raise InvalidURL(
                f"{truncated_repr(piece)} would stand behind the query of {truncated_repr(target)}"
            )
        if piece.startswith("?"):
            target += quote_target(piece)
        else:
            target = f"{target.rstrip('/')}/{quote_target(piece.lstrip('/'))}"
    target = _resolve_dots(target)
    if len(target) > MAX_URL_LENGTH:
        raise InvalidURL(f"the target is {len(target)} characters long, over {MAX_URL_LENGTH}")
    return target
