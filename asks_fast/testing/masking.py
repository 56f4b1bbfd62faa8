"""What must not be written into a recording, and how it is masked.

Rules:  names decide (fields, query and form pairs, members of JSON at any depth), and literal
        strings, as they are and percent-encoded. A cookie keeps its name and attributes, for a
        replayed session needs them; its value goes. When in doubt, more is masked.
Not here: files, requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

__all__ = ["MASK", "SECRET_NAMES", "Mask"]

MASK = "***"

SECRET_NAMES = frozenset(
    [
        "access_key", "access_token", "api_key", "apikey", "auth", "auth_token", "authorization",
        "client_secret", "code", "cookie", "csrf_token", "id_token", "jwt", "key", "pass",
        "passwd", "password", "private_key", "proxy_authorization", "pwd", "refresh_token",
        "secret", "session", "session_id", "sessionid", "sid", "sig", "signature", "token",
        "x_amz_security_token", "x_amz_signature", "x_api_key", "x_auth_token", "x_csrf_token",
    ]
)  # fmt: skip
"""Names, `-` written as `_`, whose values are masked."""

_CREDENTIAL_FIELDS = frozenset(
    ["www-authenticate", "proxy-authenticate", "authentication-info", "proxy-authentication-info"]
)


class Mask:
    """Masks what is secret. `secrets` are literal strings, `names` further secret names."""

    def __init__(self, secrets: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        if isinstance(secrets, str) or isinstance(names, str):
            raise TypeError("secrets and secret_names are lists of strings")
        self._names = SECRET_NAMES | {_plain(name) for name in names}
        literal = {
            form for one in secrets if one for form in (one, quote(one, ""), quote_plus(one))
        }
        self._literal = sorted(literal, key=len, reverse=True)  # the longest first

    def is_secret(self, name: str) -> bool:
        """Whether the value of that name is to be masked."""
        return _plain(name) in self._names

    def text(self, text: str) -> str:
        """The literal secrets taken out."""
        for secret in self._literal:
            text = text.replace(secret, MASK)
        return text

    def url(self, url: str) -> str:
        """A URL without userinfo, secret pairs of the query and the fragment masked."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        masked = parts._replace(
            netloc=host, query=self._pairs(parts.query), fragment=self._pairs(parts.fragment)
        )
        return self.text(masked.geturl())

    def fields(self, pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
        """Header fields, their order kept."""
        return [[name, self._field(name, value)] for name, value in pairs]

    def body(self, data: bytes, content_type: str | None) -> bytes:
        """A body: members of JSON, pairs of a form, literal secrets of any text."""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            for secret in self._literal:
                data = data.replace(secret.encode(), MASK.encode())
            return data
        kind = (content_type or "").partition(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            text = self._pairs(text)
        elif kind.endswith("json") or text[:1] in ("{", "["):
            text = self._json(text)
        return self.text(text).encode()

    # -- inside

    def _field(self, name: str, value: str) -> str:
        lower = name.lower()
        if lower == "set-cookie":
            pair, semicolon, attributes = value.partition(";")
            cookie, equals, _ = pair.partition("=")
            value = f"{cookie}{equals}{MASK if equals else ''}{semicolon}{attributes}"
        elif lower in ("location", "content-location", "referer", "refresh", "link"):
            value = self.url(value) if lower != "link" else self.text(value)
        elif lower not in _CREDENTIAL_FIELDS and self.is_secret(name):
            value = MASK
        return self.text(value)

    def _pairs(self, text: str) -> str:
        """`a=1&token=x` as `a=1&token=***`; what is no secret stays as it was written."""
        pieces = []
        for piece in text.split("&"):
            name, equals, _ = piece.partition("=")
            is_secret = equals and self.is_secret(unquote_plus(name))
            pieces.append(f"{name}={MASK}" if is_secret else piece)
        return "&".join(pieces)

    def _json(self, text: str) -> str:
        try:
            value = json.loads(text)
        except ValueError:
            return text
        masked = self._member(value)
        return text if masked == value else json.dumps(masked, ensure_ascii=False)

    def _member(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: MASK
                if self.is_secret(name) and isinstance(inner, (str, int, float))
                else self._member(inner)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._member(inner) for inner in value]
        return value


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")
