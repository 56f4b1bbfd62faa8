"""Authenticate at proxies: Basic with the first request, Digest after a challenge.

Digest credentials differ for each request and depend on the last challenge of the proxy. The state
belongs to one `Proxy` value, which includes the password, so no other proxy and no origin receives
anything that is derived from it. With `digest=True`, or after a challenge that offers Digest, Basic
is not sent to that proxy any more.

Digest itself is implemented in `auth`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .proxies import Proxy

if TYPE_CHECKING:
    Pairs = Iterable[tuple[str, str]]

__all__ = ["ProxyAuthenticator"]

_FIELD_NAME = "Proxy-Authorization"
_MAX_PENDING = 1024


@dataclass
class _Request:
    """A request to a proxy, with the attributes that `DigestAuth` reads."""

    method: str
    path: str
    headers: dict[str, str]
    host: str
    scheme: str
    url: str
    body: bytes | None = b""
    body_source: None = None


@dataclass
class _Challenge:
    """The 407 response of a proxy, with the attributes that `DigestAuth` reads."""

    headers: Any
    status_code: int = 407


class ProxyAuthenticator:
    """The authentication state of one session for all its proxies."""

    def __init__(self) -> None:
        self._digests: dict[Proxy, Any] = {}
        # Credentials for the request that was challenged. They are not replaced by newer ones:
        # the response to them tells `DigestAuth` whether the password is right.
        self._pending: dict[tuple[Proxy, str, str], Mapping[str, Any]] = {}

    def __repr__(self) -> str:
        return f"<ProxyAuthenticator {len(self._digests)} by Digest>"

    def headers(self, proxy: Proxy, method: str, target: str) -> tuple[tuple[str, str], ...]:
        """Return the header fields for the proxy, with credentials as far as they are known."""
        digest = self._digests.get(proxy)
        if digest is None:
            return proxy.headers_to_send()
        credentials = self._pending.pop((proxy, method, target), None)
        if credentials is None:
            credentials = digest.initial_headers(_request(proxy, method, target))
        return (*proxy.headers, *credentials.items())

    async def handle_challenge(
        self, proxy: Proxy, method: str, target: str, sent: Pairs, answer: Pairs
    ) -> bool:
        """Process a 407 response.

        Args:
            proxy: the proxy that sent it.
            method: the method of the request.
            target: its request target.
            sent: what `headers` returned for the request.
            answer: the header fields of the 407 response.

        Returns:
            True if `headers` now returns better credentials for this request.
        """
        if proxy.username is None:
            return False
        from multidict import CIMultiDict

        fields = CIMultiDict(answer)
        offers = fields.getall("proxy-authenticate", [])
        if not any(offer.strip().lower().startswith("digest") for offer in offers):
            return False
        digest = self._digests.get(proxy)
        if digest is None:
            from ..auth import DigestAuth

            digest = DigestAuth((proxy.username, proxy.password or ""), proxy=True)
            self._digests[proxy] = digest
        request = _request(proxy, method, target)
        request.headers.update(pair for pair in sent if pair[0] == _FIELD_NAME)
        credentials = await digest(_Challenge(fields), request)
        if credentials:
            if len(self._pending) >= _MAX_PENDING:
                self._pending.clear()
            self._pending[proxy, method, target] = credentials
        return bool(credentials)


def _request(proxy: Proxy, method: str, target: str) -> _Request:
    return _Request(method, target, {}, proxy.host, proxy.scheme, proxy.url)
