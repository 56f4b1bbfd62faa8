"""The arithmetic of Digest: from a challenge and a secret to the answer (RFC 7616 §3.4).

Facts:  H(user:realm:password) is all that is kept of the password, per algorithm and realm. The
        same nonce may be answered many times while the count next to it rises. `-sess` binds the
        key to the first nonce and to our own, so ours must stay the same with it.
Rules:  bytes in, hex out; texts here have one character per byte, so that what the server quoted
        is hashed and quoted back as the bytes that it sent. A count is used once, whatever
        becomes of the request.
Not here: which server, which request, whether to try again (`auth`).
"""

from __future__ import annotations

import os
from itertools import count
from typing import Any
from urllib.parse import quote

from .challenges import Challenge, quoted

__all__ = ["ProtectionSpace", "known_charset", "select_challenge"]

_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}  # weakest first


def select_challenge(challenges: list[Challenge]) -> Challenge | None:
    """The Digest challenge with the best algorithm that we can answer, the first of equals."""
    best, best_rank = None, -1
    for challenge in challenges:
        rank = _rank(challenge)
        if rank > best_rank:
            best, best_rank = challenge, rank
    return best


def known_charset(challenge: Challenge) -> str | None:
    """The encoding that the server wants user and password hashed in, if it says."""
    return "utf-8" if challenge.params.get("charset", "").lower() == "utf-8" else None


def _rank(challenge: Challenge) -> int:
    """The strength of the challenge's algorithm, -1 if we cannot or should not answer."""
    params = challenge.params
    if challenge.scheme != "digest" or "nonce" not in params or "realm" not in params:
        return -1
    if any(c < " " or c == "\x7f" for value in params.values() for c in value):
        return -1  # it could not be quoted back
    if params.get("qop") and _qop(params) is None:
        return -1
    name, _ = _algorithm(params)
    if name not in _HASHES:
        return -1
    from hashlib import algorithms_available

    return list(_HASHES).index(name) if _HASHES[name] in algorithms_available else -1


def _algorithm(params: dict[str, str]) -> tuple[str, bool]:
    """The name of the hash, and whether the key is bound to a session."""
    name = params.get("algorithm", "MD5").upper()
    return name.removesuffix("-SESS"), name.endswith("-SESS")


def _qop(params: dict[str, str]) -> str | None:
    """The protection to use: `auth` if offered, as the body need not be hashed for it."""
    offered = {word.strip().lower() for word in params.get("qop", "").split(",")}
    return next((word for word in ("auth", "auth-int") if word in offered), None)


def _octets(text: str) -> bytes:
    return text.encode("latin-1")


class ProtectionSpace:
    """What is known of one realm of one server: the challenge, the key, the running count."""

    __slots__ = (
        "_cnonce",
        "_counts",
        "_domain",
        "_fixed",
        "_hash_name",
        "_key",
        "challenge",
        "qop",
    )

    def __init__(
        self,
        challenge: Challenge,
        pair: tuple[bytes, bytes],
        origin: str,
        before: ProtectionSpace | None = None,
        cnonce: str | None = None,
    ) -> None:
        params = challenge.params
        name, is_session = _algorithm(params)
        self.challenge = challenge
        self.qop = _qop(params)
        self._hash_name = _HASHES[name]
        self._cnonce = cnonce or os.urandom(16).hex()
        same_nonce = before is not None and before.challenge.params["nonce"] == params["nonce"]
        self._counts: count[int] = before._counts if before and same_nonce else count(1)
        self._domain = _domain(params.get("domain", ""), origin)
        user, password = pair
        realm = _octets(params["realm"])
        key = self.hash(b":".join((user, realm, password)))
        if is_session:
            key = self.hash(f"{key}:".encode() + _octets(f"{params['nonce']}:{self._cnonce}"))
        self._key = key
        self._fixed = self._fixed_fields(user, realm)

    def __repr__(self) -> str:
        return f"<ProtectionSpace {self.challenge.params['realm']!r} by {self._hash_name}>"

    def new_hash(self) -> Any:
        """A hash object of the algorithm."""
        import hashlib

        return hashlib.new(self._hash_name, usedforsecurity=False)

    def hash(self, data: bytes) -> str:
        """H(data) in hex."""
        running = self.new_hash()
        running.update(data)
        return str(running.hexdigest())

    def match_length(self, target: str) -> int:
        """How closely the domain names the target: length of the prefix, -1 for not at all."""
        if not self._domain:
            return 0
        return max((len(p) for p in self._domain if _is_within(target, p)), default=-1)

    def build_response(self, method: str, target: str, body_hash: str) -> tuple[str, str]:
        """The `response` for this request and the whole header value; takes one count."""
        params = self.challenge.params
        nonce = params["nonce"]
        what = f"{method}:{target}"
        if self.qop == "auth-int":
            what += f":{body_hash}"
        second = self.hash(_octets(what))
        fields = self._fixed + f", uri={quoted(target)}"
        if self.qop is None:
            build_response = self.hash(_octets(f"{self._key}:{nonce}:{second}"))
            if _algorithm(params)[1]:
                fields += f", cnonce={quoted(self._cnonce)}"  # the key cannot be made without it
        else:
            nc = f"{next(self._counts):08x}"
            build_response = self.hash(
                _octets(f"{self._key}:{nonce}:{nc}:{self._cnonce}:{self.qop}:{second}")
            )
            fields += f", qop={self.qop}, nc={nc}, cnonce={quoted(self._cnonce)}"
        return build_response, f'Digest {fields}, response="{build_response}"'

    def _fixed_fields(self, user: bytes, realm: bytes) -> str:
        params = self.challenge.params
        hides_user = params.get("userhash", "").lower() == "true"
        if hides_user:
            user = self.hash(user + b":" + realm).encode()
        if not user.isascii() and known_charset(self.challenge):
            fields = f"username*=UTF-8''{quote(user, safe='')}"
        else:
            fields = f"username={quoted(user.decode('latin-1'))}"
        for name in ("realm", "nonce", "opaque"):
            if name in params:
                fields += f", {name}={quoted(params[name])}"
        if "algorithm" in params:
            fields += f", algorithm={params['algorithm']}"
        return fields + (", userhash=true" if hides_user else "")


def _domain(domain: str, origin: str) -> tuple[str, ...]:
    """The paths on this server that the challenge names; other servers are none of its business."""
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
