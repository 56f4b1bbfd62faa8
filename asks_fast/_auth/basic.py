"""Basic and Bearer authentication. Neither needs anything from the server.

No repr and no error text contains the password or the token.
"""

from __future__ import annotations

from ..errors import InvalidRequest
from .base import AuthRequest, PreResponseAuth

__all__ = ["BasicAuth", "BearerAuth", "Credentials", "encode_credentials"]


class Credentials:
    """User and password that can be assigned; the next request uses the new ones.

    Invalid ones raise `InvalidRequest` at the assignment, and the old ones stay.
    """

    def __init__(self, auth_info: tuple[str, str], encoding: str) -> None:
        self._use_credentials(auth_info, encoding)
        self._auth_info = auth_info
        self._encoding = encoding

    def _use_credentials(self, auth_info: tuple[str, str], encoding: str) -> None:
        """Check new credentials, and replace what was derived from the old ones."""
        raise NotImplementedError

    @property
    def auth_info(self) -> tuple[str, str]:
        """User and password; can be assigned at any time."""
        return self._auth_info

    @auth_info.setter
    def auth_info(self, auth_info: tuple[str, str]) -> None:
        self._use_credentials(auth_info, self._encoding)
        self._auth_info = auth_info

    @property
    def encoding(self) -> str:
        """The text encoding of user and password; can be assigned at any time."""
        return self._encoding

    @encoding.setter
    def encoding(self, encoding: str) -> None:
        self._use_credentials(self._auth_info, encoding)
        self._encoding = encoding


class BasicAuth(Credentials, PreResponseAuth):
    """Basic authentication (RFC 7617).

    Args:
        auth_info: user and password.
        encoding: text encoding of both.
        proxy: authenticate to a proxy instead of the server.

    Raises:
        InvalidRequest: the user contains a colon, or one of the two a control character.

    Example:
        >>> await asks.get("https://example.com", auth=BasicAuth(("user", "password")))
    """

    def __init__(
        self, auth_info: tuple[str, str], encoding: str = "utf-8", *, proxy: bool = False
    ) -> None:
        super().__init__(auth_info, encoding)
        self._field = "Proxy-Authorization" if proxy else "Authorization"

    def _use_credentials(self, auth_info: tuple[str, str], encoding: str) -> None:
        user, _ = encode_credentials(auth_info, encoding)
        if b":" in user:
            raise InvalidRequest("the user name of Basic auth cannot contain a colon (RFC 7617 §2)")

    async def __call__(self, request: AuthRequest | None = None) -> dict[str, str]:
        return self.initial_headers(request)

    def initial_headers(self, request: AuthRequest | None = None) -> dict[str, str]:
        """Return the header, which is the same for each request."""
        from binascii import b2a_base64

        pair = b":".join(encode_credentials(self.auth_info, self.encoding))
        return {self._field: "Basic " + b2a_base64(pair, newline=False).decode("ascii")}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._field}>"


class BearerAuth(PreResponseAuth):
    """Authentication by a bearer token (RFC 6750).

    Args:
        token: printable ASCII without spaces.
        proxy: authenticate to a proxy instead of the server.

    Raises:
        InvalidRequest: the token is empty or contains other characters.

    Example:
        >>> await asks.get("https://example.com", auth=BearerAuth("token"))
    """

    def __init__(self, token: str, *, proxy: bool = False) -> None:
        self.token = token
        self._field = "Proxy-Authorization" if proxy else "Authorization"

    @property
    def token(self) -> str:
        """The token; can be assigned at any time, and the next request uses the new one."""
        return self._token

    @token.setter
    def token(self, token: str) -> None:
        if not isinstance(token, str):
            raise InvalidRequest(f"a bearer token must be a str, not {type(token).__name__}")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise InvalidRequest(
                "a bearer token must be printable ASCII without spaces (RFC 6750 §2.1)"
            )
        self._token = token

    async def __call__(self, request: AuthRequest | None = None) -> dict[str, str]:
        return self.initial_headers(request)

    def initial_headers(self, request: AuthRequest | None = None) -> dict[str, str]:
        """Return the header, which is the same for each request."""
        return {self._field: f"Bearer {self._token}"}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._field}>"


def encode_credentials(auth_info: tuple[str, str], encoding: str) -> tuple[bytes, bytes]:
    """Return user and password as bytes.

    Raises:
        InvalidRequest: not a pair, not encodable, or with control characters. The text contains
            neither of them.
    """
    try:
        if isinstance(auth_info, str | bytes):
            raise TypeError
        user, password = auth_info
    except (TypeError, ValueError):
        raise InvalidRequest("auth must be a pair (user, password)") from None
    return _encode(user, encoding, "user"), _encode(password, encoding, "password")


def _encode(text: str | bytes, encoding: str, name: str) -> bytes:
    if not isinstance(text, str | bytes):
        raise InvalidRequest(f"the {name} must be a str, not {type(text).__name__}")
    try:
        data = text.encode(encoding) if isinstance(text, str) else text
    except (UnicodeEncodeError, LookupError):
        raise InvalidRequest(f"the {name} cannot be encoded as {encoding!r}") from None
    if any(byte < 32 or byte == 127 for byte in data):
        raise InvalidRequest(f"the {name} contains control characters (RFC 7617 §2)")
    return data
