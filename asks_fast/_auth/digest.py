"""Compute Digest responses from a challenge and credentials (RFC 7616 §3.4).

Facts:  Of the password only H(user:realm:password) is stored, per algorithm and realm. A nonce may
        be used many times while its count rises. `-sess` derives the key from the first nonce and
        the client nonce, so the client nonce stays the same as long as the key.
Invariants:
        Input is bytes, output is hexadecimal text. Texts have one character per byte, so that a
        value of the server is hashed and quoted back as the bytes that it sent. Each nonce count
        is used once, even if the request fails.

Implemented elsewhere: which server, which request, whether to retry (`_auth/digest_auth`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Protocol
from urllib.parse import quote

from .._header_syntax import quote_string
from .challenges import Challenge

__all__ = ["ProtectionSpace", "get_charset", "select_challenge"]

_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}  # weakest first


class Hash(Protocol):
    """A hash object of `hashlib`."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


def select_challenge(challenges: list[Challenge]) -> Challenge | None:
    """Return the supported Digest challenge with the strongest algorithm, the first of equals."""
    best, best_rank = None, -1
    for challenge in challenges:
        rank = _rank(challenge)
        if rank > best_rank:
            best, best_rank = challenge, rank
    return best


def get_charset(challenge: Challenge) -> str | None:
    """Return the encoding in which the server requires user and password to be hashed, or None."""
    return "utf-8" if challenge.params.get("charset", "").lower() == "utf-8" else None


def _rank(challenge: Challenge) -> int:
    """Return the strength of the challenge's algorithm, or -1 if it cannot be answered."""
    params = challenge.params
    if challenge.scheme != "digest" or "nonce" not in params or "realm" not in params:
        return -1
    if any(c < " " or c == "\x7f" for value in params.values() for c in value):
        return -1  # the value could not be sent back
    if params.get("qop") and _qop(params) is None:
        return -1
    name, _ = _algorithm(params)
    if name not in _HASHES:
        return -1
    from hashlib import algorithms_available

    return list(_HASHES).index(name) if _HASHES[name] in algorithms_available else -1


def _algorithm(params: dict[str, str]) -> tuple[str, bool]:
    """Return the name of the hash, and whether it is a `-sess` algorithm."""
    name = params.get("algorithm", "MD5").upper()
    return name.removesuffix("-SESS"), name.endswith("-SESS")


def _qop(params: dict[str, str]) -> str | None:
    """Return the quality of protection: `auth` if offered, since it needs no hash of the body."""
    offered = {word.strip().lower() for word in params.get("qop", "").split(",")}
    return next((word for word in ("auth", "auth-int") if word in offered), None)


def _hasher(name: str) -> Callable[..., Hash]:
    """Return the function that makes a hash object of this algorithm."""
    import hashlib

    return getattr(hashlib, name, None) or partial(hashlib.new, name)


def _octets(text: str) -> bytes:
    return text.encode("latin-1")


class ProtectionSpace:
    """One realm of one server: its challenge, the key, the nonce count (RFC 9110 §11.5)."""

    __slots__ = (
        "_cnonce",
        "_counts",
        "_domain",
        "_field_parts",
        "_hash_name",
        "_hash_parts",
        "_hasher",
        "_key",
        "challenge",
        "qop",
    )

    def __init__(
        self,
        challenge: Challenge,
        credentials: tuple[bytes, bytes],
        origin: str,
        previous: ProtectionSpace | None = None,
        cnonce: str | None = None,
    ) -> None:
        params = challenge.params
        name, is_session = _algorithm(params)
        self.challenge = challenge
        self.qop = _qop(params)
        self._hash_name = _HASHES[name]
        self._hasher = _hasher(self._hash_name)
        self._cnonce = cnonce or os.urandom(16).hex()
        same_nonce = previous is not None and previous.challenge.params["nonce"] == params["nonce"]
        self._counts: count[int] = previous._counts if previous and same_nonce else count(1)
        self._domain = _domain(params.get("domain", ""), origin)
        user, password = credentials
        realm = _octets(params["realm"])
        key = self.hash(b":".join((user, realm, password)))
        if is_session:
            key = self.hash(f"{key}:".encode() + _octets(f"{params['nonce']}:{self._cnonce}"))
        self._key = key
        self._make_parts(self._fixed_fields(user, realm), is_session)

    def __repr__(self) -> str:
        return f"<ProtectionSpace {self.challenge.params['realm']!r} by {self._hash_name}>"

    def new_hash(self) -> Hash:
        """Return a new hash object of the challenge's algorithm."""
        return self._hasher(usedforsecurity=False)

    def hash(self, data: bytes) -> str:
        """Return H(data) in hexadecimal."""
        return self._hasher(data, usedforsecurity=False).hexdigest()

    def match_length(self, target: str) -> int:
        """Return the length of the longest domain prefix of the target, -1 if none matches."""
        if not self._domain:
            return 0
        return max((len(p) for p in self._domain if _is_within(target, p)), default=-1)

    def build_response(self, method: str, target: str, body_hash: str) -> tuple[str, str]:
        """Return the `response` value and the whole header value; uses up one nonce count."""
        a2 = f"{method}:{target}"
        if self.qop == "auth-int":
            a2 += f":{body_hash}"
        h_a2 = self.hash(_octets(a2))
        before_count, after_count = self._hash_parts
        before_fields, after_fields = self._field_parts
        count = "" if self.qop is None else f"{next(self._counts):08x}"
        response = self.hash(_octets(f"{before_count}{count}{after_count}{h_a2}"))
        return response, (
            f"{before_fields}{quote_string(target)}{after_fields[0]}{count}{after_fields[1]}"
            f'response="{response}"'
        )

    def _make_parts(self, fixed: str, is_session: bool) -> None:
        """Store the parts of a header and of what is hashed that do not differ by request."""
        hashed = f"{self._key}:{self.challenge.params['nonce']}:"
        cnonce = f"cnonce={quote_string(self._cnonce)}, "
        start = f"Digest {fixed}, uri="
        if self.qop is None:  # with a session key the server needs the client nonce, too
            self._hash_parts = hashed, ""
            self._field_parts = start, (", ", cnonce if is_session else "")
        else:
            self._hash_parts = hashed, f":{self._cnonce}:{self.qop}:"
            self._field_parts = start, (f", qop={self.qop}, nc=", f", {cnonce}")

    def _fixed_fields(self, user: bytes, realm: bytes) -> str:
        params = self.challenge.params
        hides_user = params.get("userhash", "").lower() == "true"
        if hides_user:
            user = self.hash(user + b":" + realm).encode()
        if not user.isascii() and get_charset(self.challenge):
            fields = f"username*=UTF-8''{quote(user, safe='')}"
        else:
            fields = f"username={quote_string(user.decode('latin-1'))}"
        for name in ("realm", "nonce", "opaque"):
            if name in params:
                fields += f", {name}={quote_string(params[name])}"
        if "algorithm" in params:
            fields += f", algorithm={params['algorithm']}"
        return fields + (", userhash=true" if hides_user else "")


def _domain(domain: str, origin: str) -> tuple[str, ...]:
    """Return the paths on this server that the challenge names; other servers are ignored."""
    paths = []
    for reference in domain.split():
        if reference.startswith("/") and not reference.startswith("//"):
            paths.append(reference)
        elif f"{reference.lower()}/".startswith(f"{origin}/"):
            paths.append(reference[len(origin) :] or "/")
    return tuple(paths) if paths or not domain.strip() else ("",)


def _is_within(target: str, prefix: str) -> bool:
    if not prefix or not target.startswith(prefix):
        return False
    return prefix.endswith("/") or target[len(prefix) : len(prefix) + 1] in ("", "/", "?")
