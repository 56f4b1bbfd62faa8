"""User and password from a netrc file, by host.

Facts:  the standard library reads the file, and refuses one of the user's own that others may read
        if it holds passwords.
Rules:  nothing is read before the object is made; a host that the file does not name gets no
        header. Secrets are in no repr and in no error.
Not here: which requests it is for: give it as `auth=` to a request or a session.
"""

from __future__ import annotations

import os
from typing import Any

from .auth import BasicAuth, PreResponseAuth
from .errors import InvalidRequest

__all__ = ["NetrcAuth"]


class NetrcAuth(PreResponseAuth):
    """Basic auth with what a netrc file says of the host.

    `path`: default `$NETRC`, else `~/.netrc`. Raises `InvalidRequest` for a file that cannot be
    read or understood.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        from netrc import NetrcParseError, netrc

        chosen = os.fspath(path) if path is not None else os.environ.get("NETRC")
        try:
            self._entries = netrc(chosen)
        except (OSError, UnicodeDecodeError, NetrcParseError) as error:
            where = chosen or "~/.netrc"
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise InvalidRequest(f"netrc file {where!r}: {reason}") from None

    async def __call__(self, request: Any) -> dict[str, str]:
        return self.preempt(request)

    def preempt(self, request: Any) -> dict[str, str]:
        """The header for the host of a request, {} if the file does not name it."""
        from .urls import parse_url

        host = parse_url(request.url).host
        found = self._entries.authenticators(host)
        if found is None:
            return {}
        user, _, password = found
        return BasicAuth((user, password or "")).preempt(request)

    def __repr__(self) -> str:
        return f"<NetrcAuth, {len(self._entries.hosts)} hosts>"
