"""User and password from a netrc file, by host.

Facts:  the standard library reads the file, and refuses one of the user's own that others may read
        if it holds passwords. Its `hosts` has the last entry of each host only.
Rules:  nothing is read before the object is made; a host that the file does not name gets the
        `default` entry, or no header. Netrc comes last: an `Authorization` field and a password
        in the URL overrule it, and for a URL with a user only an entry of that user is taken.
        Secrets are in no repr and in no error.
Not here: which requests it is for: give it as `auth=` to a request or a session.
"""

from __future__ import annotations

import os
from copy import copy
from netrc import NetrcParseError, netrc
from typing import Any

from ..auth import BasicAuth, PreResponseAuth
from ..errors import InvalidRequest

__all__ = ["NetrcAuth"]


Entry = tuple[str, str, str]  # login, account, password


class _Hosts(dict[str, Entry]):
    """The `hosts` of the standard library, with every entry of each host in `all`."""

    def __init__(self) -> None:
        super().__init__()
        self.all: dict[str, list[Entry]] = {}

    def __setitem__(self, host: str, entry: Entry) -> None:
        super().__setitem__(host, entry)
        if entry:  # the library sets an empty one first
            self.all.setdefault(host.lower(), []).append(entry)


class _File(netrc):
    @property
    def hosts(self) -> _Hosts:
        return self._hosts

    @hosts.setter
    def hosts(self, empty: dict[str, Entry]) -> None:
        self._hosts = _Hosts()


class NetrcAuth(PreResponseAuth):
    """Basic auth with what a netrc file says of the host.

    `http://bob@host/` takes the entry of bob; without one, no password is sent. Of several entries
    for a URL without a user, the last counts.

    Args:
        path: default `$NETRC`, else `~/.netrc`.

    Raises:
        InvalidRequest: the file cannot be read or understood.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        chosen = os.fspath(path) if path is not None else os.environ.get("NETRC")
        self._userinfo: tuple[str, str] | None = None
        try:
            self._hosts = _File(chosen).hosts
        except (OSError, UnicodeDecodeError, NetrcParseError) as error:
            where = chosen or "~/.netrc"
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise InvalidRequest(f"netrc file {where!r}: {reason}") from None

    def for_user(self, userinfo: tuple[str, str]) -> NetrcAuth:
        """The same for a URL with a user: a password there counts, else that user's entry."""
        chosen = copy(self)
        chosen._userinfo = userinfo
        return chosen

    async def __call__(self, request: Any) -> dict[str, str]:
        return self.initial_headers(request)

    def initial_headers(self, request: Any) -> dict[str, str]:
        """The header for the host of a request, {} if the file does not name it."""
        from ..urls import parse_url

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
        user, _, password = found[-1]
        return BasicAuth((user, password or "")).initial_headers(request)

    def __repr__(self) -> str:
        return f"<NetrcAuth, {len(self._hosts)} hosts>"
