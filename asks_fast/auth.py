"""Who you are: Basic, Bearer, Digest, and classes of your own.

Facts:  Basic and Bearer need nothing from the server. Digest (RFC 7616) answers a challenge, and
        the nonce of that challenge serves further requests of the same server as long as the
        count that goes with it rises. Many tasks share one session, so they share the nonce too.
Rules:  what is known of a server is kept under its origin and realm and told to no other; a
        count is taken and used without an await in between, so no two requests have the same.
        Of several challenges the strongest that we can do is answered. Secrets are in no repr and
        in no error.
Not here: when to ask, how often to try again, what a redirect may carry (`sessions`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ._auth.challenges import Challenge, parse_challenges, parse_parameters
from ._auth.digest import ProtectionSpace, known_charset, select_challenge
from .errors import InvalidRequest, UnreplayableBody

__all__ = [
    "AuthBase",
    "BasicAuth",
    "BearerAuth",
    "Challenge",
    "DigestAuth",
    "PostResponseAuth",
    "PreResponseAuth",
    "parse_challenges",
]


class AuthBase(ABC):
    """The root of all auth classes."""

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """A coroutine that gives the headers to add."""

    def for_user(self, userinfo: tuple[str, str]) -> AuthBase:
        """The auth for a URL with this user and password: by default `auth=` overrules the URL."""
        return self


class PreResponseAuth(AuthBase):
    """Auth that needs nothing from the server.

    A subclass defines `async def __call__(self, request)`, called before each request, and
    returns a dict of headers. `request` has method, path, headers, body, host, scheme, url.
    """


class PostResponseAuth(AuthBase):
    """Auth that answers a 401.

    A subclass defines `async def __call__(self, response, request)`, called with the 401 and the
    request that it answers, and returns a dict of headers with which the request is sent once
    more; an empty one gives the 401 to the caller. One that needs no more of the 401 than its
    fields sets `requires_body` to False, and is not kept waiting for a body.
    """

    auth_attempted = False
    requires_body = True

    def __init__(self) -> None:
        self.auth_attempted = False


class BasicAuth(PreResponseAuth):
    """Basic authentication (RFC 7617).

    `auth_info` is (user, password), sent in `encoding`. `proxy=True` answers a proxy instead of a
    server. Raises `InvalidRequest` for a user with a colon or for control characters.
    """

    def __init__(
        self, auth_info: tuple[str, str], encoding: str = "utf-8", *, proxy: bool = False
    ) -> None:
        user, _ = _pair(auth_info, encoding)
        if b":" in user:
            raise InvalidRequest("the user name of Basic auth cannot have a colon (RFC 7617 §2)")
        self.auth_info = auth_info
        self.encoding = encoding
        self._field = "Proxy-Authorization" if proxy else "Authorization"

    async def __call__(self, request: Any = None) -> dict[str, str]:
        return self.initial_headers(request)

    def initial_headers(self, request: Any = None) -> dict[str, str]:
        """The header, the same for each request."""
        from binascii import b2a_base64

        pair = b":".join(_pair(self.auth_info, self.encoding))
        return {self._field: "Basic " + b2a_base64(pair, newline=False).decode("ascii")}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._field}>"


class BearerAuth(PreResponseAuth):
    """A bearer token (RFC 6750). Raises `InvalidRequest` if no header could carry the token."""

    def __init__(self, token: str, *, proxy: bool = False) -> None:
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise InvalidRequest("a bearer token is printable ASCII without spaces (RFC 6750 §2.1)")
        self._token = token
        self._field = "Proxy-Authorization" if proxy else "Authorization"

    async def __call__(self, request: Any = None) -> dict[str, str]:
        return self.initial_headers(request)

    def initial_headers(self, request: Any = None) -> dict[str, str]:
        """The header, the same for each request."""
        return {self._field: f"Bearer {self._token}"}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._field}>"


# -- Digest

_MOST_SPACES = 256
_MOST_ANSWERS = 1024


class DigestAuth(PostResponseAuth):
    """Digest authentication (RFC 7616, and RFC 2069 for servers without `qop`).

    `auth_info` is (user, password), hashed in `encoding` unless the server asks for UTF-8. MD5,
    SHA-256 and, where the platform has it, SHA-512-256, each with `-sess`; `auth` and `auth-int`.
    `proxy=True` answers Proxy-Authenticate. One object may serve any number of sessions and tasks.
    Raises `InvalidRequest` for control characters in user or password.
    """

    requires_body = False

    def __init__(
        self, auth_info: tuple[str, str], encoding: str = "utf-8", *, proxy: bool = False
    ) -> None:
        super().__init__()
        _pair(auth_info, encoding)
        self.auth_info = auth_info
        self.encoding = encoding
        self._proxy = proxy
        self._asked = "proxy-authenticate" if proxy else "www-authenticate"
        self._field = "Proxy-Authorization" if proxy else "Authorization"
        self._sessions: dict[tuple[str, str], ProtectionSpace] = {}  # (origin, realm), latest last
        self._pending: dict[
            tuple[str, str, str], ProtectionSpace
        ] = {}  # and nonce: not accepted yet
        self._answers: dict[str, None] = {}  # answers given to a challenge, not ahead of one

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._field}, {len(self._sessions)} realms known>"

    async def __call__(self, response: Any, request: Any) -> dict[str, str]:
        """The answer to the challenges of `response`, {} if there is none to be given.

        None is given when the request carried an answer to a challenge already and the server
        does not say that only the nonce was stale: then user or password are wrong.
        """
        challenge = select_challenge(parse_challenges(_values(response.headers, self._asked)))
        if challenge is None or self._was_refused(request, challenge):
            return {}
        space = self._space_for(challenge, request)
        body_hash = ""
        if space.qop == "auth-int":
            body_hash = await _body_hash(request, space)
        build_response, header = space.build_response(request.method, request.path, body_hash)
        _remember(self._answers, build_response, None, _MOST_ANSWERS)
        return {self._field: _encode_header(header)}

    def initial_headers(self, request: Any) -> dict[str, str]:
        """The header from a nonce known for this request's origin and path, {} if there is none."""
        if not self._sessions:
            return {}
        space = self._find_space(request)
        if space is None:
            return {}
        body_hash = ""
        if space.qop == "auth-int":
            if request.body is None and getattr(request, "body_source", None) is not None:
                return {}  # it would have to be read to be hashed: let the server ask for it
            body_hash = space.hash(request.body or b"")
        _, header = space.build_response(request.method, request.path, body_hash)
        return {self._field: _encode_header(header)}

    def _find_space(self, request: Any) -> ProtectionSpace | None:
        """The space with the closest domain, the latest among equals."""
        origin = _origin(request, self._proxy)
        best, closest = None, -1
        for (place, _), space in self._sessions.items():
            if place == origin and (close := space.match_length(request.path)) >= max(closest, 0):
                best, closest = space, close
        return best

    def on_response(self, response: Any, request: Any) -> None:
        """Say that an answer was accepted: from now on its nonce serves all requests.

        Not before: a request that overtook the first one of a nonce would make a server that
        wants counts in rising order refuse the first. Also takes over the next nonce that
        Authentication-Info names (RFC 7616 §3.5). A proxy's nonce serves all at once.
        """
        name = "proxy-authentication-info" if self._proxy else "authentication-info"
        info = _values(response.headers, name)
        if not self._pending and not info:
            return
        sent = self._sent(request)
        key = (_origin(request, self._proxy), sent.get("realm", ""))
        space = self._pending.pop((*key, sent.get("nonce", "")), None) or self._sessions.get(key)
        if space is None:
            return
        nonce = parse_parameters(info[0]).get("nextnonce") if info else None
        if nonce:
            challenge = Challenge("digest", {**space.challenge.params, "nonce": nonce})
            space = ProtectionSpace(challenge, self._pair_for(challenge), key[0], space)
        self._sessions.pop(key, None)
        _remember(self._sessions, key, space, _MOST_SPACES)

    def _sent(self, request: Any) -> dict[str, str]:
        """The parameters of the answer that the request carried."""
        for challenge in parse_challenges(_values(request.headers, self._field)):
            if challenge.scheme == "digest":
                return challenge.params
        return {}

    def _was_refused(self, request: Any, challenge: Challenge) -> bool:
        sent = self._sent(request)
        if not sent or challenge.params.get("stale", "").lower() == "true":
            return False
        answered = self._answers.pop(sent.get("response", ""), 0) is None
        if not answered and sent.get("nonce") != challenge.params["nonce"]:
            return False
        key = (_origin(request, self._proxy), sent.get("realm", ""))
        self._pending.pop((*key, sent.get("nonce", "")), None)
        known = self._sessions.get(key)
        if known is not None and known.challenge.params["nonce"] == sent.get("nonce"):
            del self._sessions[key]
        return True

    def _space_for(self, challenge: Challenge, request: Any) -> ProtectionSpace:
        """The space to answer from; the count goes on where the server repeats a nonce."""
        key = (_origin(request, self._proxy), challenge.params["realm"])
        nonce = challenge.params["nonce"]
        known = self._sessions.get(key)
        is_shared = self._proxy or (known is not None and known.challenge.params["nonce"] == nonce)
        known = known if is_shared else self._pending.get((*key, nonce))
        if known is None or known.challenge != challenge:
            known = ProtectionSpace(challenge, self._pair_for(challenge), key[0], known)
        if is_shared:
            self._sessions.pop(key, None)
            _remember(self._sessions, key, known, _MOST_SPACES)
        else:
            _remember(self._pending, (*key, nonce), known, _MOST_ANSWERS)
        return known

    def _pair_for(self, challenge: Challenge) -> tuple[bytes, bytes]:
        return _pair(self.auth_info, known_charset(challenge) or self.encoding)


def _remember(memory: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Put something into a memory that forgets the oldest beyond `most`."""
    memory[key] = value
    if len(memory) > most:
        del memory[next(iter(memory))]


async def _body_hash(request: Any, space: ProtectionSpace) -> str:
    """The hash of the whole body, read from its source when it is not in memory."""
    source = getattr(request, "body_source", None)
    if request.body is not None or source is None:
        return space.hash(request.body or b"")
    if not source.is_replayable:
        raise UnreplayableBody(
            "the server wants the body hashed (Digest with qop=auth-int), but it is a one-shot "
            "stream; give bytes, a path or a seekable file"
        )
    running = space.new_hash()
    chunks = source.chunks()
    try:
        async for piece in chunks:
            running.update(piece)
    finally:
        await chunks.close()
    return str(running.hexdigest())


def _pair(auth_info: tuple[str, str], encoding: str) -> tuple[bytes, bytes]:
    """User and password as bytes. The errors name neither."""
    try:
        user, password = auth_info
    except (TypeError, ValueError):
        raise InvalidRequest("auth needs a pair (user, password)") from None
    return _secret(user, encoding, "user"), _secret(password, encoding, "password")


def _secret(text: str | bytes, encoding: str, what: str) -> bytes:
    if not isinstance(text, str | bytes):
        raise InvalidRequest(f"the {what} must be a str, not {type(text).__name__}")
    try:
        data = text.encode(encoding) if isinstance(text, str) else text
    except (UnicodeEncodeError, LookupError):
        raise InvalidRequest(f"the {what} cannot be written in {encoding!r}") from None
    if any(byte < 32 or byte == 127 for byte in data):
        raise InvalidRequest(f"the {what} has control characters (RFC 7617 §2)")
    return data


def _values(headers: Any, name: str) -> list[bytes]:
    """All values of a field as bytes, from a mapping of any kind and names of any case."""
    wanted = name.lower()
    raw = getattr(headers, "raw", None)
    if raw is not None:
        return [value for key, value in raw if key.lower() == wanted.encode("ascii")]
    found: list[bytes] = []
    for key, value in headers.items():
        if key.lower() == wanted:
            values = [value] if isinstance(value, str | bytes) else value
            found.extend(v.encode("utf-8") if isinstance(v, str) else v for v in values)
    return found


def _encode_header(octets: str) -> Any:
    """A header value of one character per byte as the text that is sent as these bytes.

    Bytes that are no UTF-8 (a user name in latin-1) stay bytes.
    """
    if octets.isascii():
        return octets
    data = octets.encode("latin-1")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def _origin(request: Any, is_proxy: bool) -> str:
    """What the state is kept under: the proxy, or scheme, host and port of the request."""
    if is_proxy:
        return str(getattr(request, "proxy", ""))
    origin = getattr(request, "origin", None)
    if origin is not None:
        return str(origin)
    from .urls import parse_url

    return parse_url(str(request.url)).origin
