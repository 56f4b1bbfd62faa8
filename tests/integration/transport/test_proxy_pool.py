"""Requests through a `ProxyPool`: proxies on loopback, of which some fail, deny or are slow."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import curio
import pytest
from support import proxy_servers
from support.cancel_at_each_await import cancel_at_each_await
from support.hosts import run_asyncio, run_trio
from support.proxy_steps import http_proxy, socks_proxy
from support.script_steps import SERVING, close, discard, expect, mark, repeat, send, stall
from support.scripted_server import MakePeer, Peer, Step
from support.servers import NotInstalled, Server

import asks_fast.sync
from asks_fast import DSession, ProxyPool, Retry, errors

AGAIN = Retry(attempts=2, backoff=0)


class Clock:
    """A clock that stands until the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _started(**options: Any) -> Iterator[Server]:
    try:
        with proxy_servers.squid(**options) as server:
            yield server
    except NotInstalled as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def squid() -> Iterator[Server]:
    yield from _started()


@pytest.fixture(scope="module")
def denying_squid() -> Iterator[Server]:
    """Answers everything with 403."""
    yield from _started(denies=True)


@pytest.fixture(scope="module")
def squid_basic() -> Iterator[Server]:
    """Asks for a password with 407."""
    yield from _started(auth="basic")


@pytest.fixture
def origin(peer: MakePeer) -> Peer:
    return peer(SERVING)


@pytest.fixture
def secure_origin(tls_peer: MakePeer) -> Peer:
    return tls_peer(SERVING)


def url_of(server: Server | Peer, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.port}"


def states(pool: ProxyPool) -> list[str]:
    return [one.state for one in pool.stats()]


WAYS: dict[str, tuple[str, Callable[[], Step], bool]] = {
    "forwarded": ("http", http_proxy, False),
    "CONNECT": ("http", http_proxy, True),
    "SOCKS5": ("socks5", socks_proxy, False),
    "SOCKS5, https": ("socks5h", socks_proxy, True),
    "SOCKS4": ("socks4", socks_proxy, False),
}


@pytest.mark.parametrize("way", WAYS)
async def test_failing_proxy_rests_and_is_tried_again(
    way: str,
    peer: MakePeer,
    origin: Peer,
    secure_origin: Peer,
    client_context: ssl.SSLContext,
    clock: Clock,
) -> None:
    """After three failures in a row and a cooldown, one successful request ends the trial."""
    scheme, step, is_secure = WAYS[way]
    failing = peer([close()], [close()], [close()], [step()])
    working = peer([step()])
    pool = ProxyPool([url_of(failing, scheme), url_of(working, scheme)], clock=clock)
    target = (secure_origin if is_secure else origin).url
    async with DSession(
        proxy=pool, retries=AGAIN, ssl_context=client_context, idle_timeout=0.001
    ) as session:
        attempts = []
        for _ in range(6):
            response = await session.get(f"{target}/", headers={"Connection": "close"})
            assert response.body == b"ok"
            attempts.append(response.attempts)
        assert sum(attempts) == 6 + 3
        assert states(pool) == ["cooldown", "ready"]
        assert len(failing.connections) == 3
        clock.now += 60
        for _ in range(2):
            response = await session.get(f"{target}/", headers={"Connection": "close"})
            assert response.body == b"ok"
    assert states(pool) == ["ready", "ready"]
    [first, second] = pool.stats()
    assert (first.failures, first.successes, first.cooldowns) == (3, 1, 1)
    assert (second.failures, second.successes) == (0, 7)
    assert first.in_use == second.in_use == 0


@pytest.mark.parametrize("is_secure", [False, True], ids=["forwarded", "CONNECT"])
async def test_ban(
    is_secure: bool,
    denying_squid: Server,
    squid: Server,
    origin: Peer,
    secure_origin: Peer,
    client_context: ssl.SSLContext,
    clock: Clock,
) -> None:
    """A 403 of squid begins a cooldown; with `retries=` the request uses another proxy."""
    target = (secure_origin if is_secure else origin).url
    pool = ProxyPool([url_of(denying_squid), url_of(squid)], clock=clock)
    async with DSession(proxy=pool, ssl_context=client_context) as session:
        response = await session.get(target, retries=1)
        assert (response.body, response.attempts) == (b"ok", 2)
        assert states(pool) == ["cooldown", "ready"]
        assert (await session.get(target)).attempts == 1
        clock.now += 60
        pool_stats = pool.stats()[0]
        assert (pool_stats.state, pool_stats.bans) == ("trial", 1)
        if is_secure:
            with pytest.raises(errors.ProxyError, match="403"):
                await session.get(target)
        else:
            assert (await session.get(target)).status_code == 403  # no retry was asked for
    assert pool.stats()[0].cooldown_left == 120


async def test_no_retry_that_is_not_allowed(
    denying_squid: Server, squid: Server, origin: Peer, clock: Clock
) -> None:
    """A POST that got a response, a body that can be read once, and a predicate: no second try."""

    async def once() -> Any:
        yield b"data"

    proxies = [url_of(denying_squid), url_of(squid)]
    async with DSession(retries=AGAIN) as session:
        for options in (
            {"method": "POST", "data": b"x"},
            {"method": "PUT", "data": once()},
            {"method": "GET", "retries": Retry(predicate=lambda attempt: not attempt.is_ban)},
            {"method": "GET", "retries": 0},
        ):
            pool = ProxyPool(proxies, clock=clock)
            method = options.pop("method")
            response = await session.request(method, origin.url, proxy=pool, **options)
            assert (response.status_code, response.attempts) == (403, 1)
            assert states(pool) == ["cooldown", "ready"]
    assert origin.requests == []


async def test_post_goes_on_if_nothing_was_sent(origin: Peer, squid: Server, clock: Clock) -> None:
    """A proxy that cannot be reached: a POST may be sent through the next one."""
    pool = ProxyPool(["http://user:secret@127.0.0.1:1", url_of(squid)], clock=clock)
    async with DSession(proxy=pool, retries=1) as session:
        response = await session.post(origin.url, data=b"x")
        assert (response.body, response.attempts) == (b"ok", 2)
    assert "secret" not in repr(pool.stats())
    assert "cannot be reached" in (pool.stats()[0].last_failure or "")


@pytest.mark.parametrize("is_secure", [False, True], ids=["forwarded", "CONNECT"])
async def test_proxy_that_wants_a_password(
    is_secure: bool,
    squid_basic: Server,
    squid: Server,
    origin: Peer,
    secure_origin: Peer,
    client_context: ssl.SSLContext,
    clock: Clock,
) -> None:
    """A 407 without the right password is a ban; a list judges in this way as well."""
    target = (secure_origin if is_secure else origin).url
    for proxies in (
        ProxyPool([url_of(squid_basic), url_of(squid)], clock=clock),
        [url_of(squid_basic), url_of(squid)],
    ):
        async with DSession(proxy=proxies, ssl_context=client_context) as session:
            assert (await session.get(target, retries=1)).body == b"ok"
            for _ in range(3):
                assert (await session.get(target)).attempts == 1


async def test_answered_challenge_is_no_ban(peer: MakePeer, origin: Peer, clock: Clock) -> None:
    """A Digest challenge that is answered says nothing against the proxy."""
    from asks_fast import Proxy

    challenge = (
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n"
        b'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n\r\n'
    )
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    proxy = peer([expect(), send(challenge), expect(), send(ok)])
    pool = ProxyPool(
        [Proxy.from_url(f"http://u:p@127.0.0.1:{proxy.port}", digest=True)], clock=clock
    )
    async with DSession(proxy=pool) as session:
        assert (await session.get(origin.url)).body == b"ok"
    [one] = pool.stats()
    assert (one.state, one.requests, one.successes, one.bans) == ("ready", 1, 1, 0)


async def test_a_list_does_not_judge_by_403(peer: MakePeer) -> None:
    """Of a list, a 403 or 429 is an answer of the origin as any other."""
    forbidden = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    proxy = peer([repeat(expect(), send(forbidden))])
    async with DSession(proxy=[url_of(proxy)]) as session:
        for _ in range(3):
            assert (await session.get("http://origin.test/")).status_code == 403


async def test_unreachable_origin_is_no_failure_of_the_proxy(
    squid: Server, peer: MakePeer, client_context: ssl.SSLContext, clock: Clock
) -> None:
    """What a proxy cannot reach says nothing of the proxy, whatever its protocol."""
    socks = peer([socks_proxy()])
    for proxy in (url_of(squid), url_of(socks, "socks5"), url_of(socks, "socks4")):
        pool = ProxyPool([proxy], clock=clock, max_failures=1)
        async with DSession(proxy=pool, ssl_context=client_context) as session:
            for _ in range(2):
                with pytest.raises(errors.ProxyError):
                    await session.get("https://127.0.0.1:1/")
        assert states(pool) == ["ready"]


async def test_sticky(peer: MakePeer, clock: Clock) -> None:
    """One host, or one key, goes through one proxy."""
    origins = [peer(SERVING) for _ in range(2)]
    proxies = [peer([http_proxy()]) for _ in range(3)]
    urls = [url_of(proxy) for proxy in proxies]
    pool = ProxyPool(urls, sticky="host", clock=clock)
    async with DSession(proxy=pool) as session:
        for _ in range(3):
            await session.get(f"http://127.0.0.1:{origins[0].port}/host")
            await session.get(f"http://localhost:{origins[1].port}/host")
    assert [one.requests for one in pool.stats()] == [3, 3, 0]
    pool = ProxyPool(urls, clock=clock)
    async with DSession() as session:
        for number in range(4):
            await session.get(origins[number % 2].url, proxy=pool.for_key("account"))
    assert [one.requests for one in pool.stats()] == [4, 0, 0]


async def test_redirect_takes_the_next_proxy(peer: MakePeer, clock: Clock) -> None:
    """Each request of a chain of redirects has a proxy of its own."""
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"
    origin = peer([expect(), send(redirect), close()], SERVING[:])
    proxies = [peer([http_proxy()]) for _ in range(2)]
    pool = ProxyPool([url_of(proxy) for proxy in proxies], requests_per_proxy=1, clock=clock)
    async with DSession(proxy=pool) as session:
        assert (await session.get(f"{origin.url}/first")).body == b"ok"
    assert [(one.requests, one.successes, one.in_use) for one in pool.stats()] == [(1, 1, 0)] * 2


async def test_all_rest(denying_squid: Server, origin: Peer, clock: Clock) -> None:
    """Without a usable proxy the error says when there is one again, and nothing is sent."""
    pool = ProxyPool([url_of(denying_squid)], clock=clock)
    async with DSession(proxy=pool) as session:
        await session.get(origin.url)
        with pytest.raises(errors.NoProxyAvailable, match=r"^GET http://.* in 60\.0 s") as caught:
            await session.get(origin.url)
        assert caught.value.retry_after == 60
        # Pools of requests are their own.
        assert (await session.get(origin.url, proxy=None)).body == b"ok"


SLOW: list[Step] = [
    expect(),
    mark("asked"),
    stall(),
    send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    close(),
]


@pytest.mark.kernels("stock", "own")
async def test_requests_per_proxy(peer: MakePeer, clock: Clock) -> None:
    """No proxy has more requests than its limit; the others wait, at most `pool_timeout`."""
    slow = peer(SLOW)
    pool = ProxyPool([url_of(slow)], requests_per_proxy=2, clock=clock)
    async with DSession(proxy=pool, connections=10) as session:
        tasks = [await curio.spawn(session.get, "http://origin.test/") for _ in range(5)]
        await slow.saw_requests(2)
        assert pool.stats()[0].in_use == 2
        with pytest.raises(errors.PoolTimeout, match="1 proxies"):
            await session.get("http://origin.test/", pool_timeout=0.01)
        await tasks[-1].cancel()
        await tasks[0].cancel()  # a waiting one gets its place
        await slow.saw_requests(3)
        assert pool.stats()[0].in_use == 2
        slow.release()
        for task in tasks[1:-1]:
            assert (await task.join()).body == b"ok"
    assert pool.stats()[0].in_use == 0
    assert "0 waiting" in repr(pool)


async def test_stream_keeps_its_proxy(peer: MakePeer, clock: Clock) -> None:
    """A streamed response uses its proxy until it is read or closed; a broken one is a failure."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    may_finish = threading.Event()
    proxy = peer(
        [
            *(expect(), send(head + b"1"), lambda _: discard(may_finish.wait(10)), send(b"2345")),
            *(expect(), send(head + b"12"), close()),
        ],
        [expect(), send(head + b"12"), stall()],
    )
    pool = ProxyPool([url_of(proxy)], requests_per_proxy=1, clock=clock)

    def in_use() -> int:
        return pool.stats()[0].in_use

    async with DSession(proxy=pool, connections=5) as session:
        response = await session.get("http://origin.test/", stream=True)
        async with response.body:
            with pytest.raises(errors.PoolTimeout):
                await session.get("http://origin.test/", pool_timeout=0.01)
            may_finish.set()
            assert (await response.body.read(), in_use()) == (b"12345", 0)
        response = await session.get("http://origin.test/", stream=True)
        with pytest.raises(errors.ServerClosedConnectionError):
            await response.body.read()
        assert (in_use(), pool.stats()[0].failures) == (0, 1)
        response = await session.get("http://origin.test/", stream=True)
        await response.body.close()
        assert in_use() == 0


@pytest.mark.kernels("stock", "own")
async def test_cancelled_request(peer: MakePeer, clock: Clock) -> None:
    """A cancelled request gives its proxy back, and says nothing of it."""
    slow = peer(SLOW)
    pool = ProxyPool([url_of(slow)], clock=clock, max_failures=1)
    async with DSession(proxy=pool) as session:
        task = await curio.spawn(session.get, "http://origin.test/")
        await slow.reached("asked")
        await task.cancel()
    [one] = pool.stats()
    assert (one.in_use, one.requests, one.successes, one.failures) == (0, 1, 0, 0)


@pytest.mark.kernels("stock", "own")
async def test_cancelled_at_each_wait(peer: MakePeer, origin: Peer, clock: Clock) -> None:
    """A request that is cancelled at any of its waits gives its proxy back."""
    proxy = peer([http_proxy()])
    pool = ProxyPool(["http://127.0.0.1:1", url_of(proxy)], requests_per_proxy=1, clock=clock)
    in_use: list[int] = []

    async def after_each() -> None:
        in_use.append(sum(one.in_use for one in pool.stats()))

    async with DSession(proxy=pool, retries=AGAIN) as session:

        async def request() -> bytes:
            response = await session.get(origin.url, headers={"Connection": "close"})
            return response.body

        cancelled, body = await cancel_at_each_await(request, after_each)
    assert (cancelled >= 1, body) == (True, b"ok")
    assert in_use == [0] * cancelled
    assert not pool._waiters


async def test_map(peer: MakePeer, origin: Peer, clock: Clock) -> None:
    """Many requests spread over the proxies, and leave out one that fails."""
    proxies = [peer([http_proxy()]) for _ in range(2)]
    urls = ["http://127.0.0.1:1", *(url_of(proxy) for proxy in proxies)]
    pool = ProxyPool(urls, requests_per_proxy=2, clock=clock)
    async with DSession(proxy=pool, connections=10, retries=AGAIN) as session:
        results = await session.gather([f"{origin.url}/{number}" for number in range(30)])
    assert all(result.unwrap().body == b"ok" for result in results)
    dead, *working = pool.stats()
    assert dead.state == "cooldown"
    assert sum(one.successes for one in working) == 30
    assert all(one.successes >= 2 for one in working)  # two at once, from the start


@pytest.mark.parametrize("run", [run_asyncio, run_trio])
def test_in_other_event_loops(run: Callable[..., Any], peer: MakePeer, clock: Clock) -> None:
    """asyncio and trio: cooldown, retry, and the wait for a proxy."""
    origin, proxy = peer(SERVING), peer([http_proxy()])
    pool = ProxyPool(
        ["socks5://127.0.0.1:1", url_of(proxy)],
        max_failures=1,
        requests_per_proxy=1,
        clock=clock,
    )

    async def main() -> None:
        async with DSession(proxy=pool, retries=AGAIN, connections=10) as session:
            results = await session.gather([origin.url] * 6)
            assert [result.unwrap().body for result in results] == [b"ok"] * 6

    run(main)
    assert states(pool) == ["cooldown", "ready"]
    assert [one.in_use for one in pool.stats()] == [0, 0]


def test_threads_share_a_pool(peer: MakePeer, clock: Clock) -> None:
    """Blocking sessions of several threads wait for each other's proxies."""
    origin, proxy = peer(SERVING), peer([http_proxy()])
    pool = ProxyPool([url_of(proxy)], requests_per_proxy=1, clock=clock)
    bodies: list[bytes] = []

    def work() -> None:
        with asks_fast.sync.DSession(proxy=pool) as session:
            bodies.extend(session.get(origin.url).body for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [b"ok"] * 20
    [one] = pool.stats()
    assert (one.requests, one.successes, one.in_use) == (20, 20, 0)
