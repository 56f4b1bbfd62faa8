"""`cache=`: stored responses of a session, in memory and in a file, against scripted servers."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import curio
import pytest
from support.script_steps import close, expect, repeat, send
from support.scripted_server import MakePeer

from asks_fast import Cache, DSession, HSession, StreamResponse
from asks_fast.errors import InvalidRequest, InvalidURL, ServerClosedConnectionError

MakeCache = Callable[..., Cache]


class Clock:
    """A clock that the test sets."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def answer(body: bytes = b"ok", *fields: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def fresh(body: bytes = b"ok", *fields: str) -> bytes:
    return answer(body, "Cache-Control: max-age=60", *fields)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "file"])
def make_cache(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> MakeCache:
    path = tmp_path / "cache.sqlite" if request.param == "file" else None
    return lambda **options: Cache(path, clock=clock, **options)


async def test_fresh_responses(peer: MakePeer, make_cache: MakeCache, clock: Clock) -> None:
    """A fresh response is used again, whole, with its age; a stale one is fetched."""
    server = peer([expect(), send(fresh(b"one", "X-A: b")), expect(), send(fresh(b"two"))])
    cache = make_cache()
    async with HSession(server.url, cache=cache) as session:
        first = await session.get(path="/x")
        clock.now += 10
        second = await session.get(path="/x")
        assert (first.from_cache, second.from_cache) == (False, True)
        assert (second.content, second.headers["x-a"], second.headers["age"]) == (b"one", "b", "10")
        assert (second.status_code, second.reason_phrase) == (200, "OK")
        assert (second.method, second.url) == ("GET", f"{server.url}/x")
        assert second.request.url.target == "/x"
        assert second.is_complete
        head = await session.head(path="/x")
        assert (head.from_cache, head.content, head.headers["content-length"]) == (True, b"", "3")
        clock.now += 60
        assert (await session.get(path="/x")).content == b"two"
    async with HSession(server.url, cache=cache) as session:  # the cache outlives a session
        assert (await session.get(path="/x")).content == b"two"


async def test_validation(peer: MakePeer, make_cache: MakeCache, clock: Clock) -> None:
    """A stale response is validated; a 304 updates it, another status replaces it."""
    stored = answer(b"one", "Cache-Control: max-age=5", 'ETag: "a"',
                    "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "X-A: 1")  # fmt: skip
    confirmed = b'HTTP/1.1 304 x\r\nETag: "a"\r\nX-A: 2\r\nCache-Control: max-age=50\r\n\r\n'
    server = peer([expect(), send(stored), expect(), send(confirmed), expect(), send(answer(b"3"))])
    async with HSession(server.url, cache=make_cache()) as session:
        assert not (await session.get()).from_cache
        clock.now += 10
        response = await session.get()
        assert (response.from_cache, response.revalidated) == (True, True)
        assert (response.status_code, response.content) == (200, b"one")
        assert response.headers["x-a"] == "2"
        assert "if-none-match" not in response.request.headers
        clock.now += 40
        response = await session.get()
        assert (response.from_cache, response.revalidated) == (True, False)
        clock.now += 40
        response = await session.get()
        assert (response.from_cache, response.content) == (False, b"3")
    assert server.requests[1].header("if-none-match") == '"a"'
    assert server.requests[1].header("if-modified-since") == "Sun, 06 Nov 1994 08:49:37 GMT"


async def test_304_for_another_response(peer: MakePeer, make_cache: MakeCache) -> None:
    """A 304 with another ETag confirms nothing: the request is sent again without conditions."""
    server = peer([expect(), send(answer(b"one", 'ETag: "a"')),
                   expect(), send(b'HTTP/1.1 304 x\r\nETag: "b"\r\n\r\n'),
                   expect(), send(answer(b"two", 'ETag: "b"'))])  # fmt: skip
    async with HSession(server.url, cache=make_cache()) as session:
        await session.get()
        assert (await session.get()).content == b"two"
    assert server.requests[2].header("if-none-match") is None


async def test_conditions_of_the_caller(peer: MakePeer, make_cache: MakeCache) -> None:
    """The caller's own validators are answered with 304, by the cache or by the server."""
    server = peer([expect(), send(fresh(b"one", 'ETag: "a"')),
                   expect(), send(b'HTTP/1.1 304 x\r\nETag: "x"\r\n\r\n')])  # fmt: skip
    async with HSession(server.url, cache=make_cache()) as session:
        await session.get()
        response = await session.get(headers={"If-None-Match": '"a"'})
        assert (response.status_code, response.content, response.from_cache) == (304, b"", True)
        assert response.headers["etag"] == '"a"'
        assert (await session.get(headers={"If-None-Match": '"b"'})).content == b"one"
        own = {"If-None-Match": '"x"', "Cache-Control": "no-cache"}
        response = await session.get(headers=own)
        assert (response.status_code, response.from_cache) == (304, False)


async def test_vary(peer: MakePeer, make_cache: MakeCache) -> None:
    """Each value of a field in `Vary` has a response of its own; spaces in it do not matter."""
    server = peer([repeat(expect(), send(lambda c: fresh(c.requests[-1].header("accept").encode(),
                                                         "Vary: Accept, X-None")))])  # fmt: skip
    async with HSession(server.url, cache=make_cache()) as session:
        for accept in ("a,b", "c", "a, b", "c"):
            body = (await session.get(headers={"Accept": accept})).content
            assert body.decode().replace(" ", "") == accept.replace(" ", "")
    assert len(server.requests) == 2


async def test_authorization(peer: MakePeer, make_cache: MakeCache) -> None:
    """A response to one Authorization is not used for another, unless it is public."""

    def reply(connection: object) -> bytes:
        request = connection.requests[-1]  # type: ignore[attr-defined]
        field = "Cache-Control: public, max-age=9" if request.target == "/p" else "X: y"
        return fresh((request.header("authorization") or "none").encode(), field)

    server = peer([repeat(expect(), send(reply))])
    async with HSession(server.url, cache=make_cache()) as session:
        for name in ("a", "b", "a", None):
            options = {} if name is None else {"headers": {"Authorization": name}}
            assert (await session.get(path="/x", **options)).text == (name or "none")
        assert len(server.requests) == 3
        await session.get(path="/p", headers={"Authorization": "a"})
        assert (await session.get(path="/p")).text == "a"
    async with HSession(server.url, cache=make_cache(shared=True)) as session:
        for _ in range(2):
            shared = await session.get(path="/y", headers={"Authorization": "a"})
            assert not shared.from_cache


async def test_what_is_not_stored(peer: MakePeer, make_cache: MakeCache) -> None:
    """`no-store`, parts, long bodies, truncated bodies and other methods are not stored."""
    cases = [
        (answer(b"x", "Cache-Control: no-store, max-age=9"), {}),
        (fresh(), {"headers": {"Cache-Control": "no-store"}}),
        (fresh().replace(b"200", b"206"), {"headers": {"Range": "bytes=0-1"}}),
        (fresh(b"x" * 101), {}),
        (fresh(b"x" * 101), {"stream": True}),
        (fresh(b"", "Vary: *"), {}),
        (fresh().replace(b"200", b"500").replace(b"max-age=60", b"no-cache"), {}),
    ]
    steps = [step for data, _ in cases for step in (expect(), send(data)) * 2]
    server = peer(steps)
    async with HSession(server.url, cache=make_cache(max_body=100)) as session:
        for number, (_, options) in enumerate(cases):
            for _ in range(2):
                response = await session.get(path=f"/{number}", retries=0, **options)
                if isinstance(response, StreamResponse):
                    await response.body.read()
                assert not response.from_cache
    broken = fresh(b"x" * 9).replace(b": 9\r\n", b": 10\r\n")
    server = peer(*[[expect(), send(broken), close()]] * 4)
    async with HSession(server.url, cache=make_cache(), allow_truncated=True) as session:
        for stream in (False, False, True, True):
            async with await session.get(path="/t", stream=stream) as response:
                body = response.body
                content = await body.read() if isinstance(response, StreamResponse) else body
                assert (content, response.from_cache) == (b"x" * 9, False)


async def test_streams(peer: MakePeer, make_cache: MakeCache) -> None:
    """A streamed body is stored when it was read to its end, and streamed from the cache."""
    text = random.Random(1).randbytes(200_000).hex().encode()
    data = gzip.compress(text, 1, mtime=0)
    chunked = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n"
    chunked += b"Content-Encoding: gzip\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
    server = peer(*[[expect(), send(chunked), close()]] * 2, [close()])
    async with HSession(server.url, cache=make_cache()) as session:
        async with await session.get(stream=True, max_ratio=None) as response:
            await response.body.__anext__()  # left early
        first = await session.get(stream=True)
        assert not first.from_cache
        assert await first.body.read() == text
        second = await session.get(stream=True)
        assert (second.from_cache, isinstance(second, StreamResponse)) == (True, True)
        assert await second.body.read() == text
        third = await session.get()
        assert (third.from_cache, third.text) == (True, text.decode())
        with pytest.raises(ServerClosedConnectionError):
            await session.get(max_body=10, retries=0)  # too long for this request: asks the server


@pytest.mark.parametrize("stream", [False, True])
async def test_stale_if_error(
    peer: MakePeer, make_cache: MakeCache, clock: Clock, stream: bool
) -> None:
    """A stale response stands in for a server that fails, as long as that is allowed."""
    stored = answer(b"one", "Cache-Control: max-age=1, stale-if-error=60")
    unavailable = answer(b"busy", status="503 x")
    server = peer([expect(), send(stored), expect(), send(unavailable), expect(), close()],
                  [expect(), send(unavailable), close()], [close()])  # fmt: skip
    async with HSession(server.url, cache=make_cache(), retries=0) as session:
        await session.get()
        clock.now += 10
        for _ in range(2):
            response = await session.get(stream=stream)
            body = await response.body.read() if stream else response.content  # type: ignore[union-attr]
            assert (response.from_cache, body) == (True, b"one")
        clock.now += 60
        assert (await session.get()).status_code == 503
        with pytest.raises(ServerClosedConnectionError):
            await session.get()


async def test_directives_of_requests(peer: MakePeer, make_cache: MakeCache, clock: Clock) -> None:
    """`only-if-cached` never uses the network; `no-cache` always does; `max-stale` accepts more."""
    server = peer([expect(), send(fresh(b"one")), expect(), send(fresh(b"two"))])
    async with HSession(server.url, cache=make_cache()) as session:
        response = await session.get(headers={"Cache-Control": "only-if-cached"})
        assert (response.status_code, response.from_cache) == (504, False)
        await session.get()
        response = await session.get(headers={"Cache-Control": "only-if-cached"})
        assert response.content == b"one"
        assert (await session.get(headers={"Cache-Control": "no-cache"})).content == b"two"
        clock.now += 100
        response = await session.get(headers={"Cache-Control": "max-stale=60"})
        assert (response.from_cache, response.headers["age"]) == (True, "100")


async def test_invalidation(peer: MakePeer, make_cache: MakeCache) -> None:
    """An unsafe method that succeeds removes what it may have changed, on this origin only."""
    done = answer(b"", "Location: /c", "Content-Location: http://other.test/b", status="201 x")
    failed = answer(b"", status="400 x")
    server = peer([*[expect(), send(fresh())] * 3, expect("POST"), send(failed),
                   expect("DELETE"), send(done), *[expect("GET"), send(fresh())] * 2])  # fmt: skip
    async with HSession(server.url, cache=make_cache()) as session:
        for path in ("/a", "/b", "/c"):
            await session.get(path=path)
        await session.post(path="/a")
        assert (await session.get(path="/a")).from_cache
        await session.delete(path="/a")
        assert [(await session.get(path=f"/{name}")).from_cache for name in "abc"] == [
            False, True, False,
        ]  # fmt: skip


async def test_head_updates(peer: MakePeer, make_cache: MakeCache, clock: Clock) -> None:
    """A response to HEAD refreshes the stored one, or removes it if it describes another one."""
    same = answer(b"", 'ETag: "a"', "Cache-Control: max-age=60").replace(b": 0", b": 2")
    other = same.replace(b'"a"', b'"b"')
    server = peer([expect(), send(fresh(b"ok", 'ETag: "a"')), expect("HEAD"), send(same),
                   expect("HEAD"), send(other), expect("GET"), send(fresh(b"new"))])  # fmt: skip
    async with HSession(server.url, cache=make_cache()) as session:
        await session.get()
        clock.now += 70
        assert not (await session.head()).from_cache
        clock.now += 50
        assert (await session.get()).from_cache
        clock.now += 50
        assert not (await session.head()).from_cache
        assert (await session.get()).content == b"new"


async def test_redirects_and_cookies(peer: MakePeer, make_cache: MakeCache) -> None:
    """A stored redirect is followed from the cache; a stored response sets no cookie again."""
    moved = answer(b"", "Location: /b", "Cache-Control: max-age=60", status="301 x")
    server = peer([expect(), send(moved), expect(), send(fresh(b"b", "Set-Cookie: a=1")),
                   expect(), send(answer(b"", "Set-Cookie: a=2"))])  # fmt: skip
    async with HSession(server.url, cache=make_cache(), persist_cookies=True) as session:
        await session.get(path="/a")
        await session.get(path="/set")
        response = await session.get(path="/a")
        assert (response.content, response.history[0].from_cache) == (b"b", True)
        assert response.headers["set-cookie"] == ["a=1"]
        assert session.cookie_tracker_obj is not None
        assert [cookie.value for cookie in session.cookie_tracker_obj] == ["2"]


async def test_keep_everything(peer: MakePeer, make_cache: MakeCache, clock: Clock) -> None:
    """For development every response below 500 is kept, until `clear`."""
    server = peer([expect(), send(answer(b"1", "Cache-Control: no-store")),
                   expect(), send(answer(b"", status="500 x")),
                   *[expect(), send(answer(b"2"))] * 3])  # fmt: skip
    cache = make_cache(keep_everything=True)
    async with HSession(server.url, cache=cache, retries=0) as session:
        await session.get(path="/1")
        clock.now += 1e9
        assert (await session.get(path="/1", headers={"Accept": "other"})).content == b"1"
        assert (await session.get(path="/2")).status_code == 500
        assert (await session.get(path="/2")).content == b"2"
        assert (await session.get(path="/2", headers={"Cache-Control": "no-cache"})).ok
        cache.clear()
        assert not (await session.get(path="/2")).from_cache
        cache.remove(f"{server.url}/2")
        response = await session.get(path="/2", headers={"Cache-Control": "only-if-cached"})
        assert response.status_code == 504


async def test_many_tasks(peer: MakePeer, make_cache: MakeCache) -> None:
    """Tasks that ask for one URL at once all get a whole response."""
    body = b"x" * 100_000
    server = peer(*[[repeat(expect(), send(fresh(body)))]] * 8)
    cache = make_cache()
    async with HSession(server.url, cache=cache, connections=8) as session:
        for _ in range(3):
            results = await session.gather(["/a", "/b"] * 16)
            assert {result.unwrap().content for result in results} == {body}
        assert (await session.get(path="/a")).from_cache


async def test_size_limit(peer: MakePeer, make_cache: MakeCache) -> None:
    """The responses that were not used for the longest time are dropped."""
    server = peer([repeat(expect(), send(fresh(b"x" * 10_000)))])
    cache = make_cache(max_size=55_000)
    only = {"Cache-Control": "only-if-cached"}
    async with HSession(server.url, cache=cache) as session:
        for number in range(20):
            await session.get(path=f"/{number}")
            await session.get(path="/0")
        kept = [n for n in range(20) if (await session.get(path=f"/{n}", headers=only)).ok]
    assert 3 <= len(kept) <= 5
    assert {0, 19} <= set(kept)


async def test_arguments(tmp_path: Path) -> None:
    """What cannot be a cache is an error at once."""
    for options in ({"max_size": 0}, {"max_body": -1}, {"max_body": True}, {"stale_if_error": -1}):
        with pytest.raises(InvalidRequest, match=next(iter(options))):
            Cache(**options)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=r"cache must be .* Cache\('x'\)"):
        DSession(cache="x")  # type: ignore[arg-type]
    with pytest.raises(OSError, match="missing"):
        Cache(tmp_path / "missing" / "file")
    with pytest.raises(InvalidURL):
        Cache().remove("/a")
    assert "MemoryStore 0 responses" in repr(Cache())
    async with DSession(cache=False) as session:
        assert session._cache is None
    await curio.sleep(0)


@pytest.mark.parametrize(
    "fields", ["Cache-Control: no-store, max-age=90", "Vary: *", "Vary: X-A"], ids=str
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_update_that_may_not_be_stored(
    peer: MakePeer, make_cache: MakeCache, clock: Clock, fields: str, method: str
) -> None:
    """A 304, or a response to HEAD, that may not be stored so ends the use of the stored one."""
    stored = answer(b"one", "Cache-Control: max-age=5", 'ETag: "a"')
    status = "304 x" if method == "GET" else "200 OK"
    update = f'HTTP/1.1 {status}\r\nETag: "a"\r\n{fields}\r\nContent-Length: 3\r\n\r\n'.encode()
    server = peer([expect(), send(stored), expect(), send(update), expect(), send(answer(b"two"))])
    async with HSession(server.url, cache=make_cache()) as session:
        await session.get()
        clock.now += 10
        updated = await session.request(method)
        assert updated.status_code == 200
        assert updated.content == (b"one" if method == "GET" else b"")
        assert (await session.get()).content == b"two"
    assert server.requests[2].header("If-None-Match") is None


async def test_credentials_that_change(peer: MakePeer, make_cache: MakeCache) -> None:
    """With other credentials for each request, 50 responses of a URL are kept, not all."""
    server = peer([repeat(expect(), send(fresh()))])
    cache = make_cache()
    async with HSession(server.url, cache=cache) as session:
        for number in range(60):
            await session.get(path="/x", headers={"Authorization": f"Signature {number}"})
        for number in (59, 10):
            headers = {"Authorization": f"Signature {number}"}
            assert (await session.get(path="/x", headers=headers)).from_cache
        headers = {"Authorization": "Signature 9"}
        assert not (await session.get(path="/x", headers=headers)).from_cache
