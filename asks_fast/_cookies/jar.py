"""Which cookies are kept, and which go with a request.

Facts:  RFC 6265 §5.3 and §5.4 with what browsers agreed on since (RFC 6265bis): secure cookies
        are left alone by plain http, `__Secure-` and `__Host-` mean what they say, no life is
        longer than 400 days. SameSite is kept as data: there is no page that a request comes from.
Rules:  a cookie goes to its own host; to subdomains only if it said `Domain`, and never across a
        public suffix or from an address. Matching ends at label and path boundaries.
        What servers send is bounded: per answer, per domain, in all, and in the field sent.
        Nothing that a server sends raises, and nothing is decoded.
        An empty tracker costs one look at a dict. Only the wall clock counts here.
Not here: the text of `Set-Cookie` (`cookie_parse`), which domain and path match which
        (`cookie_match`), files (`cookie_files`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from .._url.host import is_ip
from ..errors import InvalidRequest, truncated_repr
from .cookie import MAX_AGE, Cookie, field_value, octets, parse_set_cookie
from .matching import (
    canonical_domain,
    domain_matches,
    is_public_suffix,
    path_matches,
    resolve_domain,
    strip_zone,
)
from .request_cookies import check_pair

if TYPE_CHECKING:
    from os import PathLike

    from ..urls import Url

__all__ = ["CookieTracker"]

MAX_PER_RESPONSE = 50
MAX_PER_DOMAIN = 180
MAX_IN_ALL = 3000
MAX_HEADER = 8190  # octets of the value of one Cookie field
MAX_SENT = 150
_SHRINK_BY = MAX_IN_ALL // 16  # make room for more than one, so that a flood stays linear

_PREFIXES = ("__secure-", "__host-")


class CookieTracker:
    """Cookies of a session, or of several: filled by servers, by the user, or from a file.

    `domain_dict` maps each domain to the list of its `Cookie`s and may be read and changed.
    `clock` gives the wall time in seconds since 1970. Not for use from several threads at once.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.domain_dict: dict[str, list[Cookie]] = {}
        self._clock = clock
        self._created = 0
        self._uses = 0
        self._stored = 0  # upper estimate of len(self), so that adding need not count

    @classmethod
    def from_dict(cls, cookies: Mapping[str, str], *, domain: str, **options: Any) -> CookieTracker:
        """A tracker that begins with these names and values; `options` as in `set`."""
        tracker = cls()
        for name, value in cookies.items():
            tracker.set(name, value, domain=domain, **options)
        return tracker

    # -- with servers

    def header_for(self, url: Url) -> str | bytes | None:
        """The value of the Cookie field for a request of `url`; None when there is nothing to send.

        Longest path first, then in order of creation. What would not fit in 8190 octets or 150
        cookies stays at home. Bytes only if a server sent a value that is not UTF-8.
        """
        if not self.domain_dict:
            return None
        parts: list[str] = []
        room = MAX_HEADER
        self._uses += 1
        for cookie in self.cookies_for(url)[:MAX_SENT]:
            part = f"{cookie.name}={cookie.value}" if cookie.name else cookie.value
            room -= octets(part) + 2
            if room < -2:  # the last one is followed by no "; "
                break
            parts.append(part)
            cookie.last_used = self._uses
        return field_value("; ".join(parts)) if parts else None

    def cookies_for(self, url: Url) -> list[Cookie]:
        """The cookies that a request of `url` would carry, in the order they are sent."""
        host = strip_zone(url.host)
        path = url.path
        secure = url.scheme == "https"
        found: list[Cookie] = []
        has_expired = False
        now = self._clock()
        domain = host
        lone = ":" in host or (host[-1:].isdigit() and is_ip(host))
        while domain:
            for cookie in self.domain_dict.get(domain, ()):
                if (
                    (domain is host or not cookie.host_only)
                    and (secure or not cookie.secure)
                    and path_matches(path, cookie.scope_path)
                ):
                    if cookie.is_expired(now):
                        has_expired = True
                    else:
                        found.append(cookie)
            if lone:
                break
            domain = domain.partition(".")[2]
        if has_expired:
            self.clear_expired()
        if len(found) > 1:
            found.sort(key=lambda cookie: (-len(cookie.scope_path), cookie.creation_index))
        return found

    def store(self, url: Url, set_cookie_values: Iterable[str | bytes]) -> None:
        """Take in the `Set-Cookie` fields of an answer from `url`; never raises on what they hold.

        The first 50 count. Pass the values as bytes where they are at hand: those that are not
        UTF-8 then go back exactly as they came.
        """
        host = strip_zone(url.host)
        secure = url.scheme == "https"
        now = self._clock()
        for line in islice(set_cookie_values, MAX_PER_RESPONSE):
            cookie = parse_set_cookie(line, host, url.path, now)
            if cookie is not None and self._may_set(cookie, host, secure):
                self._put(cookie, now)

    def _may_set(self, cookie: Cookie, host: str, secure: bool) -> bool:
        """Whether `host`, over a secure channel or not, may set this; fills in whom it goes to."""
        if not resolve_domain(cookie, host):
            return False
        if cookie.secure and not secure:
            return False
        label = (cookie.name or cookie.value).lower()
        if label.startswith(_PREFIXES):
            if not cookie.name or not cookie.secure:
                return False
            if label.startswith("__host-") and not (
                cookie.host_only and not cookie.domain and cookie.path == "/"
            ):
                return False
        return secure or not self._shadows_secure(cookie)

    def _shadows_secure(self, cookie: Cookie) -> bool:
        """Whether this would hide a secure cookie of that name (RFC 6265bis §5.7 step 16)."""
        for domain, bucket in self.domain_dict.items():
            if domain_matches(domain, cookie.effective_domain) or domain_matches(
                cookie.effective_domain, domain
            ):
                for other in bucket:
                    if (
                        other.secure
                        and other.name == cookie.name
                        and path_matches(cookie.scope_path, other.scope_path)
                    ):
                        return True
        return False

    # -- keeping them

    def _put(self, cookie: Cookie, now: float) -> None:
        """Keep a cookie, in place of the one it replaces; an expired one only removes that."""
        bucket = self.domain_dict.setdefault(cookie.effective_domain, [])
        expired = cookie.is_expired(now)
        for i, other in enumerate(bucket):
            if (
                other.name == cookie.name
                and other.scope_path == cookie.scope_path
                and other.host_only == cookie.host_only
            ):
                if expired:
                    del bucket[i]
                    break
                cookie.creation_index, cookie.last_used = other.creation_index, self._uses
                bucket[i] = cookie
                return
        if not expired:
            self._created += 1
            self._stored += 1
            cookie.creation_index, cookie.last_used = self._created, self._uses
            bucket.append(cookie)
            if len(bucket) > MAX_PER_DOMAIN:
                self._shrink_bucket(bucket, now)
            if self._stored > MAX_IN_ALL:
                self._shrink(now)
        if not bucket:
            self.domain_dict.pop(cookie.effective_domain, None)

    @staticmethod
    def _shrink_bucket(bucket: list[Cookie], now: float) -> None:
        """Drop what expired, else the one least worth keeping: not secure, longest unused."""
        alive = [cookie for cookie in bucket if not cookie.is_expired(now)]
        if len(alive) > MAX_PER_DOMAIN:
            places = range(len(alive))
            del alive[min(places, key=lambda i: (bool(alive[i].secure), alive[i].last_used, i))]
        bucket[:] = alive

    def _shrink(self, now: float) -> None:
        """Drop what expired, then the longest unused, until there is room again."""
        self.clear_expired()
        self._stored = len(self)
        if self._stored <= MAX_IN_ALL:
            return
        by_use = sorted(self, key=lambda cookie: (cookie.last_used, cookie.creation_index))
        doomed = {id(cookie) for cookie in by_use[: self._stored - MAX_IN_ALL + _SHRINK_BY]}
        self._keep(lambda cookie: id(cookie) not in doomed)
        self._stored = len(self)

    def _keep(self, wanted: Callable[[Cookie], bool]) -> None:
        for domain, bucket in list(self.domain_dict.items()):
            bucket[:] = [cookie for cookie in bucket if wanted(cookie)]
            if not bucket:
                del self.domain_dict[domain]

    # -- with the user

    def set(
        self,
        name: str,
        value: str,
        *,
        domain: str,
        path: str = "/",
        secure: bool = False,
        expires: float | None = None,
        httponly: bool = False,
        samesite: str | None = None,
        host_only: bool = False,
    ) -> Cookie:
        """Put a cookie in by hand; it goes to `domain` and, unless `host_only`, to its subdomains.

        `expires` is in seconds since 1970 (clamped to 400 days ahead), None for as long as the
        tracker lives. An address or a name without dot is always host-only; so must be a public
        suffix, such as `github.io`. Raises `InvalidHeader` or `InvalidRequest` (`ValueError`).
        """
        check_pair(name, value)
        data: dict[str, Any] = {"name": name, "value": value, "path": path, "secure": secure}
        host = canonical_domain(domain)
        lone = is_ip(host) or "." not in host
        if not host_only and not lone:
            if is_public_suffix(host):
                raise InvalidRequest(
                    f"{truncated_repr(host)} is a public suffix: its cookies can only be host_only=True"
                )
            data["domain"] = host
        if not path.startswith("/") or any(c < " " or c in ";\x7f" for c in path):
            raise InvalidRequest(
                f"the path of a cookie begins with '/', not {truncated_repr(path)}"
            )
        if httponly:
            data["httponly"] = True
        if samesite is not None:
            data["samesite"] = samesite
        cookie = Cookie(host, data)
        now = self._clock()
        if expires is not None:
            cookie.expires_at = min(float(expires), now + MAX_AGE)
        self._put(cookie, now)
        return cookie

    def get(
        self, name: str, default: str | None = None, *, domain: str | None = None
    ) -> str | None:
        """The value of the oldest living cookie of that name; `domain` is matched exactly."""
        now = self._clock()
        wanted = None if domain is None else canonical_domain(domain)
        for cookie in self:
            named = cookie.name == name and wanted in (None, cookie.effective_domain)
            if named and not cookie.is_expired(now):
                return cookie.value
        return default

    def clear(self, domain: str | None = None, name: str | None = None) -> None:
        """Forget all cookies, or those of one exact domain, of one name, or of both."""
        wanted = None if domain is None else canonical_domain(domain)
        self._keep(
            lambda cookie: (
                (wanted is not None and cookie.effective_domain != wanted)
                or (name is not None and cookie.name != name)
            )
        )
        self._stored = len(self)

    def clear_expired(self) -> None:
        """Forget the cookies whose time is over."""
        now = self._clock()
        self._keep(lambda cookie: not cookie.is_expired(now))

    def clear_session_cookies(self) -> None:
        """Forget the cookies that have no time of expiry, as a browser does when it ends."""
        self._keep(lambda cookie: cookie.expires_at is not None)

    def save(self, path: str | PathLike[str], *, format: str | None = None) -> None:
        """Write all cookies to a file for its owner alone (mode 0600), whole or not at all.

        `format` is `"netscape"` (cookies.txt, as curl and browsers' exporters write it) or
        `"json"`; by default the name decides, `.json` or not. Blocks while writing.
        """
        from .files import write_cookies

        now = self._clock()
        write_cookies(path, [cookie for cookie in self if not cookie.is_expired(now)], format)

    def load(self, path: str | PathLike[str], *, format: str | None = None) -> None:
        """Add the cookies of a saved file; expired ones are left out.

        Raises `BadCookieFile` and takes nothing when any part of the file is malformed or too
        long, `OSError` when it cannot be read. Blocks while reading.
        """
        from .files import read_cookies

        now = self._clock()
        for cookie in read_cookies(path, format):
            if cookie.is_expired(now):
                continue
            if not cookie.host_only and is_public_suffix(cookie.effective_domain):
                cookie.host_only = True
            if cookie.expires_at is not None:
                cookie.expires_at = min(cookie.expires_at, now + MAX_AGE)
            self._put(cookie, now)

    def get_additional_cookies(self, netloc: str, path: str) -> dict[str, str]:
        """Names and values for a host and path, as asks gave them; `header_for` knows more."""
        from ..urls import parse_url

        url = parse_url(f"{netloc if '://' in netloc else 'http://' + netloc}{path or '/'}")
        return {cookie.name: cookie.value for cookie in reversed(self.cookies_for(url))}

    def __iter__(self) -> Iterator[Cookie]:
        """All cookies, in order of creation."""
        found = [cookie for bucket in self.domain_dict.values() for cookie in bucket]
        found.sort(key=lambda cookie: cookie.creation_index)
        return iter(found)

    def __len__(self) -> int:
        return sum(map(len, self.domain_dict.values()))

    def __bool__(self) -> bool:
        return bool(self.domain_dict)

    def __repr__(self) -> str:
        return f"<CookieTracker {len(self)} cookies of {len(self.domain_dict)} domains>"
