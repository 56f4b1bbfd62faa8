"""The queue of waiting requests: order, hand-over of slots, and cancellation."""

from __future__ import annotations

from typing import Any

import curio
import pytest
from support.cancel_at_each_await import cancel_at
from support.pool_harness import counts, pool_harness, run_other_tasks

from asks_fast._hotpath import OriginPool
from asks_fast.errors import PoolTimeout, SessionClosed


async def test_first_come_first_served() -> None:
    """Waiters are served in order of arrival, each with the connection that was released."""
    with pool_harness(1) as g:
        a = g.origin()
        held = await g.get(a)
        log: list[int] = []
        async with curio.TaskGroup() as tasks:
            for number in range(20):
                await tasks.spawn(g.acquire_and_serve, a, log, number)
                await run_other_tasks()
            await g.serve(held)
        assert log == list(range(20))
        assert g.pool.stats()["created"] == 1
        assert counts(g.pool) == (1, 0, 1, 0)


async def test_slot_is_handed_to_the_waiter() -> None:
    """Between a release and the waiter's next step no other task can take the slot."""
    with pool_harness(1) as g:
        a = g.origin()
        first = await g.get(a)
        log: list[str] = []
        waiter = await curio.spawn(g.acquire_and_serve, a, log, "waiter")
        await run_other_tasks()
        assert counts(g.pool) == (1, 1, 0, 1)
        await g.serve(first)
        assert counts(g.pool) == (1, 1, 0, 0)
        latecomer = await curio.spawn(g.acquire_and_serve, a, log, "latecomer")
        await waiter.join()
        await latecomer.join()
        assert log == ["waiter", "latecomer"]


async def test_unusable_connection_for_a_waiter() -> None:
    """A connection handed to a waiter is checked for surplus bytes and closing, too."""
    with pool_harness(1) as g:
        a = g.origin()
        connection = await g.get(a)
        theirs = g.theirs[connection.fd]
        log: list[Any] = []

        async def visitor() -> None:
            log.append(await g.get(a))

        task = await curio.spawn(visitor)
        await run_other_tasks()
        await g.serve(connection)
        theirs.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        await task.join()
        assert log[0] is not connection
        assert connection.state == 2
        assert counts(g.pool) == (1, 1, 0, 0)


async def test_its_own_origin_is_preferred() -> None:
    """A released connection goes to a waiter of its own origin before an earlier one of another."""
    with pool_harness(1) as g:
        a, b = g.origin("a"), g.origin("b")
        connection = await g.get(a)
        log: list[str] = []
        async with curio.TaskGroup() as tasks:
            for number in range(6):
                await tasks.spawn(g.acquire_and_serve, (b, a)[number % 2], log, "ba"[number % 2])
            await run_other_tasks()
            await g.serve(connection)
        assert log == ["a", "a", "a", "b", "b", "b"]
        assert g.pool.stats()["created"] == 2


async def test_overtaking_is_bounded() -> None:
    """Only so many waiters of one origin are served before an earlier one of another origin."""
    with pool_harness(1) as g:
        a, b = g.origin("a"), g.origin("b")
        connection = await g.get(a)
        log: list[str] = []
        async with curio.TaskGroup() as tasks:
            await tasks.spawn(g.acquire_and_serve, b, log, "b")
            await run_other_tasks()
            for _ in range(50):
                await tasks.spawn(g.acquire_and_serve, a, log, "a")
            await run_other_tasks()
            await g.serve(connection)
        assert log.index("b") == 8
        assert len(log) == 51


async def test_order_within_an_origin() -> None:
    """A waiter that moved from its origin's queue to the pool's queue keeps its position."""
    with pool_harness(1, limit_per_origin=2) as g:
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
                await run_other_tasks()
            await g.pool.cancel_reservation(a)
        assert log == ["a1", "a2", "a3", "b"]
        assert counts(g.pool) == (0, 0, 0, 0)


async def test_limit_per_origin() -> None:
    """An origin gets at most `limit_per_origin` connections; others pass its waiters."""
    with pool_harness(3, limit_per_origin=1) as g:
        a, b = g.origin("a"), g.origin("b")
        at_a = await g.get(a)
        log: list[str] = []
        waiting = await curio.spawn(g.acquire_and_serve, a, log, "a")
        await run_other_tasks()
        await g.acquire_and_serve(b, log, "b")
        assert log == ["b"]
        await g.serve(at_a)
        await waiting.join()
        assert log == ["b", "a"]
        assert a.open == 1


async def test_limit_per_origin_after_a_cancellation() -> None:
    """If a waiter that moved up is cancelled, the next one of its origin moves up."""
    with pool_harness(1, limit_per_origin=1) as g:
        a, b = g.origin("a"), g.origin("b")
        held = await g.get(a)
        log: list[str] = []
        tasks: list[curio.Task] = []
        for origin, name in ((b, "b1"), (a, "a1"), (a, "a2"), (b, "b2")):
            tasks.append(await curio.spawn(g.acquire_and_serve, origin, log, name))
            await run_other_tasks()
        first, second, third, fourth = tasks
        await held.aclose()
        await second.cancel()
        for task in (first, third, fourth):
            await task.join()
        assert sorted(log) == ["a2", "b1", "b2"]
        assert log[0] == "b1"
        assert counts(g.pool)[1:] == (0, 1, 0)


async def test_cancelled_while_waiting() -> None:
    """A cancelled waiter leaves the queue, at its front, in the middle and at its end."""
    with pool_harness(1) as g:
        a = g.origin()
        held = await g.get(a)
        log: list[int] = []
        tasks: list[curio.Task] = []
        for number in range(5):
            tasks.append(await curio.spawn(g.acquire_and_serve, a, log, number))
            await run_other_tasks()
        for place in (0, 2, 4):
            await tasks[place].cancel()
        assert counts(g.pool) == (1, 1, 0, 2)
        await g.serve(held)
        await tasks[1].join()
        await tasks[3].join()
        assert log == [1, 3]
        assert counts(g.pool) == (1, 0, 1, 0)


@pytest.mark.parametrize("usable", [True, False])
async def test_cancelled_with_a_grant(usable: bool) -> None:
    """A grant that coincides with the cancellation goes to the next waiter."""
    with pool_harness(1) as g:
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
        await run_other_tasks()
        second = await curio.spawn(g.acquire_and_serve, a, log, "second")
        await run_other_tasks()
        if usable:
            await g.serve(held)
        else:
            await held.aclose()
        await first.cancel()
        await second.join()
        assert log == ["second"]
        assert counts(g.pool) == (1, 0, 1, 0)


async def test_cancelled_at_each_wait() -> None:
    """After cancellation at any wait in the queue no waiter and no slot is left."""
    with pool_harness(1) as g:
        a = g.origin()
        held = await g.get(a)
        with pytest.raises(curio.TaskCancelled):
            await cancel_at(0, g.pool.acquire(a))
        assert counts(g.pool) == (1, 1, 0, 0)
        await held.aclose()
        assert counts(g.pool) == (0, 0, 0, 0)


async def test_pool_timeout() -> None:
    """`pool_timeout` ends the wait with an error that says what helps, and leaves no waiter."""
    with pool_harness(1) as g:
        a = g.origin()
        held = await g.get(a)
        with pytest.raises(PoolTimeout, match=r"waited 0.01 s .* 1 connections") as caught:
            await g.pool.acquire(a, 0.01)
        assert caught.value.limit == 0.01
        assert isinstance(caught.value, TimeoutError)
        assert counts(g.pool) == (1, 1, 0, 0)
        await g.serve(held)
        assert counts(g.pool) == (1, 0, 1, 0)


async def test_timeout_of_the_caller() -> None:
    """The caller's time limit raises the caller's error, not ours."""
    with pool_harness(1) as g:
        a = g.origin()
        held = await g.get(a)
        with pytest.raises(curio.TaskTimeout):
            await curio.timeout_after(0.01, g.pool.acquire(a))
        with pytest.raises(curio.TaskTimeout):
            await curio.timeout_after(0.01, g.pool.acquire(a, 1000))
        assert counts(g.pool) == (1, 1, 0, 0)
        await held.aclose()


async def test_close_rejects_waiters() -> None:
    """Closing wakes every waiter with `SessionClosed`; later requests raise it at once."""
    with pool_harness(1, limit_per_origin=1) as g:
        a, b = g.origin("a"), g.origin("b")
        await g.get(a)
        outcomes: list[str] = []

        async def wait_for(origin: OriginPool) -> None:
            try:
                await g.pool.acquire(origin)
            except SessionClosed as error:
                outcomes.append(str(error))

        tasks = [await curio.spawn(wait_for, origin) for origin in (a, b, a, b)]
        await run_other_tasks()
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


async def test_close_between_grant_and_use() -> None:
    """A grant from before the close is not used after it."""
    with pool_harness(1) as g:
        a = g.origin()
        held = await g.get(a)
        for give in (True, False):
            task = await curio.spawn(g.pool.acquire, a)
            await run_other_tasks()
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


async def test_slot_freed_without_waiting() -> None:
    """A slot freed where nothing can be awaited goes to a waiter when the pool wakes it."""
    with pool_harness(1) as g:
        a = g.origin()
        held = await g.get(a)
        is_set: list[int] = []
        g.pool.wake_monitor = lambda: is_set.append(1)
        log: list[str] = []
        task = await curio.spawn(g.acquire_and_serve, a, log, "waiter")
        await run_other_tasks()
        held.close_nowait()
        assert is_set == [1]
        await g.pool.wake_pending()
        await task.join()
        assert log == ["waiter"]
        held.close_nowait()
        assert counts(g.pool) == (1, 0, 1, 0)


async def test_ten_thousand_waiters() -> None:
    """Ten thousand waiters are woken one at a time, and each is served."""
    with pool_harness(50) as g:
        a = g.origin()
        log: list[int] = []
        async with curio.TaskGroup(wait=all) as tasks:
            for number in range(10_000):
                await tasks.spawn(g.acquire_and_serve, a, log, number)
        assert sorted(log) == list(range(10_000))
        stats = g.pool.stats()
        assert stats["created"] == 50
        assert stats["waiting"] == 0
        assert counts(g.pool) == (50, 0, 50, 0)
