"""Parse and join URLs: from text to an origin and a request target.

Facts:  An origin is scheme, host and port (RFC 6454). The request line contains only path and query
        (RFC 9112 §3.2.1), never the fragment or the user.
Invariants:
        URLs are parsed as in browsers where that is safe: a backslash in a path is a slash, a port
        may start with zeros, spaces and line ends around a URL are removed. URLs that two programs
        could read differently are rejected: control characters, a backslash before the path,
        ambiguous hosts and ports.
        Escapes are kept unchanged. `.` and `..` segments are resolved in linear time.
        No error and no repr contains the user or password.
        A plain URL (ASCII, nothing to encode, known origin) costs one dict look-up and one pass
        over the target, about a microsecond: as fast as a cache hit of yarl, and many times faster
        than parsing with yarl or `urllib.parse`.

Implemented elsewhere: percent-encoding (`_url/quoting`), hosts (`_url/host`), redirects
(`_client/redirects`).
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
    has_invalid_escape,
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
_SURROUNDING_SPACE = " \t\n\r\f\v"
_DOT = frozenset((".", "%2e"))
_TWO_DOTS = frozenset(("..", ".%2e", "%2e.", "%2e%2e"))

# Parsed origins by the text before the path; only those without a user. Emptied when full.
_origins: dict[str, tuple[str, str, int]] = {}
_MAX_ORIGINS = 1024


class Url(NamedTuple):
    """A parsed URL. Immutable and hashable.

    Attributes:
        scheme: in lower case.
        host: in lower-case ASCII; an IPv6 address has no brackets and keeps its zone.
        port: the port, if necessary the default one.
        target: path and query, encoded for the request line.
        userinfo: user and password, decoded; None without them.
        fragment: encoded; None if the URL has no `#`.
    """

    scheme: str
    host: str
    port: int
    target: str
    userinfo: tuple[str, str] | None = None
    fragment: str | None = None

    @property
    def origin(self) -> str:
        """`http://host:port` without a default port. Equal exactly for equal origins."""
        host = self.host
        if ":" in host:
            host = f"[{host.replace('%', '%25')}]"
        if DEFAULT_PORTS.get(self.scheme) == self.port:
            return f"{self.scheme}://{host}"
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of the Host field (RFC 9110 §7.2), without user, zone and default port."""
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
        """The query without `?`; `""` if there is none."""
        return self.target.partition("?")[2]

    def with_target(self, target: str) -> Url:
        """Return the URL with another target, which must be encoded already, and no fragment."""
        return Url(self.scheme, self.host, self.port, target, self.userinfo)

    def without_userinfo(self) -> Url:
        """Return the URL without user and password."""
        return self if self.userinfo is None else self._replace(userinfo=None)

    def same_origin(self, other: Url) -> bool:
        """Tell whether scheme, host and port are equal. Only then may credentials be sent."""
        return self[:3] == other[:3]

    def __str__(self) -> str:
        """Return the URL as text, without user and password."""
        if self.fragment is None:
            return self.origin + self.target
        return f"{self.origin}{self.target}#{self.fragment}"

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"


def parse_url(
    text: str | Url,
    *,
    schemes: tuple[str, ...] = HTTP_SCHEMES,
    normalize: bool = True,
    max_length: int = MAX_URL_LENGTH,
) -> Url:
    """Parse an absolute URL.

    Args:
        text: the URL; a `Url` is returned unchanged.
        schemes: the allowed schemes.
        normalize: False uses path and query exactly as written: no dot segment is resolved, nothing
            is encoded, and illegal characters are rejected.
        max_length: limit in characters, for the text and for the target.

    Raises:
        InvalidURL: the URL is invalid; the text says why.

    Example:
        >>> parse_url("http://Example.com/a/../b?q=1").target
        '/b?q=1'
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
    return _parse(text, schemes, normalize, max_length)


def _is_well_escaped(target: str) -> bool:
    return not has_invalid_escape(target) and not _ESCAPED_DOT.search(target)


def _error(text: str, reason: str) -> InvalidURL:
    """Return the error for this URL. Text that may be a password is masked."""
    front, has_user, rest = text.rpartition("@")
    if has_user:
        scheme, slashes, _ = front.partition("//")
        text = f"{scheme}//***@{rest}" if slashes else f"***@{rest}"
    return InvalidURL(f"{truncated_repr(text, 120)}: {reason}")


def _parse(text: str, schemes: tuple[str, ...], normalize: bool, max_length: int) -> Url:
    """General path: parse a URL that is not plain or whose origin is not known yet."""
    text = text.strip(_SURROUNDING_SPACE)
    if len(text) > max_length:
        raise _error(text, f"the URL is {len(text)} characters long, more than {max_length}")
    if has_control(text):
        raise _error(text, "a URL must not contain control characters (line end, tab, NUL …)")
    found = _SCHEME.match(text)
    if found is None or text[found.end() : found.end() + 3] != "://":
        raise _error(text, f"the URL must begin with {' or '.join(s + '://' for s in schemes)}")
    scheme = found.group().lower()
    if scheme not in schemes:
        raise _error(text, f"the scheme {scheme!r} is not one of {', '.join(schemes)}")
    begin = found.end() + 3
    end_found = _AUTHORITY_END.search(text, begin)
    end = len(text) if end_found is None else end_found.start()
    userinfo, host, port = _parse_authority(text, text[begin:end], scheme)

    front, hash_mark, fragment = text[end:].partition("#")
    target = _make_target(text, front, normalize)
    if len(target) > max_length:
        raise _error(
            text, f"the encoded target has {len(target)} characters, more than {max_length}"
        )
    if userinfo is None and scheme in HTTP_SCHEMES:
        if len(_origins) >= _MAX_ORIGINS:
            _origins.clear()
        _origins[text[:end]] = (scheme, host, port)
    return Url(scheme, host, port, target, userinfo, quote_target(fragment) if hash_mark else None)


def _make_target(text: str, front: str, normalize: bool) -> str:
    """Return path and query for the request line, from path and query as written."""
    if not front.startswith("/"):
        front = "/" + front
    if normalize:
        return _resolve_dots(quote_target(_with_slashes(front)))
    target = quote_target(front)
    if target != front:
        raise _error(text, "it contains characters that cannot be sent unless they are normalized")
    return target


def _with_slashes(front: str) -> str:
    """Replace each backslash of the path by a slash (WHATWG URL §4.4)."""
    if "\\" not in front:
        return front
    path, mark, query = front.partition("?")
    return path.replace("\\", "/") + mark + query


def _parse_authority(
    text: str, authority: str, scheme: str
) -> tuple[tuple[str, str] | None, str, int]:
    """Return user, host and port; `text` is the whole URL, for the error."""
    if "\\" in authority:
        raise _error(text, "a backslash before the path: programs disagree about the host")
    user, has_user, hostport = authority.rpartition("@")
    try:
        if hostport.startswith("["):
            inside, bracket, port = hostport[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise InvalidURL(
                    "the bracket of the IPv6 address is not closed, or other text follows"
                )
            host, port = canonical_ipv6(inside), port[1:]
        else:
            host, _, port = hostport.partition(":")
            host = canonical_host(host)
        userinfo = _parse_userinfo(user) if has_user else None
    except InvalidURL as err:
        raise _error(text, str(err)) from err
    return userinfo, host, _parse_port(text, port, scheme)


def _parse_port(text: str, port: str, scheme: str) -> int:
    if not port:
        if scheme not in DEFAULT_PORTS:
            raise _error(text, f"a port is required: {scheme!r} has no default port")
        return DEFAULT_PORTS[scheme]
    digits = port.lstrip("0")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) <= 65535):
        raise _error(text, "the port must be a number from 1 to 65535")
    return int(digits)


def _parse_userinfo(user: str) -> tuple[str, str] | None:
    """Return user and password, decoded; None if both are empty."""
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
        raise InvalidURL("user and password must not contain control characters")
    return decoded


def _resolve_dots(target: str) -> str:
    """Resolve the `.` and `..` segments of the path (RFC 3986 §5.2.4) in one pass."""
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
    """Tell whether a URL is a text without a scheme, a relative reference (RFC 3986 §4.2)."""
    return isinstance(text, str) and _SCHEME.match(text.lstrip(_SURROUNDING_SPACE)) is None


def join_url(base: Url, location: str | bytes, *, max_length: int = MAX_URL_LENGTH) -> Url:
    """Resolve a reference against a base URL (RFC 3986 §5.2).

    Without a fragment of its own the result has that of `base` (RFC 9110 §10.2.2). A relative
    reference keeps user and password.

    Args:
        base: the URL of the document or response.
        location: a Location field or a link. Bytes are decoded as UTF-8; other bytes are kept as
            escapes.
        max_length: limit in characters, for the text and for the target.

    Raises:
        InvalidURL: the URL is invalid, or its scheme is not http or https.

    Example:
        >>> str(join_url(parse_url("http://example.com/a/b"), "../c"))
        'http://example.com/c'
    """
    if isinstance(location, bytes):
        location = location.decode("utf-8", "surrogateescape")
    location = location.strip(_SURROUNDING_SPACE)
    if location[:2].replace("\\", "/") == "//" != location[:2]:
        raise _error(location, "a backslash before the path: programs disagree about the host")
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
        raise _error(location, f"the URL is longer than {max_length} characters")
    front, hash_mark, fragment = location.partition("#")
    front = _with_slashes(front)
    if not front:
        target = base.target
    elif front.startswith("/"):
        target = _resolve_dots(quote_target(front))
    elif front.startswith("?"):
        target = base.path + quote_target(front)
    else:
        directory = base.path.rpartition("/")[0]
        target = _resolve_dots(f"{directory}/{quote_target(front)}")
    if len(target) > max_length:
        raise _error(
            location, f"the encoded target has {len(target)} characters, more than {max_length}"
        )
    return Url(
        base.scheme,
        base.host,
        base.port,
        target,
        base.userinfo,
        quote_target(fragment) if hash_mark else None,
    )


def join_path(base: Url, endpoint: str | None = "", path: str | None = "") -> str:
    """Return the target of `base + endpoint + path`, for sessions with a base URL.

    The parts are joined as text with one slash between them, so `//evil` in a path cannot change
    the host. A slash at the end is kept. A part that starts with `?` is a query and gets no slash.
    A fragment is removed.

    Args:
        base: the base URL of the session.
        endpoint: the common path of the session.
        path: the path of the request.

    Raises:
        InvalidURL: a part is an absolute URL, the base has a query or fragment, or text follows a
            query.
    """
    if base.fragment is not None or "?" in base.target:
        raise _error(str(base), "the base of a session must have neither query nor fragment")
    target = base.target
    for part in (endpoint, path):
        if not part:
            continue
        if has_control(part):
            raise InvalidURL(f"{truncated_repr(part)}: a path must not contain control characters")
        found = _SCHEME.match(part)
        if found is not None and part.startswith("://", found.end()):
            raise _error(part, "an absolute URL is not a path; give it as url=")
        part = _with_slashes(part.partition("#")[0])
        if not part:
            continue
        if "?" in target:
            raise InvalidURL(
                f"{truncated_repr(part)} would follow the query of {truncated_repr(target)}"
            )
        if part.startswith("?"):
            target += quote_target(part)
        else:
            target = f"{target.rstrip('/')}/{quote_target(part.lstrip('/'))}"
    target = _resolve_dots(target)
    if len(target) > MAX_URL_LENGTH:
        raise InvalidURL(f"the target is {len(target)} characters long, over {MAX_URL_LENGTH}")
    return target
