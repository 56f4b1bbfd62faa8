"""Basic authentication with credentials from a netrc file.

Facts:  The standard library parses the file. It rejects a file with passwords that belongs to the
        user and is readable by others. Its `hosts` has only the last entry of each host.
Invariants:
        The file is read once, when the object is created. A host without an entry gets the
        `default` entry, or no header. An `Authorization` header and a password in the URL take
        precedence; for a URL with a user only an entry of that user is used. No repr and no error
        contains a password.

Implemented elsewhere: a program chooses the requests, by `auth=` of a request or a session.
"""

from __future__ import annotations

import os
from copy import copy
from netrc import NetrcParseError, netrc

from ..errors import InvalidRequest
from ..urls import parse_url
from .base import AuthRequest, PreResponseAuth
from .basic import BasicAuth

__all__ = ["NetrcAuth"]

Entry = tuple[str, str, str]  # login, account, password


class _Hosts(dict[str, Entry]):
    """The `hosts` of the standard library; `all` also has every entry of each host."""

    def __init__(self) -> None:
        super().__init__()
        self.all: dict[str, list[Entry]] = {}

    def __setitem__(self, host: str, entry: Entry) -> None:
        super().__setitem__(host, entry)
        if entry:  # the library stores an empty entry first
            self.all.setdefault(host.lower(), []).append(entry)


class _File(netrc):
    """The parser of the standard library. It fills the `hosts` that it assigns first."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, _Hosts() if name == "hosts" else value)


class NetrcAuth(PreResponseAuth):
    """Basic authentication with the entry of a netrc file for the host.

    For `http://bob@host/` the entry of bob is used; without one, no password is sent. If several
    entries match a URL without a user, the last one is used.

    Args:
        path: the file; by default `$NETRC`, or `~/.netrc` if that is not set.

    Raises:
        InvalidRequest: the file cannot be read or parsed.

    Example:
        >>> await asks.get("https://example.com", auth=NetrcAuth())
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        chosen = os.fspath(path) if path is not None else os.environ.get("NETRC")
        self._userinfo: tuple[str, str] | None = None
        try:
            hosts = _File(chosen).hosts
        except (OSError, UnicodeDecodeError, NetrcParseError) as error:
            where = chosen or "~/.netrc"
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise InvalidRequest(f"netrc file {where!r}: {reason}") from None
        assert isinstance(hosts, _Hosts)
        self._hosts = hosts

    def for_user(self, userinfo: tuple[str, str]) -> NetrcAuth:
        """Return a copy for a URL with a user: it uses the URL's password, or that user's entry."""
        chosen = copy(self)
        chosen._userinfo = userinfo
        return chosen

    async def __call__(self, request: AuthRequest) -> dict[str, str]:
        return self.initial_headers(request)

    def initial_headers(self, request: AuthRequest) -> dict[str, str]:
        """Return the header for the host of a request, {} if the file has no entry for it."""
        if any(name.lower() == "authorization" for name in request.headers):
            return {}
        if self._userinfo is not None and self._userinfo[1]:
            return BasicAuth(self._userinfo).initial_headers(request)
        entries = self._hosts.all
        found = [*entries.get("default", ()), *entries.get(parse_url(request.url).host, ())]
        if self._userinfo is not None:
            user = self._userinfo[0]
            found = [(user, "", ""), *(entry for entry in found if entry[0] == user)]
        if not found:
            return {}
        user, _account, password = found[-1]
        return BasicAuth((user, password or "")).initial_headers(request)

    def __repr__(self) -> str:
        return f"<NetrcAuth, {len(self._hosts)} hosts>"
