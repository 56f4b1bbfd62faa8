"""Logging in at a proxy: Basic at once, Digest when it asks.

Facts:  Digest credentials differ for each request and build on what the proxy last said.
Rules:  what one proxy said, and the password for it, is told to no other and never to an origin:
        one Digest state per `Proxy` value, which includes the password. `digest=True`, or a
        challenge that offers Digest, ends the sending of Basic to that proxy.
Not here: Digest itself (`auth`), sending.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .proxies import Proxy

if TYPE_CHECKING:
    Pairs = Iterable[tuple[str, str]]

__all__ = ["ProxyAuthenticator"]

_FIELD = "Proxy-Authorization"
_MOST_READY = 1024


@dataclass
class _Request:
    """A request to a proxy, as `DigestAuth` wants to see it."""

    method: str
    path: str
    headers: dict[str, str]
    host: str
    scheme: str
    url: str
    body: bytes | None = b""
    body_source: None = None


@dataclass
class _Answer:
    """A proxy's 407, as `DigestAuth` wants to see it."""

    headers: Any
    status_code: int = 407


class ProxyAuthenticator:
    """What one session knows of the proxies that it logged in at."""

    def __init__(self) -> None:
        self._digests: dict[Proxy, Any] = {}
        # Answers to challenges, each for the request that was challenged: how it fares tells
        # `DigestAuth` whether the password is right.
        self._pending: dict[tuple[Proxy, str, str], Mapping[str, Any]] = {}

    def __repr__(self) -> str:
        return f"<ProxyLogins {len(self._digests)} by Digest>"

    def headers(self, proxy: Proxy, method: str, target: str) -> tuple[tuple[str, str], ...]:
        """The proxy's own fields for a request, credentials included if they can be known yet."""
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
        """Take in a 407: `answer` are its fields, `sent` those that `headers` gave for the request.

        Returns whether `headers` now has something better to say.
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
        request.headers.update(pair for pair in sent if pair[0] == _FIELD)
        credentials = await digest(_Answer(fields), request)
        if credentials:
            if len(self._pending) >= _MOST_READY:
                self._pending.clear()
            self._pending[proxy, method, target] = credentials
        return bool(credentials)


def _request(proxy: Proxy, method: str, target: str) -> _Request:
    return _Request(method, target, {}, proxy.host, proxy.scheme, proxy.url)
