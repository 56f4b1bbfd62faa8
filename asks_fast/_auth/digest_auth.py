"""Digest authentication: which challenge is answered, and which nonce a request uses.

Facts:  Digest (RFC 7616) answers a challenge. The nonce of that challenge serves further requests
        to the same server as long as the nonce count rises. All tasks that share a session share
        its nonces.
Invariants:
        State is stored per origin and realm and is never used for another origin. A nonce count is
        taken and used without an await in between, so no two requests have the same. Of several
        challenges the strongest supported one is answered. No repr and no error contains a secret.

Implemented elsewhere: the computation of a response (`_auth/digest`), parsing of challenges
(`_auth/challenges`), how often a request is retried (`_client/request_flow`).
"""

from __future__ import annotations

from typing import TypeVar

from ..errors import UnreplayableBody
from ..urls import parse_url
from .base import (
    AuthHeaders,
    AuthRequest,
    AuthResponse,
    AuthResponseHeaders,
    PostResponseAuth,
)
from .basic import Credentials, encode_credentials
from .challenges import Challenge, parse_challenges, parse_parameter_list
from .digest import ProtectionSpace, get_charset, select_challenge

__all__ = ["DigestAuth"]

_MAX_SPACES = 256  # realms whose nonces are remembered
_MAX_PENDING = 1024  # responses to challenges that are remembered

_K = TypeVar("_K")
_V = TypeVar("_V")


class DigestAuth(Credentials, PostResponseAuth):
    """Digest authentication (RFC 7616, and RFC 2069 for servers without `qop`).

    Supports MD5, SHA-256 and, where the platform has it, SHA-512-256, each also with `-sess`, and
    the protections `auth` and `auth-int`. One object may serve any number of sessions and tasks.

    Args:
        auth_info: user and password.
        encoding: text encoding of both, unless the server asks for UTF-8.
        proxy: answer Proxy-Authenticate instead of WWW-Authenticate.

    Raises:
        InvalidRequest: user or password contains control characters.

    Example:
        >>> await asks.get("https://example.com", auth=DigestAuth(("user", "password")))
    """

    requires_body = False

    def __init__(
        self, auth_info: tuple[str, str], encoding: str = "utf-8", *, proxy: bool = False
    ) -> None:
        PostResponseAuth.__init__(self)
        self._proxy = proxy
        self._challenge_field = "proxy-authenticate" if proxy else "www-authenticate"
        self._field = "Proxy-Authorization" if proxy else "Authorization"
        # By (origin, realm), most recently used last.
        self._spaces: dict[tuple[str, str], ProtectionSpace] = {}
        self._spaces_of_origin: dict[str, list[ProtectionSpace]] = {}  # derived from it on demand
        # By (origin, realm, nonce): the server has not accepted a response with this nonce yet.
        self._pending: dict[tuple[str, str, str], ProtectionSpace] = {}
        # The `response` values that answered a challenge, as opposed to those sent in advance.
        self._responses: dict[str, None] = {}
        Credentials.__init__(self, auth_info, encoding)

    def _use_credentials(self, auth_info: tuple[str, str], encoding: str) -> None:
        """Check new credentials, and use them with the nonces that are known."""
        encode_credentials(auth_info, encoding)

        def renew(origin: str, space: ProtectionSpace) -> ProtectionSpace:
            charset = get_charset(space.challenge) or encoding
            credentials = encode_credentials(auth_info, charset)
            return ProtectionSpace(space.challenge, credentials, origin, space)  # the count goes on

        spaces = {key: renew(key[0], space) for key, space in self._spaces.items()}
        self._pending = {key: renew(key[0], space) for key, space in self._pending.items()}
        self._spaces = spaces
        self._spaces_of_origin.clear()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._field}, {len(self._spaces)} realms known>"

    async def __call__(self, response: AuthResponse, request: AuthRequest) -> AuthHeaders:
        """Return the header that answers the challenges of `response`, or {}.

        It is {} if no challenge is supported, and if the request already contained a response
        and the server does not report the nonce as stale: then user or password are wrong.

        Raises:
            UnreplayableBody: the server requires a hash of a body that can be read only once.
        """
        challenge = select_challenge(
            parse_challenges(_values(response.headers, self._challenge_field))
        )
        if challenge is None or self._was_rejected(request, challenge):
            return {}
        space = self._space_for(challenge, request)
        body_hash = await _hash_body(request, space) if space.qop == "auth-int" else ""
        digest, header = space.build_response(request.method, request.path, body_hash)
        _remember(self._responses, digest, None, _MAX_PENDING)
        return {self._field: _encode_header(header)}

    def initial_headers(self, request: AuthRequest) -> AuthHeaders:
        """Return the header made from a nonce known for the request's origin and path, or {}."""
        if not self._spaces:
            return {}
        space = self._find_space(self._origin(request), request.path)
        if space is None:
            return {}
        body_hash = ""
        if space.qop == "auth-int":
            if request.body is None and request.body_source is not None:
                return {}  # hashing would read the whole body: wait for a challenge instead
            body_hash = space.hash(request.body or b"")
        _, header = space.build_response(request.method, request.path, body_hash)
        return {self._field: _encode_header(header)}

    @property
    def answers_servers(self) -> bool:
        """Whether challenges of servers are answered, not those of a proxy."""
        return not self._proxy

    def header_line(self, origin: str, method: str, target: str) -> bytes | None:
        """Return the line of `initial_headers` for a request of this target, encoded.

        It is None without a known nonce, and if the server requires a hash of the body.
        """
        space = self._find_space(origin, target)
        if space is None or space.qop == "auth-int":
            return None
        _, header = space.build_response(method, target, "")
        return f"{self._field}: {header}\r\n".encode("latin-1")

    def _find_space(self, origin: str, target: str) -> ProtectionSpace | None:
        """Return the space with the longest matching domain, the most recent among equals."""
        spaces = self._spaces_of_origin.get(origin)
        if spaces is None:
            spaces = [space for (known, _), space in self._spaces.items() if known == origin]
            if spaces:
                self._spaces_of_origin[origin] = spaces
        best, best_length = None, -1
        for space in spaces:
            length = space.match_length(target)
            if length >= max(best_length, 0):
                best, best_length = space, length
        return best

    def _set_space(self, key: tuple[str, str], space: ProtectionSpace) -> None:
        """Store a space as the one used last."""
        self._spaces.pop(key, None)
        _remember(self._spaces, key, space, _MAX_SPACES)
        self._spaces_of_origin.clear()

    def on_response(self, response: AuthResponse, request: AuthRequest) -> None:
        """Mark the nonce of an accepted response as usable for all requests.

        Before that, a request that overtakes the first one of a nonce would make a server that
        checks the order of nonce counts reject the first. Also stores the next nonce that
        Authentication-Info names (RFC 7616 §3.5). A proxy's nonce is usable at once.
        """
        name = "proxy-authentication-info" if self._proxy else "authentication-info"
        info = _values(response.headers, name)
        if not self._pending and not info:
            return
        sent = self._sent_parameters(request)
        key = (self._origin(request), sent.get("realm", ""))
        space = self._pending.pop((*key, sent.get("nonce", "")), None) or self._spaces.get(key)
        if space is None:
            return
        nonce = parse_parameter_list(info[0]).get("nextnonce") if info else None
        if nonce:
            challenge = Challenge("digest", {**space.challenge.params, "nonce": nonce})
            space = ProtectionSpace(challenge, self._credentials_for(challenge), key[0], space)
        self._set_space(key, space)

    def _sent_parameters(self, request: AuthRequest) -> dict[str, str]:
        """Return the Digest parameters that the request contained."""
        for challenge in parse_challenges(_values(request.headers, self._field)):
            if challenge.scheme == "digest":
                return challenge.params
        return {}

    def _was_rejected(self, request: AuthRequest, challenge: Challenge) -> bool:
        """Tell whether the server rejected the user or password; if so, discard the nonce."""
        sent = self._sent_parameters(request)
        if not sent or challenge.params.get("stale", "").lower() == "true":
            return False
        answered_challenge = self._responses.pop(sent.get("response", ""), 0) is None
        if not answered_challenge and sent.get("nonce") != challenge.params["nonce"]:
            return False
        key = (self._origin(request), sent.get("realm", ""))
        self._pending.pop((*key, sent.get("nonce", "")), None)
        known = self._spaces.get(key)
        if known is not None and known.challenge.params["nonce"] == sent.get("nonce"):
            del self._spaces[key]
            self._spaces_of_origin.clear()
        return True

    def _space_for(self, challenge: Challenge, request: AuthRequest) -> ProtectionSpace:
        """Return the space to answer from. If the server repeats a nonce, its count goes on."""
        key = (self._origin(request), challenge.params["realm"])
        nonce = challenge.params["nonce"]
        known = self._spaces.get(key)
        is_shared = self._proxy or (known is not None and known.challenge.params["nonce"] == nonce)
        known = known if is_shared else self._pending.get((*key, nonce))
        if known is None or known.challenge != challenge:
            known = ProtectionSpace(challenge, self._credentials_for(challenge), key[0], known)
        if is_shared:
            self._set_space(key, known)
        else:
            _remember(self._pending, (*key, nonce), known, _MAX_PENDING)
        return known

    def _credentials_for(self, challenge: Challenge) -> tuple[bytes, bytes]:
        return encode_credentials(self._auth_info, get_charset(challenge) or self._encoding)

    def _origin(self, request: AuthRequest) -> str:
        """Return the origin that state is stored under. A proxy has an object of its own: ""."""
        return "" if self._proxy else parse_url(request.url).origin


def _remember(memory: dict[_K, _V], key: _K, value: _V, limit: int) -> None:
    """Store a value in a dict that drops its oldest entry beyond `limit` entries."""
    memory[key] = value
    if len(memory) > limit:
        del memory[next(iter(memory))]


async def _hash_body(request: AuthRequest, space: ProtectionSpace) -> str:
    """Return the hash of the whole body, read from its source if it is not in memory."""
    if request.body is not None or request.body_source is None:
        return space.hash(request.body or b"")
    if not request.body_source.is_replayable:
        raise UnreplayableBody(
            "the server requires a hash of the body (Digest with qop=auth-int), but the body is a "
            "one-shot stream; give bytes, a path or a seekable file"
        )
    digest = space.new_hash()
    chunks = request.body_source.chunks()
    try:
        async for chunk in chunks:
            digest.update(chunk)
    finally:
        await chunks.close()
    return digest.hexdigest()


def _values(headers: AuthHeaders | AuthResponseHeaders, name: str) -> list[bytes]:
    """Return all values of a field as bytes, from a mapping of any kind with names in any case."""
    wanted = name.lower()
    raw = getattr(headers, "raw", None)  # the headers of a response keep the bytes
    if raw is not None:
        return [value for key, value in raw if key.lower() == wanted.encode("ascii")]
    found: list[bytes] = []
    for key, value in headers.items():
        if key.lower() == wanted:
            values = [value] if isinstance(value, str | bytes) else value
            found.extend(v.encode("utf-8") if isinstance(v, str) else v for v in values)
    return found


def _encode_header(octets: str) -> str | bytes:
    """Convert a header value with one character per byte to the text that encodes to these bytes.

    Bytes that are not UTF-8 (a user name in latin-1) stay bytes.
    """
    if octets.isascii():
        return octets
    data = octets.encode("latin-1")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data
