"""Values of a wrong type are an error at the call, also if they are empty or 0.

Every argument is checked: of a request, of a session, of its connections and its pool.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.script_steps import SERVING
from support.scripted_server import MakePeer

from asks_fast import (
    BaseResponse,
    Cache,
    CallNext,
    DigestAuth,
    HSession,
    PreparedRequest,
    Retry,
    errors,
    sync,
)
from asks_fast._config.options import _REQUEST_NAMES, SESSION_NAMES
from asks_fast.crawl import Politeness

FALSY: list[Any] = ["", b"", 0, 0.0, False, (), [], {}, set()]
NAN = float("nan")

COLLECTIONS = ((), [], {}, set())
FLAG = (False, 0)
SECONDS = (0, 0.0)
COUNT = (0,)
NONE: tuple[Any, ...] = ()

# Name → the false values that are valid. None of the others may be accepted.
VALID: dict[str, tuple[Any, ...]] = {
    "allow_truncated": FLAG,
    "auth": NONE,
    "auth_off_domain": FLAG,
    "buffer_size": NONE,
    "cache": (False,),
    "callback": NONE,
    "cert": NONE,
    "compress": NONE,
    "connection_timeout": NONE,
    "connections": NONE,
    "connections_per_host": COUNT,
    "cookies": ({},),
    "decompress": FLAG,
    "detect_encoding": FLAG,
    "dns_negative_ttl": SECONDS,
    "dns_timeout": NONE,
    "dns_ttl": SECONDS,
    "encoding": NONE,
    "endpoint": ("",),
    "expect_continue": (False, 0, 0.0),
    "files": COLLECTIONS,
    "fingerprint": NONE,
    "follow_redirects": FLAG,
    "happy_eyeballs_delay": SECONDS,
    "headers": COLLECTIONS,
    "hosts": ({},),
    "idle_timeout": SECONDS,
    "json_dumps": NONE,
    "json_loads": NONE,
    "keep_framing": FLAG,
    "keepalive": NONE,
    "max_body": COUNT,
    "max_connection_age": SECONDS,
    "max_decompressed": COUNT,
    "max_header_size": NONE,
    "max_headers": COUNT,
    "max_informational": COUNT,
    "max_ratio": NONE,
    "max_redirects": COUNT,
    "max_requests_per_connection": COUNT,
    "middleware": COLLECTIONS,
    "mimetype": ("",),
    "min_tls_version": NONE,
    "multipart": COLLECTIONS,
    "normalize_url": FLAG,
    "on_event": ((), []),
    "params": ("", b"", (), [], {}),
    "path": ("",),
    "persist_cookies": (False,),
    "pool_timeout": NONE,
    "proxy": NONE,
    "read_timeout": NONE,
    "resolver": NONE,
    "retries": COUNT,
    "sensitive_headers": COLLECTIONS,
    "server_hostname": NONE,
    "socket_options": ((), [], set()),
    "source_address": NONE,
    "ssl_context": NONE,
    "stream": FLAG,
    "strict": FLAG,
    "timeout": NONE,
    "timings": FLAG,
    "trailers": NONE,
    "trust_env": FLAG,
    "unix_socket": NONE,
    "upload_max_rate": NONE,
    "upload_progress": NONE,
    "verify": (False,),
    "write_timeout": NONE,
}
ANY_VALUE = {"data", "json"}  # false values of these are sent


def is_valid(name: str, value: Any) -> bool:
    return any(type(value) is type(one) and value == one for one in VALID[name])


def test_the_table_is_complete() -> None:
    """Each argument has a row, or takes every value."""
    assert VALID.keys() | ANY_VALUE == (_REQUEST_NAMES | SESSION_NAMES) - {"url"}


@pytest.mark.parametrize("name", sorted(VALID.keys() & SESSION_NAMES))
def test_false_values_for_a_session(name: str) -> None:
    """A session rejects each value of a wrong type when it is created, and names the argument."""
    for value in FALSY:
        if is_valid(name, value):
            HSession("http://h", **{name: value})
            continue
        with pytest.raises((errors.InvalidRequest, ValueError), match=name):
            HSession("http://h", **{name: value})


@pytest.mark.parametrize("name", sorted(VALID.keys() & _REQUEST_NAMES))
async def test_false_values_for_a_request(name: str, peer: MakePeer) -> None:
    """A request rejects them before anything is sent, with and without a template."""
    server = peer(SERVING)
    async with HSession(server.url) as session:
        await session.post(path="/")
        await session.post(path="/")
        for value in FALSY:
            if is_valid(name, value):
                continue
            with pytest.raises((errors.InvalidRequest, TypeError), match=name):
                await session.post(**{"path": "/", name: value})
    assert len(server.requests) == 2


async def test_iterators_as_defaults_of_a_session(peer: MakePeer) -> None:
    """An iterator can be read once, and each request of a session uses its values."""
    server = peer(SERVING)
    seen: list[str] = []

    async def note(request: PreparedRequest, call_next: CallNext) -> BaseResponse:
        seen.append(request.url.target)
        return await call_next(request)

    async with HSession(server.url, params=iter([("a", 1)]), middleware=iter([note])) as session:
        await session.get(path="/")
        await session.get(path="/")
    assert seen == ["/?a=1"] * 2
    assert [request.target for request in server.requests] == seen


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth", "user:secret"),
        ("auth", ["user", "secret"]),
        ("callback", "secret"),
        ("cookies", [("a", "secret")]),
        ("idle_timeout", NAN),
        ("max_body", True),
        ("max_connection_age", NAN),
        ("max_redirects", None),
        ("decompress", None),
        ("hosts", [("h", "::1")]),
        ("retries", "2"),
        ("retries", True),
        ("retries", -1),
        ("sensitive_headers", "X-Mine"),
        ("sensitive_headers", [1]),
        ("socket_options", [(1, 2)]),
        ("source_address", ("127.0.0.1",)),
        ("stream", "yes"),
        ("cache", "/var/cache"),
        ("cache", {"secret": 1}),
        ("upload_max_rate", NAN),
    ],
)
async def test_other_wrong_values(name: str, value: Any) -> None:
    """The error names the argument, and shows no text that may be a secret."""
    options = {name: value}
    reports = pytest.raises(errors.InvalidRequest, match=f"{name} must be ")
    if name in SESSION_NAMES:
        with reports as caught:
            HSession("http://h", **options)
    else:
        async with HSession("http://h") as session:
            with reports as caught:
                await session.get(**options)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", [HSession, sync.HSession])
@pytest.mark.parametrize("name", ["timeout", "auth", "verify", "proxy", "cache", "params"])
def test_an_argument_is_not_assigned(kind: Any, name: str) -> None:
    """A session has read its arguments: an assignment, which would change nothing, is an error."""
    session = kind("http://h")
    with pytest.raises(AttributeError, match=rf"{name} cannot be assigned.*HSession\("):
        setattr(session, name, None)
    session.my_own = 1  # other names are free

    class WithItsOwn(kind):  # type: ignore[misc]
        timeout = 3

    own = WithItsOwn("http://h")
    own.timeout = 5
    assert own.timeout == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [("endpoint", 1), ("encoding", ""), ("ssl_context", False), ("source_address", 0)],
)
def test_a_wrong_value_is_not_assigned(name: str, value: Any) -> None:
    """What can be assigned is checked as in the constructor, and the old value stays."""
    session = HSession("http://h", "/base")
    before = getattr(session, name)
    with pytest.raises(errors.InvalidRequest, match=name):
        setattr(session, name, value)
    assert getattr(session, name) == before


def test_objects_of_our_own() -> None:
    """Objects that an argument takes are accepted, also if they are false."""

    class Quiet(DigestAuth):
        def __bool__(self) -> bool:
            return False

    HSession("http://h", auth=Quiet(("a", "b")), retries=Retry(2))


@pytest.mark.parametrize("encoding", ["no such encoding", "hex", "\0"])
async def test_unknown_encodings(encoding: str) -> None:
    """An encoding that Python does not have is an error before a request is sent."""
    with pytest.raises(errors.UnknownEncoding, match="unknown text encoding"):
        HSession("http://h", encoding=encoding)
    async with HSession("http://h") as session:
        with pytest.raises(errors.UnknownEncoding, match="unknown text encoding"):
            await session.get(encoding=encoding)
        with pytest.raises(errors.UnknownEncoding, match="unknown text encoding"):
            session.encoding = encoding


FIELDS: dict[Any, dict[str, tuple[Any, ...]]] = {
    Retry: {
        "attempts": COUNT,
        "methods": COLLECTIONS,
        "statuses": COLLECTIONS,
        "connection_errors": (False,),
        "backoff": SECONDS,
        "max_delay": SECONDS,
        "max_retry_after": SECONDS,
        "respect_retry_after": (False,),
        "predicate": NONE,
    },
    Politeness: {
        "rate": NONE,
        "burst": NONE,
        "host_rate": NONE,
        "host_burst": NONE,
        "host_concurrency": NONE,
        "min_delay": SECONDS,
        "max_pause": SECONDS,
        "max_failures": SECONDS,
        "circuit_reset": SECONDS,
        "robots": (False,),
        "user_agent": NONE,
        "lookahead": NONE,
        "adaptive": (False,),
    },
    Cache: {
        "path": NONE,
        "max_size": NONE,
        "max_body": NONE,
        "stale_if_error": SECONDS,
        "shared": (False,),
        "keep_everything": (False,),
    },
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, fields in FIELDS.items() for name in fields]
)
def test_false_values_for_a_value_object(kind: Any, name: str) -> None:
    """`Retry`, `Politeness` and `Cache` reject values of a wrong type and name the field."""
    for value in [*FALSY, object(), NAN]:
        if any(type(value) is type(one) and value == one for one in FIELDS[kind][name]):
            kind(**{name: value})
            continue
        with pytest.raises(ValueError, match=name):
            kind(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("methods", "GET"), ("statuses", {"503"})])
def test_one_text_is_no_set_of_methods(name: str, value: Any) -> None:
    """`methods="GET"` does not mean the methods G, E and T."""
    with pytest.raises(errors.InvalidRequest, match=f"{name} of a Retry is a set of"):
        Retry(**{name: value})
