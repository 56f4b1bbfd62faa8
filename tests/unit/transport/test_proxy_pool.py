"""`ProxyPool` without sockets: health by an injected clock, choice, leases, waiting, statistics."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import curio
import pytest

from asks_fast import errors
from asks_fast._transport.proxies import Proxy, make_proxy
from asks_fast._transport.proxy_pool import ProxyLease, ProxyPool

PROXIES = ["http://u:secret@a:1", "socks5://b:2", "https://c:3"]


class Clock:
    """A clock that stands until the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def name(lease: ProxyLease) -> str | None:
    return lease.proxy and lease.proxy.host


async def use(pool: ProxyPool, outcome: int | BaseException | None, **options: Any) -> str | None:
    """Use the next proxy with this outcome; returns its host."""
    lease = await pool.acquire(options.pop("host", "origin"), **options)
    if outcome is not None:
        lease.record(outcome)
    lease.release()
    return name(lease)


async def test_in_turn(clock: Clock) -> None:
    """Each request takes the next proxy."""
    pool = ProxyPool([*PROXIES, None], clock=clock)
    assert [await use(pool, 200) for _ in range(6)] == ["a", "b", "c", None, "a", "b"]
    assert len(pool) == 4
    assert repr(pool) == "<ProxyPool of 4, 0 in cooldown, 0 requests, 0 waiting>"


async def test_failures_in_a_row(clock: Clock) -> None:
    """The third failure in a row begins a cooldown; a success in between starts the count again."""
    pool = ProxyPool(["http://a"], clock=clock)
    failure = errors.ProxyError("x")
    for outcome in (failure, failure, 200, failure, failure):
        assert await use(pool, outcome) == "a"
    assert pool.stats()[0].state == "ready"
    await use(pool, failure)
    [one] = pool.stats()
    assert (one.state, one.failures, one.failures_in_row, one.cooldowns) == ("cooldown", 5, 3, 1)
    assert one.cooldown_left == 60.0


async def test_rests_double_up_to_the_longest(clock: Clock) -> None:
    """60 s, 120 s, … 30 min, as long as each trial fails; one success starts again at 60 s."""
    pool = ProxyPool(["http://a"], clock=clock)
    await use(pool, 429)
    cooldowns = []
    for _ in range(8):
        cooldowns.append(pool.stats()[0].cooldown_left)
        clock.now += cooldowns[-1] - 0.1
        with pytest.raises(
            errors.NoProxyAvailable, match=r"the only proxy is in cooldown .* in 0\.1 s"
        ):
            await pool.acquire("origin")
        clock.now += 0.2
        assert pool.stats()[0].state == "trial"
        await use(pool, errors.ReadTimeout("x"))
    assert cooldowns == pytest.approx([60, 120, 240, 480, 960, 1800, 1800, 1800])
    clock.now += 1800
    await use(pool, 200)
    assert pool.stats()[0].state == "ready"
    await use(pool, 403)
    assert pool.stats()[0].cooldown_left == 60


async def test_one_request_tries_a_proxy(clock: Clock) -> None:
    """After a cooldown one request uses the proxy until its outcome is known; the others do not."""
    pool = ProxyPool(["http://a", "http://b"], clock=clock)
    await use(pool, 407)
    clock.now += 60
    leases = [await pool.acquire("origin") for _ in range(4)]
    assert sorted(name(lease) or "" for lease in leases) == ["a", "b", "b", "b"]
    trial = next(lease for lease in leases if name(lease) == "a")
    trial.record(200)
    assert {name(await pool.acquire("origin")) for _ in range(2)} == {"a", "b"}


@pytest.mark.parametrize("drop", [lambda lease: lease.release(), lambda lease: None])
async def test_a_trial_without_outcome(clock: Clock, drop: Callable[[Any], None]) -> None:
    """A trial that is cancelled, or whose lease is dropped, leaves it to the next request."""
    pool = ProxyPool(["http://a"], clock=clock)
    await use(pool, 403)
    clock.now += 60
    lease = await pool.acquire("origin")
    assert pool.stats()[0].in_use == 1
    drop(lease)
    del lease
    gc.collect()
    assert pool.stats()[0].in_use == 0
    assert await use(pool, 200) == "a"


async def test_outcomes_of_earlier_requests(clock: Clock) -> None:
    """Requests that began before a cooldown neither end nor lengthen it; they are counted."""
    pool = ProxyPool(["http://a"], clock=clock)
    early = [await pool.acquire("origin") for _ in range(3)]
    await use(pool, 403)
    early[0].record(200)
    early[1].record(403)
    early[2].record(errors.ProxyError("x"))
    [one] = pool.stats()
    assert (one.state, one.cooldown_left, one.cooldowns) == ("cooldown", 60, 1)
    assert (one.requests, one.successes, one.bans, one.failures) == (4, 1, 2, 1)


def refused(status: int) -> errors.ProxyError:
    class Reply:
        status_code = status

    error = errors.ProxyError("refused", Reply())
    error.is_origin_unreachable = status in (502, 503, 504)
    return error


def of_proxy(error: errors.TlsError) -> errors.TlsError:
    error.is_proxy = True
    return error


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        (200, "successes"),
        (404, "successes"),
        (502, "successes"),
        (403, "bans"),
        (429, "bans"),
        (refused(407), "bans"),
        (refused(400), "failures"),
        (refused(503), None),
        (errors.ProxyError("cannot be reached"), "failures"),
        (errors.ConnectionFailed("x"), "failures"),
        (errors.ConnectTimeout("x"), "failures"),
        (errors.ReadTimeout("x"), "failures"),
        (errors.TotalTimeout("x"), "failures"),
        (errors.ServerClosedConnectionError("x"), "failures"),
        (errors.BadHttpResponse("x"), "failures"),
        (of_proxy(errors.TlsError("x")), "failures"),
        (errors.DnsTimeout("x", host="a"), "failures"),
        (errors.DnsTimeout("x", host="origin"), None),
        (errors.CertificateError("x"), None),
        (errors.NameResolutionError("x"), None),
        (errors.PoolTimeout("x"), None),
        (errors.ResponseTooLarge("x"), None),
        (errors.DecodingError("x"), None),
        (errors.InvalidRequest("x"), None),
        (curio.TaskCancelled("x"), None),
        (KeyboardInterrupt(), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
async def test_what_is_a_failure_of_the_proxy(
    clock: Clock, outcome: int | BaseException, counted: str | None
) -> None:
    """Only what the proxy did counts, as far as it can be told from what the origin did."""
    pool = ProxyPool(["http://a"], clock=clock)
    await use(pool, outcome)
    [one] = pool.stats()
    counts = {kind: getattr(one, kind) for kind in ("successes", "failures", "bans")}
    assert counts == {kind: int(kind == counted) for kind in counts}


async def test_own_numbers(clock: Clock) -> None:
    """Failures, ban statuses and cooldowns are those of the pool."""
    pool = ProxyPool(
        ["http://a"], max_failures=1, ban_statuses=[503], cooldown=5, max_cooldown=8, clock=clock
    )
    assert await use(pool, 403) == "a"
    await use(pool, errors.ReadTimeout("x"))
    assert pool.stats()[0].cooldown_left == 5
    clock.now += 5
    await use(pool, 503)
    assert pool.stats()[0].cooldown_left == 8


async def test_sticky_by_host(clock: Clock) -> None:
    """A host keeps its proxy, until its cooldown; then it keeps the next one."""
    pool = ProxyPool(["http://a", "http://b", "http://c"], sticky="host", clock=clock)
    hosts = ["x", "y", "x", "x", "z", "y"]
    assert [await use(pool, 200, host=host) for host in hosts] == ["a", "b", "a", "a", "c", "b"]
    await use(pool, 403, host="x")
    moved = await use(pool, 200, host="x")
    assert moved in ("b", "c")
    clock.now += 100
    assert {await use(pool, 200, host="x") for _ in range(4)} == {moved}


async def test_sticky_by_key(clock: Clock) -> None:
    """A key keeps its proxy whatever the host; the oldest of many keys is forgotten."""
    pool = ProxyPool(["http://a", "http://b"], clock=clock)
    first = await use(pool, 200, key="k")
    assert {await use(pool, 200, key="k", host=str(n)) for n in range(5)} == {first}
    for number in range(5000):
        await use(pool, 200, key=number)
    assert len(pool._keys) == 4096
    view = pool.for_key("k")
    assert (view.pool, view.key) == (pool, "k")
    assert view == pool.for_key("k")


async def test_another_proxy_for_a_retry(clock: Clock) -> None:
    """Proxies that a request has used are used again only if no other one is usable."""
    pool = ProxyPool(["http://a", "http://b"], clock=clock)
    a, b = (make_proxy(url) for url in ("http://a", "http://b"))
    for _ in range(3):
        assert await use(pool, 200, exclude=[a]) == "b"
    assert await use(pool, 200, key="k", exclude=[b]) == "a"
    assert await use(pool, 200, key="k", exclude=[a]) == "b"  # and stays there
    assert await use(pool, 200, key="k") == "b"
    await use(pool, 403, exclude=[a])
    assert await use(pool, 200, exclude=[a]) == "a"


# -- the number of requests per proxy


async def started(pool: ProxyPool, count: int) -> list[Any]:
    """Tasks that wait for a proxy, in this order."""
    tasks = []
    for _ in range(count):
        tasks.append(await curio.spawn(pool.acquire, "origin"))
        waiting = len(pool._waiters)
        while len(pool._waiters) == waiting and not tasks[-1].terminated:
            await curio.sleep(0)
    return tasks


pytestmark = pytest.mark.kernels("stock", "own")


async def test_limit_per_proxy(clock: Clock) -> None:
    """Requests beyond the limit wait; a released proxy goes to the first that waits."""
    pool = ProxyPool(["http://a", "http://b"], requests_per_proxy=1, clock=clock)
    held = [await pool.acquire("origin") for _ in range(2)]
    first, second = await started(pool, 2)
    assert "2 waiting" in repr(pool)
    held[1].release()
    held[1].release()  # no effect
    assert name(await first.join()) == "b"
    with pytest.raises(errors.PoolTimeout, match=r"waited 0\.01 s for one of 2 proxies"):
        await pool.acquire("origin", timeout=0.01)
    held[0].release()
    assert name(await second.join()) == "a"
    assert [one.in_use for one in pool.stats()] == [1, 1]


async def test_cancelled_while_waiting(clock: Clock) -> None:
    """A cancelled request leaves no trace, also if it was given a proxy just before."""
    pool = ProxyPool(["http://a"], requests_per_proxy=1, clock=clock)
    held = await pool.acquire("origin")
    first, second, third = await started(pool, 3)
    await first.cancel()
    held.release()  # to `second`, which has not run since
    await second.cancel()
    lease = await third.join()
    assert name(lease) == "a"
    lease.release()
    assert (pool.stats()[0].in_use, len(pool._waiters)) == (0, 0)


async def test_waiting_for_the_own_proxy(clock: Clock) -> None:
    """A sticky request waits for its proxy, and others do not wait for it."""
    pool = ProxyPool(["http://a", "http://b"], requests_per_proxy=1, sticky="host", clock=clock)
    held = await pool.acquire("x")
    other = await pool.acquire("y")
    [waiting_for_a] = await started(pool, 1)  # "origin" takes what becomes free first
    other.release()
    assert name(await waiting_for_a.join()) == "b"
    task = await curio.spawn(pool.acquire, "x")
    while not pool._waiters:
        await curio.sleep(0)
    held.release()
    assert name(await task.join()) == "a"


async def test_all_begin_to_rest_while_requests_wait(clock: Clock) -> None:
    """Requests that wait get an error when the cooldown of the last proxy begins."""
    pool = ProxyPool(["http://a"], requests_per_proxy=1, clock=clock)
    held = await pool.acquire("origin")
    tasks = await started(pool, 2)
    held.record(403)
    for task in tasks:
        with pytest.raises(curio.TaskError) as caught:
            await task.join()
        assert isinstance(caught.value.__cause__, errors.NoProxyAvailable)
        assert caught.value.__cause__.retry_after == 60


async def test_the_end_of_a_rest_while_requests_wait() -> None:
    """A request that waits for one proxy takes another one whose cooldown ends in the meantime."""
    pool = ProxyPool(["http://a", "http://b"], requests_per_proxy=1, cooldown=0.05)
    await use(pool, 403)
    held = await pool.acquire("origin")
    assert {name(held), name(await pool.acquire("origin"))} == {"a", "b"}


async def test_waiting_in_another_thread(clock: Clock) -> None:
    """A proxy that one thread releases goes to a request that waits in another one."""
    import threading

    pool = ProxyPool(["http://a"], requests_per_proxy=1, clock=clock)
    held = await pool.acquire("origin")
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(name(curio.run(pool.acquire, "origin"))))
    thread.start()
    while not pool._waiters:
        await curio.sleep(0.001)
    held.release()
    await curio.run_in_thread(thread.join)
    assert found == ["a"]


# -- what a pool contains and shows


async def test_replace(clock: Clock) -> None:
    """Proxies that stay keep their state; new ones serve requests that wait."""
    pool = ProxyPool(["http://a", "http://b"], requests_per_proxy=1, sticky="host", clock=clock)
    await use(pool, 403, host="x")
    held = await pool.acquire("y")
    [task] = await started(pool, 1)
    pool.replace(["http://a", "http://d", "http://d"])
    assert name(await task.join()) == "d"
    held.record(200)
    held.release()
    assert [(one.proxy, one.state) for one in pool.stats()] == [
        ("http://a:80", "cooldown"),
        ("http://d:80", "ready"),
    ]
    with pytest.raises(errors.InvalidRequest, match="contains no proxy"):
        pool.replace([])
    assert len(pool) == 2


async def test_no_credentials_are_shown(clock: Clock) -> None:
    """Statistics, `repr` and errors have no user and password."""
    pool = ProxyPool(["http://user:secret@a:1"], clock=clock)
    lease = await pool.acquire("origin")
    lease.record(errors.ConnectTimeout("could not connect to http://h/?token=secret"))
    lease.record(429)
    assert pool.stats()[0].proxy == "http://a:1"
    with pytest.raises(errors.NoProxyAvailable) as caught:
        await pool.acquire("origin")
    shown = f"{pool!r} {pool.stats()!r} {lease!r} {caught.value} {pool.for_key(1)!r}"
    assert "secret" not in shown
    assert "user" not in shown
    assert pool.stats()[0].last_failure == "status 429"


@pytest.mark.parametrize(
    "arguments",
    [
        {"proxies": []},
        {"proxies": "http://a"},
        {"proxies": Proxy("http", "a", 1)},
        {"proxies": [5]},
        {"max_failures": 0},
        {"max_failures": True},
        {"cooldown": 0},
        {"cooldown": 60, "max_cooldown": 30},
        {"requests_per_proxy": 0},
        {"sticky": "key"},
    ],
    ids=str,
)
def test_invalid_arguments(arguments: dict[str, Any]) -> None:
    """Arguments that make no sense are refused when the pool is made."""
    proxies = arguments.pop("proxies", ["http://a"])
    with pytest.raises(errors.InvalidRequest):
        ProxyPool(proxies, **arguments)


async def test_a_rest_that_ends_before_the_wait() -> None:
    """A request does not wait for a proxy whose cooldown ended after all were found in use."""

    def clock() -> float:
        return 60.0 if pool._waiters else now  # the time passes as the request begins to wait

    now = 0.0
    pool = ProxyPool(["http://a", "http://b"], requests_per_proxy=1, clock=clock)
    assert await use(pool, 429) == "a"
    in_use = await pool.acquire("origin")
    assert name(in_use) == "b"
    now = 59.9
    lease = await curio.timeout_after(60, pool.acquire("origin"))
    assert name(lease) == "a"
    lease.release()
    in_use.release()
