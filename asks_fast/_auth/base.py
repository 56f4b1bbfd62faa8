"""Abstract base classes of authentication, and what their methods receive.

`PreResponseAuth` adds headers to every request. `PostResponseAuth` answers a 401. Programs derive
classes of their own from both.

Implemented elsewhere: the schemes (`_auth/basic`, `_auth/digest_auth`, `_auth/netrc`); when the
methods are called, and which redirects keep the credentials (`_client/request_flow`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from typing import Protocol

from .._annotations import AnyArgument

__all__ = [
    "AuthBase",
    "AuthHeaders",
    "AuthRequest",
    "AuthResponse",
    "PostResponseAuth",
    "PreResponseAuth",
]

AuthHeaders = Mapping[str, "str | bytes"]
"""Headers to add to a request, by name."""


class BodyPass(Protocol):
    """One pass over a request body."""

    def __aiter__(self) -> AsyncIterator[bytes | bytearray | memoryview]: ...

    async def close(self) -> None: ...


class BodySource(Protocol):
    """A request body that is not in memory."""

    @property
    def is_replayable(self) -> bool: ...

    def chunks(self) -> BodyPass: ...


class AuthRequest(Protocol):
    """The request that an auth class adds headers to. All attributes are read-only.

    `path` is the request target: path and query. `host` is the value of the Host field. `body` is
    None without a body, and for a body that is not in memory; `body_source` gives the latter.
    """

    @property
    def method(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def scheme(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def headers(self) -> AuthHeaders: ...

    @property
    def body(self) -> bytes | None: ...

    @property
    def body_source(self) -> BodySource | None: ...


class AuthResponseHeaders(Protocol):
    """The headers of a response: a mapping with case-insensitive names."""

    def __getitem__(self, name: str, /) -> str: ...

    def __contains__(self, name: object, /) -> bool: ...

    def get(self, name: str, /) -> str | None: ...

    def items(self) -> Iterable[tuple[str, str]]: ...


class AuthResponse(Protocol):
    """The response that an auth class reads: a `Response` at run time."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> AuthResponseHeaders: ...


class AuthBase(ABC):
    """Base class of all auth classes."""

    @abstractmethod
    def __call__(self, *args: AnyArgument, **kwargs: AnyArgument) -> Awaitable[AuthHeaders | None]:
        """Return the headers to add to the request."""

    def for_user(self, userinfo: tuple[str, str]) -> AuthBase:
        """Return the auth to use for a URL that contains a user and a password.

        By default `auth=` takes precedence over the URL, so this returns the object itself.

        Args:
            userinfo: user and password of the URL, decoded.
        """
        return self


class PreResponseAuth(AuthBase):
    """Authentication that needs nothing from the server.

    Example:
        >>> class ApiKey(PreResponseAuth):
        ...     async def __call__(self, request):
        ...         return {"X-Api-Key": "123"}
    """

    @abstractmethod
    def __call__(self, request: AuthRequest) -> Awaitable[AuthHeaders | None]:
        """Return the headers to add; called before each request, redirects included."""


class PostResponseAuth(AuthBase):
    """Authentication that answers a 401 response.

    Example:
        >>> class Login(PostResponseAuth):
        ...     async def __call__(self, response, request):
        ...         return {"Authorization": "Token 123"}
    """

    auth_attempted = False

    requires_body = True
    """Whether `__call__` reads the body of the 401. If False, the body may be missing."""

    def __init__(self) -> None:
        self.auth_attempted = False

    @abstractmethod
    def __call__(
        self, response: AuthResponse, request: AuthRequest
    ) -> Awaitable[AuthHeaders | None]:
        """Return the headers with which the request is sent once more.

        Args:
            response: the 401.
            request: the request that the server rejected.

        Returns:
            The headers. If there are none, the caller of the request receives the 401.
        """

    def initial_headers(self, request: AuthRequest) -> AuthHeaders:
        """Return the headers that can be sent before the server asks; none by default."""
        return {}

    def on_response(self, response: AuthResponse, request: AuthRequest) -> None:
        """Inspect a response other than a 401, for example for the next nonce; called for each."""
