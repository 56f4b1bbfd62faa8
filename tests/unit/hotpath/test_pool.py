"""Which request gets which connection, how long connections live, and closing a pool."""

from __future__ import annotations

import gc
import weakref

import curio
import pytest
from support.exchange_harness import run
from support.pool_harness import ANSWER, HEAD, PoolHarness, counts, pool_harness, run_other_tasks

from asks_fast._hotpath import BaseHttpResponse, Limits, OriginPool, Pool


@pytest.mark.parametrize("limit", [0, -1])
def test_no_slots(limit: int) -> None:
    """A pool needs at least one slot."""
    with pytest.raises(ValueError, match="connections"):
        Pool(limit)


def test_repr_and_stats() -> None:
    """The repr shows the state, and the counters add up."""
    with pool_harness(2) as g:
        a = g.origin()
        assert repr(g.pool) == "<Pool 0 of 2 open: 0 in use, 0 idle; 0 waiting>"
        connection = run(g.get(a))
        assert repr(connection) == "<Connection 'http://a' in use, 0 requests>"
        assert repr(a) == "<OriginPool 'http://a' 1 open, 0 waiting>"
        assert g.pool.stats() == {
            "open": 1,
            "in_use": 1,
            "idle": 0,
            "waiting": 0,
            "opening": 0,
            "created": 1,
            "reused": 0,
            "evicted": 0,
            "limit": 2,
        }
        g.pool.close()
        assert "closed" in repr(g.pool)
        assert repr(connection) == "<Connection 'http://a' closed, 0 requests>"


async def test_newest_first() -> None:
    """Of several idle connections the most recently used one is reused."""
    with pool_harness(3) as g:
        a = g.origin()
        three = [await g.get(a) for _ in range(3)]
        for connection in three:
            await g.serve(connection)
        assert counts(g.pool) == (3, 0, 3, 0)
        again = [await g.get(a) for _ in range(3)]
        assert again == three[::-1]
        assert g.pool.stats()["reused"] == 3


async def test_eviction() -> None:
    """A full pool closes the connection idle for longest in favour of another origin."""
    with pool_harness(2) as g:
        a, b, c = g.origin("a"), g.origin("b"), g.origin("c")
        first, second = await g.get(a), await g.get(b)
        await g.serve(first)
        await g.serve(second)
        third = await g.get(c)
        assert first.state == 2
        assert second.state == 0
        assert (a.open, b.open, c.open) == (0, 1, 1)
        assert g.pool.stats()["evicted"] == 1
        assert counts(g.pool) == (2, 1, 1, 0)
        await g.serve(third)


async def test_slot_for_another_origin() -> None:
    """A waiter for another origin gets the slot; the connection that used it is closed."""
    with pool_harness(1) as g:
        a, b = g.origin("a"), g.origin("b")
        connection = await g.get(a)
        log: list[str] = []
        task = await curio.spawn(g.acquire_and_serve, b, log, "b")
        await run_other_tasks()
        await g.serve(connection)
        await task.join()
        assert log == ["b"]
        assert connection.state == 2
        assert (a.open, b.open) == (0, 1)


async def test_unusable_idle_connection() -> None:
    """An idle connection that the peer closed, or sent data on, is discarded."""
    for words in (b"", b"\r\n", ANSWER, b"HTTP/1.1 408 Request Timeout\r\n\r\n"):
        with pool_harness(1) as g:
            a = g.origin()
            connection = await g.get(a)
            theirs = g.theirs[connection.fd]
            await g.serve(connection)
            theirs.send(words) if words else theirs.close()
            assert g.pool.get_idle(a) is None
            assert counts(g.pool) == (0, 0, 0, 0)


async def test_force_new_connection() -> None:
    """`force_new_connection` opens a connection, and closes an idle one at the limit."""
    for options in ({}, {"limit_per_origin": 1}):
        with pool_harness(1 if not options else 5, **options) as g:
            a = g.origin()
            first = await g.get(a)
            await g.serve(first)
            assert await g.pool.acquire(a, force_new_connection=True) is None
            assert first.state == 2
            assert counts(g.pool) == (1, 0, 0, 0)
            second = g.add_connection(a)
            waiter = await curio.spawn(g.pool.acquire, a, None, True)
            await run_other_tasks()
            await g.serve(second)
            assert await waiter.join() is None
            assert second.state == 2
            await g.pool.cancel_reservation(a)
            assert counts(g.pool) == (0, 0, 0, 0)


async def test_life_of_a_connection() -> None:
    """Connections are closed after the maximum number of exchanges, age, or idle time."""
    with pool_harness(1) as g:
        a = g.origin()
        g.pool.max_requests = 2
        connection = await g.get(a)
        await g.serve(connection)
        assert g.pool.get_idle(a) is connection
        await g.serve(connection)
        assert counts(g.pool) == (0, 0, 0, 0)
    with pool_harness(1) as g:
        a = g.origin()
        g.pool.max_age = 1e-9
        connection = await g.get(a)
        await g.serve(connection)
        assert g.pool.get_idle(a) is None
    with pool_harness(1) as g:
        a = g.origin()
        g.pool.idle_timeout = 1e-9
        await g.serve(await g.get(a))
        assert counts(g.pool) == (1, 0, 1, 0)
        g.pool.check_deadlines()
        assert counts(g.pool) == (0, 0, 0, 0)


async def test_an_old_connection_is_not_handed_on() -> None:
    """`max_connection_age` also applies to a connection that is handed from waiter to waiter."""
    with pool_harness(1) as g:
        a = g.origin()
        g.pool.max_age = 1e-9
        log: list[int] = []
        async with curio.TaskGroup() as tasks:
            for number in range(5):
                await tasks.spawn(g.acquire_and_serve, a, log, number)
        assert g.pool.stats()["created"] == 5
        assert g.pool.stats()["reused"] == 0


async def test_keep_alive_of_the_server() -> None:
    """`Keep-Alive: timeout=0` prevents reuse; an invalid value has no effect."""
    for hint, rests in (
        (b"timeout=0", True),
        (b"timeout=100, max=7", True),
        (b"timeout=x", True),
        (b"timeout=99999999999999999999", True),
    ):
        with pool_harness(1) as g:
            a = g.origin()
            answer = b"HTTP/1.1 200 OK\r\nKeep-Alive: %b\r\nContent-Length: 0\r\n\r\n" % hint
            connection = await g.get(a)
            await g.serve(connection, answer)
            assert (g.pool.get_idle(a) is connection) is rests


async def test_coroutine_closed_without_its_kernel() -> None:
    """A coroutine closed after its kernel ended leaves no slot and no descriptor."""
    with pool_harness(1) as g:
        a = g.origin()
        connection = await g.get(a)
        exchange = connection.exchange(HEAD, BaseHttpResponse())
        exchange.send(None)
        exchange.close()
        assert counts(g.pool) == (0, 0, 0, 0)
        assert connection.state == 2
        held = await g.get(a)
        turn = g.pool.acquire(a)
        turn.send(None)
        turn.close()
        assert counts(g.pool) == (1, 1, 0, 0)
        await held.aclose()


def test_origins_are_forgotten() -> None:
    """A crawl over many hosts keeps no data for those without connections."""
    with pool_harness(2) as g:
        for number in range(5000):
            g.pool.origin(number, f"http://{number}")
        gc.collect()
        alive = sum(1 for thing in gc.get_objects() if type(thing) is OriginPool)
        assert alive < 1000


def test_parser_limits() -> None:
    """The parser limits belong to the pool."""
    limits = Limits(head=100, fields=3, interim=1)
    assert Pool(1, limits=limits).limits is limits


def test_pool_is_freed() -> None:
    """A closed pool and its connections are freed when the user drops them."""
    made = PoolHarness(2)
    a = made.origin()
    run(run(made.get(a)).release())
    made.close()
    gone = weakref.ref(made.pool)
    del made, a
    gc.collect()
    assert gone() is None
