"""Who waits, in which order they get their turn, and what they leave behind when they give up."""

from __future__ import annotations

from typing import Any

import curio
import pytest
from support.cancel_at_each_await import cancelled_at
from support.pool_harness import counts, ground, turns

from asks_fast._hotpath import OriginPool
from asks_fast.errors import PoolTimeout, SessionClosed


@pytest.mark.in_order
async def test_first_come_first_served() -> None:
    """Waiters get their turn in the order they came, each with the connection that came free."""
    with ground(1) as g:
        a = g.origin()
        log: list[int] = []
        async with curio.TaskGroup() as tasks:
            for number in range(20):
                await tasks.spawn(g.visit, a, log, number)
        assert log == list(range(20))
        assert g.pool.stats()["created"] == 1
        assert counts(g.pool) == (1, 0, 1, 0)


async def test_a_place_travels_with_the_wake_up() -> None:
    """Between a return and the waiter's turn the place is nobody else's."""
    with ground(1) as g:
        a = g.origin()
        first = await g.get(a)
        log: list[str] = []
        waiter = await curio.spawn(g.visit, a, log, "waiter")
        await turns()
        assert counts(g.pool) == (1, 1, 0, 1)
        await g.serve(first)
        assert counts(g.pool) == (1, 1, 0, 0)
        latecomer = await curio.spawn(g.visit, a, log, "latecomer")
        await waiter.join()
        await latecomer.join()
        assert log == ["waiter", "latecomer"]


async def test_what_is_closed_is_not_handed_to_a_waiter() -> None:
    """A connection that goes straight to a waiter is looked at too: surplus is never an answer."""
    with ground(1) as g:
        a = g.origin()
        connection = await g.get(a)
        theirs = g.theirs[connection.fd]
        log: list[Any] = []

        async def visitor() -> None:
            log.append(await g.get(a))

        task = await curio.spawn(visitor)
        await turns()
        await g.serve(connection)
        theirs.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        await task.join()
        assert log[0] is not connection
        assert connection.state == 2
        assert counts(g.pool) == (1, 1, 0, 0)


async def test_its_own_origin_is_preferred() -> None:
    """What came free goes to who can use it as it is, before another who came a little earlier."""
    with ground(1) as g:
        a, b = g.origin("a"), g.origin("b")
        connection = await g.get(a)
        log: list[str] = []
        async with curio.TaskGroup() as tasks:
            for number in range(6):
                await tasks.spawn(g.visit, (b, a)[number % 2], log, "ba"[number % 2])
            await turns()
            await g.serve(connection)
        assert log == ["a", "a", "a", "b", "b", "b"]
        assert g.pool.stats()["created"] == 2


@pytest.mark.in_order
async def test_nobody_is_overtaken_for_long() -> None:
    """Of those who come without end for one origin only so many go before one for another."""
    with ground(1) as g:
        a, b = g.origin("a"), g.origin("b")
        connection = await g.get(a)
        log: list[str] = []
        async with curio.TaskGroup() as tasks:
            await tasks.spawn(g.visit, b, log, "b")
            for _ in range(50):
                await tasks.spawn(g.visit, a, log, "a")
            await turns()
            await g.serve(connection)
        assert log.index("b") == 8
        assert len(log) == 51


async def test_places_that_come_free_go_by_arrival_within_an_origin() -> None:
    """A waiter that moved from its origin's line into the pool's line keeps its turn."""
    with ground(1, limit_per_origin=2) as g:
        a, b = g.origin("a"), g.origin("b")
        log: list[str] = []

        async def fail_to_open(origin: OriginPool, name: str) -> None:
            assert await g.pool.acquire(origin) is None
            log.append(name)
            await g.pool.cancel_reservation(origin)

        assert await g.pool.acquire(a) is None
        async with curio.TaskGroup() as tasks:
            for origin, name in ((a, "a1"), (a, "a2"), (a, "a3"), (b, "b")):
                await tasks.spawn(fail_to_open, origin, name)
            await turns()
            await g.pool.cancel_reservation(a)
        assert log == ["a1", "a2", "a3", "b"]
        assert counts(g.pool) == (0, 0, 0, 0)


async def test_share_of_one_origin() -> None:
    """An origin gets no more than its share; others pass by those who wait for it."""
    with ground(3, limit_per_origin=1) as g:
        a, b = g.origin("a"), g.origin("b")
        at_a = await g.get(a)
        log: list[str] = []
        waiting = await curio.spawn(g.visit, a, log, "a")
        await turns()
        await g.visit(b, log, "b")
        assert log == ["b"]
        await g.serve(at_a)
        await waiting.join()
        assert log == ["b", "a"]
        assert a.open == 1


async def test_share_leaves_no_waiter_behind() -> None:
    """When one who moved up is cancelled, the next of its origin moves up in its stead."""
    with ground(1, limit_per_origin=1) as g:
        a, b = g.origin("a"), g.origin("b")
        held = await g.get(a)
        log: list[str] = []
        first = await curio.spawn(g.visit, b, log, "b1")
        second = await curio.spawn(g.visit, a, log, "a1")
        third = await curio.spawn(g.visit, a, log, "a2")
        fourth = await curio.spawn(g.visit, b, log, "b2")
        await turns()
        await held.aclose()
        await second.cancel()
        for task in (first, third, fourth):
            await task.join()
        assert sorted(log) == ["a2", "b1", "b2"]
        assert log[0] == "b1"
        assert counts(g.pool)[1:] == (0, 1, 0)


async def test_cancelled_in_line() -> None:
    """Whoever is cancelled in line leaves it, from the front, the middle and the end."""
    with ground(1) as g:
        a = g.origin()
        held = await g.get(a)
        log: list[int] = []
        tasks = [await curio.spawn(g.visit, a, log, number) for number in range(5)]
        await turns()
        for place in (0, 2, 4):
            await tasks[place].cancel()
        assert counts(g.pool) == (1, 1, 0, 2)
        await g.serve(held)
        await tasks[1].join()
        await tasks[3].join()
        assert log == [1, 3]
        assert counts(g.pool) == (1, 0, 1, 0)


@pytest.mark.in_order
@pytest.mark.parametrize("usable", [True, False])
async def test_cancelled_with_the_turn_in_hand(usable: bool) -> None:
    """A turn that comes at the moment of the cancellation goes to the next in line."""
    with ground(1) as g:
        a = g.origin()
        held = await g.get(a)
        log: list[str] = []

        async def doomed() -> None:
            # Cancelled while it can't be: the blow falls at the first wait after the turn.
            async with curio.disable_cancellation():
                connection = await g.get(a)
            try:
                await curio.sleep(1000)
            finally:
                await connection.aclose()

        first = await curio.spawn(doomed)
        second = await curio.spawn(g.visit, a, log, "second")
        await turns()
        if usable:
            await g.serve(held)
        else:
            await held.aclose()
        await first.cancel()
        await second.join()
        assert log == ["second"]
        assert counts(g.pool) == (1, 0, 1, 0)


async def test_cancellation_swept_over_the_line() -> None:
    """Cancelled at any wait of its turn, a request leaves neither waiter nor place behind."""
    with ground(1) as g:
        a = g.origin()
        held = await g.get(a)
        with pytest.raises(curio.TaskCancelled):
            await cancelled_at(0, g.pool.acquire(a))
        assert counts(g.pool) == (1, 1, 0, 0)
        await held.aclose()
        assert counts(g.pool) == (0, 0, 0, 0)


async def test_time_limit_in_line() -> None:
    """`pool_timeout` ends the wait with an error that says what helps, and leaves no waiter."""
    with ground(1) as g:
        a = g.origin()
        held = await g.get(a)
        with pytest.raises(PoolTimeout, match=r"waited 0.01 s .* 1 connections") as caught:
            await g.pool.acquire(a, 0.01)
        assert caught.value.limit == 0.01
        assert isinstance(caught.value, TimeoutError)
        assert counts(g.pool) == (1, 1, 0, 0)
        await g.serve(held)
        assert counts(g.pool) == (1, 0, 1, 0)


async def test_a_time_limit_from_outside_passes_through() -> None:
    """A limit that the caller set is the caller's error, not ours."""
    with ground(1) as g:
        a = g.origin()
        held = await g.get(a)
        with pytest.raises(curio.TaskTimeout):
            await curio.timeout_after(0.01, g.pool.acquire(a))
        with pytest.raises(curio.TaskTimeout):
            await curio.timeout_after(0.01, g.pool.acquire(a, 1000))
        assert counts(g.pool) == (1, 1, 0, 0)
        await held.aclose()


async def test_close_refuses_those_in_line() -> None:
    """Closing wakes every waiter with `SessionClosed`; whoever comes later gets it at once."""
    with ground(1, limit_per_origin=1) as g:
        a, b = g.origin("a"), g.origin("b")
        await g.get(a)
        outcomes: list[str] = []

        async def wait_for(origin: OriginPool) -> None:
            try:
                await g.pool.acquire(origin)
            except SessionClosed as error:
                outcomes.append(str(error))

        tasks = [await curio.spawn(wait_for, origin) for origin in (a, b, a, b)]
        await turns()
        for waiter in g.pool.close():
            await waiter.wake
        for task in tasks:
            await task.join()
        assert len(outcomes) == 4
        assert counts(g.pool) == (0, 0, 0, 0)
        for fresh in (False, True):
            with pytest.raises(SessionClosed):
                await g.pool.acquire(a, force_new_connection=fresh)
        assert g.pool.close() == []


async def test_close_between_a_turn_and_its_use() -> None:
    """A turn given before the pool was closed is not used after it."""
    with ground(1) as g:
        a = g.origin()
        held = await g.get(a)
        for give in (True, False):
            task = await curio.spawn(g.pool.acquire, a)
            await turns()
            if give:
                await g.serve(held)
                held = None  # type: ignore[assignment]
                break
        for waiter in g.pool.close():
            await waiter.wake
        with pytest.raises(curio.TaskError) as caught:
            await task.join()
        assert isinstance(caught.value.__cause__, SessionClosed)
        assert counts(g.pool) == (0, 0, 0, 0)


async def test_dropped_without_waiting() -> None:
    """What can't await gives its place back too; whoever waits gets it when the pool settles."""
    with ground(1) as g:
        a = g.origin()
        held = await g.get(a)
        is_set: list[int] = []
        g.pool.wake_monitor = lambda: is_set.append(1)
        log: list[str] = []
        task = await curio.spawn(g.visit, a, log, "waiter")
        await turns()
        held.close_nowait()
        assert is_set == [1]
        await g.pool.wake_pending()
        await task.join()
        assert log == ["waiter"]
        held.close_nowait()
        assert counts(g.pool) == (1, 0, 1, 0)


async def test_ten_thousand_waiters() -> None:
    """Ten thousand wait in line, are woken one at a time, and each gets its turn."""
    with ground(50) as g:
        a = g.origin()
        log: list[int] = []
        async with curio.TaskGroup(wait=all) as tasks:
            for number in range(10_000):
                await tasks.spawn(g.visit, a, log, number)
        assert sorted(log) == list(range(10_000))
        stats = g.pool.stats()
        assert stats["created"] == 50
        assert stats["waiting"] == 0
        assert counts(g.pool) == (50, 0, 50, 0)
