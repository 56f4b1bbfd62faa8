"""The cookie jar: which cookies are stored, and which are sent with a request.

Facts:  RFC 6265 §5.3 and §5.4, with the changes of RFC 6265bis: plain http cannot replace secure
        cookies, the prefixes `__Secure-` and `__Host-` are enforced, and no cookie lives longer
        than 400 days. SameSite is stored but has no effect, since no request comes from a page.
Invariants:
        A cookie is sent to its own host, and to subdomains only if it has a `Domain`; never across
        a public suffix or from an IP address. The number of cookies is bounded per response, per
        domain, in total, and in the field sent. Nothing that a server sends raises, and nothing is
        decoded. An empty jar costs one test of a dict. All times are wall clock times.

Implemented elsewhere: parsing of `Set-Cookie` (`cookie`), the field for one request
(`src_pyx/hotpath/cookies.pyx`), matching of domains and paths (`matching`), files (`files`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypedDict

from .._hotpath import Candidates, find_replaced, path_matches
from .._url.host import is_ip
from ..errors import InvalidRequest, truncated_repr
from .cookie import MAX_AGE, Cookie, parse_set_cookie
from .matching import (
    canonical_domain,
    domain_matches,
    domains_of,
    is_public_suffix,
    resolve_domain,
    strip_root_dot,
)
from .request_cookies import check_pair

if TYPE_CHECKING:
    from os import PathLike

    from typing_extensions import Unpack

    from ..urls import Url

__all__ = ["CookieTracker"]

MAX_CANDIDATES = 256  # hosts whose cookies are kept ready
MAX_PER_RESPONSE = 50
MAX_PER_DOMAIN = 180
MAX_TOTAL = 3000
_SHRINK_BY = MAX_TOTAL // 16  # remove several at once, so that many new cookies take linear time

_PREFIXES = ("__secure-", "__host-")


class CookieOptions(TypedDict, total=False):
    """Keyword arguments of `CookieTracker.set` that are not required."""

    path: str
    secure: bool
    expires: float | None
    httponly: bool
    samesite: str | None
    host_only: bool


class CookieTracker:
    """The cookies of one session or of several.

    Cookies come from servers, from the program or from a file. Not safe for use from several
    threads at once.

    Args:
        clock: returns the wall clock time in seconds since 1970.

    Attributes:
        domain_dict: the list of cookies by domain; a program may read and change it.

    Example:
        >>> jar = CookieTracker()
        >>> jar.set("session", "123", domain="example.com")
        >>> session = asks.Session(persist_cookies=jar)
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.domain_dict: dict[str, list[Cookie]] = {}
        self._clock = clock
        self._created = 0
        self._uses = 0
        self._stored = 0  # upper estimate of len(self), so that adding need not count
        self._candidates: dict[tuple[str, bool], Candidates] = {}  # by host, and whether https

    @classmethod
    def from_dict(
        cls, cookies: Mapping[str, str], *, domain: str, **options: Unpack[CookieOptions]
    ) -> CookieTracker:
        """Return a tracker with these cookies.

        Args:
            cookies: values by name.
            domain: the domain of all of them.
            **options: keyword arguments of `set`.
        """
        tracker = cls()
        for name, value in cookies.items():
            tracker.set(name, value, domain=domain, **options)
        return tracker

    # -- cookies of servers

    def header_for(self, url: Url) -> str | bytes | None:
        """Return the value of the Cookie field for a request to `url`, None if there is none.

        Cookies with the longest path come first, then those created first. Cookies beyond 8190
        bytes or 150 cookies are not sent. The value is bytes if a server sent one that is not
        UTF-8.
        """
        if not self.domain_dict:
            return None
        return self.value_for(strip_root_dot(url.host), url.scheme == "https", url.path)

    def value_for(self, host: str, secure: bool, path: str) -> str | bytes | None:
        """Return the value of `header_for` for a host, whether it is https, and a path.

        It is the same object as long as nothing changes.
        """
        self._uses += 1
        return self._candidates_for(host, secure).value_for(path, self._uses)

    def cookies_for(self, url: Url) -> list[Cookie]:
        """Return the cookies that a request to `url` contains, in the order of sending."""
        candidates = self._candidates_for(strip_root_dot(url.host), url.scheme == "https")
        return candidates.matching(url.path)

    def _candidates_for(self, host: str, secure: bool) -> Candidates:
        """Return the cookies for a host, found anew if a cookie was changed or has expired."""
        key = host, secure
        now = self._clock()
        found = self._candidates.get(key)
        if found is None or now >= found.first_expiry or not found.is_current(self.domain_dict):
            domains = domains_of(host)
            found = Candidates(self.domain_dict, domains, secure)
            if now >= found.first_expiry:
                self.clear_expired()
                found = Candidates(self.domain_dict, domains, secure)
            if len(self._candidates) >= MAX_CANDIDATES:
                self._candidates.clear()
            self._candidates[key] = found
        return found

    def store(self, url: Url, set_cookie_values: Iterable[str | bytes]) -> None:
        """Store the cookies of a response from `url`. Invalid values are ignored.

        Args:
            url: the URL of the request.
            set_cookie_values: values of the `Set-Cookie` fields; only the first 50 are used. Pass
                bytes if possible: values that are not UTF-8 are then sent back unchanged.
        """
        host, path = strip_root_dot(url.host), url.path
        secure = url.scheme == "https"
        now = self._clock()
        left = MAX_PER_RESPONSE
        for line in set_cookie_values:
            cookie = parse_set_cookie(line, host, path, now)
            if cookie is not None and self._may_set(cookie, host, secure):
                self._put(cookie, now)
            left -= 1
            if not left:
                break

    def _may_set(self, cookie: Cookie, host: str, secure: bool) -> bool:
        """Tell whether `host` may set this cookie; sets the domain to which it is sent."""
        if not resolve_domain(cookie, host):
            return False
        if cookie.secure and not secure:
            return False
        name = cookie.name or cookie.value
        if name[0] == "_":
            label = name.lower()
            if label.startswith(_PREFIXES) and not (cookie.name and cookie.secure):
                return False
            if label.startswith("__host-") and not (
                cookie.host_only and not cookie.domain and cookie.path == "/"
            ):
                return False
        return secure or not self._shadows_secure(cookie)

    def _shadows_secure(self, cookie: Cookie) -> bool:
        """Tell whether this would hide a secure cookie of that name (RFC 6265bis §5.7 step 16)."""
        name, own = cookie.name, cookie.effective_domain
        for domain, bucket in self.domain_dict.items():
            for other in bucket:
                if (
                    other.secure
                    and other.name == name
                    and path_matches(cookie.scope_path, other.scope_path)
                    and (domain_matches(domain, own) or domain_matches(own, domain))
                ):
                    return True
        return False

    # -- storage

    def _put(self, cookie: Cookie, now: float) -> None:
        """Store a cookie in place of the one it replaces; an expired one only removes that one."""
        bucket = self.domain_dict.setdefault(cookie.effective_domain, [])
        i = find_replaced(bucket, cookie)
        if cookie.is_expired(now):
            if i >= 0:
                del bucket[i]
        elif i >= 0:
            cookie.creation_index, cookie.last_used = bucket[i].creation_index, self._uses
            bucket[i] = cookie
        else:
            self._created += 1
            self._stored += 1
            cookie.creation_index, cookie.last_used = self._created, self._uses
            bucket.append(cookie)
            if len(bucket) > MAX_PER_DOMAIN:
                self._shrink_bucket(bucket, now)
            if self._stored > MAX_TOTAL:
                self._shrink(now)
        if not bucket:
            self.domain_dict.pop(cookie.effective_domain, None)

    @staticmethod
    def _shrink_bucket(bucket: list[Cookie], now: float) -> None:
        """Remove expired cookies, else the longest unused one, insecure ones first."""
        alive = [cookie for cookie in bucket if not cookie.is_expired(now)]
        if len(alive) > MAX_PER_DOMAIN:
            indexes = range(len(alive))
            del alive[min(indexes, key=lambda i: (bool(alive[i].secure), alive[i].last_used, i))]
        bucket[:] = alive

    def _shrink(self, now: float) -> None:
        """Remove expired cookies, then the longest unused ones, until the total is in its limit."""
        self.clear_expired()
        self._stored = len(self)
        if self._stored <= MAX_TOTAL:
            return
        by_use = sorted(self, key=lambda cookie: (cookie.last_used, cookie.creation_index))
        removed = {id(cookie) for cookie in by_use[: self._stored - MAX_TOTAL + _SHRINK_BY]}
        self._keep(lambda cookie: id(cookie) not in removed)
        self._stored = len(self)

    def _keep(self, wanted: Callable[[Cookie], bool]) -> None:
        """Remove all cookies for which `wanted` is false."""
        for domain, bucket in list(self.domain_dict.items()):
            bucket[:] = [cookie for cookie in bucket if wanted(cookie)]
            if not bucket:
                del self.domain_dict[domain]

    # -- cookies of the program

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
        """Store a cookie.

        Args:
            name: the name.
            value: the value.
            domain: the domain to which it is sent.
            path: the path below which it is sent.
            secure: send it over https only.
            expires: seconds since 1970, at most 400 days ahead; None: as long as the tracker
                exists.
            httponly: stored, without effect.
            samesite: stored, without effect.
            host_only: do not send it to subdomains. Always true for an IP address and for a name
                without a dot.

        Raises:
            InvalidHeader: name or value cannot be sent.
            InvalidURL: the domain is invalid.
            InvalidRequest: the path is invalid, or the domain is a public suffix, such as
                `github.io`, without `host_only`.
        """
        check_pair(name, value)
        data: dict[str, str | bool | None] = {
            "name": name,
            "value": value,
            "path": path,
            "secure": secure,
        }
        host = canonical_domain(domain)
        has_subdomains = "." in host and not is_ip(host)
        if not host_only and has_subdomains:
            if is_public_suffix(host):
                raise InvalidRequest(
                    f"{truncated_repr(host)} is a public suffix: its cookies need host_only=True"
                )
            data["domain"] = host
        if not path.startswith("/") or any(c < " " or c in ";\x7f" for c in path):
            raise InvalidRequest(
                f"the path of a cookie must start with '/', not {truncated_repr(path)}"
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
        """Return the value of the oldest cookie of this name that has not expired.

        Args:
            name: the name.
            default: the result if there is no such cookie.
            domain: only a cookie of exactly this domain.
        """
        now = self._clock()
        wanted = None if domain is None else canonical_domain(domain)
        for cookie in self:
            named = cookie.name == name and wanted in (None, cookie.effective_domain)
            if named and not cookie.is_expired(now):
                return cookie.value
        return default

    def clear(self, domain: str | None = None, name: str | None = None) -> None:
        """Remove all cookies, or those of exactly this domain, of this name, or of both."""
        wanted = None if domain is None else canonical_domain(domain)
        self._keep(
            lambda cookie: (
                (wanted is not None and cookie.effective_domain != wanted)
                or (name is not None and cookie.name != name)
            )
        )
        self._stored = len(self)

    def clear_expired(self) -> None:
        """Remove the expired cookies."""
        now = self._clock()
        self._keep(lambda cookie: not cookie.is_expired(now))

    def clear_session_cookies(self) -> None:
        """Remove the cookies without an expiry time, as a browser does when it exits."""
        self._keep(lambda cookie: cookie.expires_at is not None)

    def save(self, path: str | PathLike[str], *, format: str | None = None) -> None:
        """Write all cookies to a file of mode 0600. The file is replaced atomically.

        Blocks while writing.

        Args:
            path: the file.
            format: `"netscape"` (cookies.txt, as curl and browser extensions write it) or
                `"json"`; by default `"json"` if the name ends in `.json`.

        Raises:
            OSError: the file cannot be written.
        """
        from .files import write_cookies

        now = self._clock()
        write_cookies(path, [cookie for cookie in self if not cookie.is_expired(now)], format)

    def load(self, path: str | PathLike[str], *, format: str | None = None) -> None:
        """Add the cookies of a saved file, except expired ones. Blocks while reading.

        Args:
            path: the file.
            format: as in `save`.

        Raises:
            BadCookieFile: the file is malformed or too long. No cookie was added.
            OSError: the file cannot be read.
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
        """Return names and values for a host and path, as in asks. Prefer `header_for`."""
        from ..urls import parse_url

        url = parse_url(f"{netloc if '://' in netloc else 'http://' + netloc}{path or '/'}")
        return {cookie.name: cookie.value for cookie in reversed(self.cookies_for(url))}

    def __iter__(self) -> Iterator[Cookie]:
        """Iterate over all cookies in order of creation."""
        found = [cookie for bucket in self.domain_dict.values() for cookie in bucket]
        found.sort(key=lambda cookie: cookie.creation_index)
        return iter(found)

    def __len__(self) -> int:
        return sum(map(len, self.domain_dict.values()))

    def __bool__(self) -> bool:
        return bool(self.domain_dict)

    def __repr__(self) -> str:
        return f"<CookieTracker {len(self)} cookies of {len(self.domain_dict)} domains>"
