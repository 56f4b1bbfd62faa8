"""Who gets which connection: the pool's decisions, over socket pairs, without a network."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import curio
import pytest
from support.sweep import cancelled_at
from support.wire import run

from asks_fast._hotpath import Connection, Limits, OriginPool, Pool, ResponseCore
from asks_fast.errors import PoolTimeout, SessionClosed

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HEAD = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


class Ground:
    """A pool whose connections are socket pairs; the other ends are kept by descriptor."""

    def __init__(self, limit: int, **options: Any) -> None:
        self.pool = Pool(limit, **options)
        self.theirs: dict[int, socket.socket] = {}
        self.ends: list[socket.socket] = []

    def origin(self, name: str = "a") -> OriginPool:
        return self.pool.origin(name, f"http://{name}")

    def adopt(self, origin: OriginPool) -> Connection:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.theirs[ours.fileno()] = theirs
        self.ends.append(theirs)
        return self.pool.adopt(origin, ours)

    async def get(self, origin: OriginPool, **options: Any) -> Connection:
        """A connection, made if the pool says so."""
        connection = await self.pool.turn(origin, **options)
        return self.adopt(origin) if connection is None else connection

    async def serve(self, connection: Connection, answer: bytes = ANSWER) -> ResponseCore:
        """One whole exchange over a connection that was lent."""
        self.theirs[connection.fd].send(answer)
        return await connection.exchange(HEAD, ResponseCore())

    async def visit(self, origin: OriginPool, log: list[Any], name: Any) -> None:
        connection = await self.get(origin)
        log.append(name)
        await self.serve(connection)

    def close(self) -> None:
        self.pool.close()
        self.close_ends()

    def close_ends(self) -> None:
        for theirs in self.ends:
            theirs.close()


@contextmanager
def ground(limit: int, **options: Any) -> Iterator[Ground]:
    made = Ground(limit, **options)
    try:
        yield made
    finally:
        made.close()


def counts(pool: Pool) -> tuple[int, int, int, int]:
    stats = pool.stats()
    return stats["open"], stats["lent"], stats["idle"], stats["waiting"]


async def turns(number: int = 3) -> None:
    """Let every other task run until it waits."""
    for _ in range(number):
        await curio.sleep(0)


@pytest.mark.parametrize("limit", [0, -1])
def test_no_places(limit: int) -> None:
    """A pool has one place at least."""
    with pytest.raises(ValueError, match="connections"):
        Pool(limit)


def test_repr_and_stats() -> None:
    """The `repr` tells the state, and the numbers add up."""
    with ground(2) as g:
        a = g.origin()
        assert repr(g.pool) == "<Pool 0 of 2 open: 0 lent, 0 idle; 0 waiting>"
        connection = run(g.get(a))
        assert repr(connection) == "<Connection 'http://a' lent, 0 exchanges>"
        assert repr(a) == "<OriginPool 'http://a' 1 open, 0 waiting>"
        assert g.pool.stats() == {
            "open": 1,
            "lent": 1,
            "idle": 0,
            "waiting": 0,
            "opening": 0,
            "made": 1,
            "reused": 0,
            "evicted": 0,
            "limit": 2,
        }
        g.pool.close()
        assert "closed" in repr(g.pool)
        assert repr(connection) == "<Connection 'http://a' closed, 0 exchanges>"


async def test_newest_first() -> None:
    """Of several idle connections the one used last serves next."""
    with ground(3) as g:
        a = g.origin()
        three = [await g.get(a) for _ in range(3)]
        for connection in three:
            await g.serve(connection)
        assert counts(g.pool) == (3, 0, 3, 0)
        again = [await g.get(a) for _ in range(3)]
        assert again == three[::-1]
        assert g.pool.stats()["reused"] == 3


async def test_first_come_first_served() -> None:
    """Waiters get their turn in the order they came, each with the connection that came free."""
    with ground(1) as g:
        a = g.origin()
        log: list[int] = []
        async with curio.TaskGroup() as tasks:
            for number in range(20):
                await tasks.spawn(g.visit, a, log, number)
        assert log == list(range(20))
        assert g.pool.stats()["made"] == 1
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


async def test_eviction() -> None:
    """A full pool closes the connection that rested longest to make room for another origin."""
    with ground(2) as g:
        a, b, c = g.origin("a"), g.origin("b"), g.origin("c")
        first, second = await g.get(a), await g.get(b)
        await g.serve(first)
        await g.serve(second)
        third = await g.get(c)
        assert first.place == 2
        assert second.place == 0
        assert (a.open, b.open, c.open) == (0, 1, 1)
        assert g.pool.stats()["evicted"] == 1
        assert counts(g.pool) == (2, 1, 1, 0)
        await g.serve(third)


async def test_a_place_for_another_origin() -> None:
    """A waiter for another origin gets the place; the connection that held it is closed."""
    with ground(1) as g:
        a, b = g.origin("a"), g.origin("b")
        connection = await g.get(a)
        log: list[str] = []
        task = await curio.spawn(g.visit, b, log, "b")
        await turns()
        await g.serve(connection)
        await task.join()
        assert log == ["b"]
        assert connection.place == 2
        assert (a.open, b.open) == (0, 1)


async def test_what_is_closed_is_not_lent() -> None:
    """An idle connection that the other side closed, or spoke on, is discarded."""
    for words in (b"", b"\r\n", ANSWER, b"HTTP/1.1 408 Request Timeout\r\n\r\n"):
        with ground(1) as g:
            a = g.origin()
            connection = await g.get(a)
            theirs = g.theirs[connection.fd]
            await g.serve(connection)
            theirs.send(words) if words else theirs.close()
            assert g.pool.take(a) is None
            assert counts(g.pool) == (0, 0, 0, 0)


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
        assert connection.place == 2
        assert counts(g.pool) == (1, 1, 0, 0)


async def test_fresh_takes_nothing_used() -> None:
    """`fresh` gives a new connection, at a limit by closing an idle one."""
    for options in ({}, {"share": 1}):
        with ground(1 if not options else 5, **options) as g:
            a = g.origin()
            first = await g.get(a)
            await g.serve(first)
            assert await g.pool.turn(a, fresh=True) is None
            assert first.place == 2
            assert counts(g.pool) == (1, 0, 0, 0)
            second = g.adopt(a)
            waiter = await curio.spawn(g.pool.turn, a, None, True)
            await turns()
            await g.serve(second)
            assert await waiter.join() is None
            assert second.place == 2
            await g.pool.forfeit(a)
            assert counts(g.pool) == (0, 0, 0, 0)


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
        assert g.pool.stats()["made"] == 2


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


async def test_share_of_one_origin() -> None:
    """An origin gets no more than its share; others pass by those who wait for it."""
    with ground(3, share=1) as g:
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
    with ground(1, share=1) as g:
        a, b = g.origin("a"), g.origin("b")
        held = await g.get(a)
        log: list[str] = []
        first = await curio.spawn(g.visit, b, log, "b1")
        second = await curio.spawn(g.visit, a, log, "a1")
        third = await curio.spawn(g.visit, a, log, "a2")
        fourth = await curio.spawn(g.visit, b, log, "b2")
        await turns()
        await held.discard()
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
                await connection.discard()

        first = await curio.spawn(doomed)
        second = await curio.spawn(g.visit, a, log, "second")
        await turns()
        if usable:
            await g.serve(held)
        else:
            await held.discard()
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
            await cancelled_at(0, g.pool.turn(a))
        assert counts(g.pool) == (1, 1, 0, 0)
        await held.discard()
        assert counts(g.pool) == (0, 0, 0, 0)


async def test_time_limit_in_line() -> None:
    """`pool_timeout` ends the wait with an error that says what helps, and leaves no waiter."""
    with ground(1) as g:
        a = g.origin()
        held = await g.get(a)
        with pytest.raises(PoolTimeout, match=r"waited 0.01 s .* 1 connections") as caught:
            await g.pool.turn(a, 0.01)
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
            await curio.timeout_after(0.01, g.pool.turn(a))
        with pytest.raises(curio.TaskTimeout):
            await curio.timeout_after(0.01, g.pool.turn(a, 1000))
        assert counts(g.pool) == (1, 1, 0, 0)
        await held.discard()


async def test_close_refuses_those_in_line() -> None:
    """Closing wakes every waiter with `SessionClosed`; whoever comes later gets it at once."""
    with ground(1, share=1) as g:
        a, b = g.origin("a"), g.origin("b")
        await g.get(a)
        outcomes: list[str] = []

        async def wait_for(origin: OriginPool) -> None:
            try:
                await g.pool.turn(origin)
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
                await g.pool.turn(a, fresh=fresh)
        assert g.pool.close() == []


async def test_close_between_a_turn_and_its_use() -> None:
    """A turn given before the pool was closed is not used after it."""
    with ground(1) as g:
        a = g.origin()
        held = await g.get(a)
        for give in (True, False):
            task = await curio.spawn(g.pool.turn, a)
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


async def test_life_of_a_connection() -> None:
    """Connections are given up after so many exchanges, seconds, or seconds of rest."""
    with ground(1) as g:
        a = g.origin()
        g.pool.most_exchanges = 2
        connection = await g.get(a)
        await g.serve(connection)
        assert g.pool.take(a) is connection
        await g.serve(connection)
        assert counts(g.pool) == (0, 0, 0, 0)
    with ground(1) as g:
        a = g.origin()
        g.pool.most_seconds = 1e-9
        connection = await g.get(a)
        await g.serve(connection)
        assert g.pool.take(a) is None
    with ground(1) as g:
        a = g.origin()
        g.pool.idle_seconds = 1e-9
        await g.serve(await g.get(a))
        assert counts(g.pool) == (1, 0, 1, 0)
        g.pool.make_rounds()
        assert counts(g.pool) == (0, 0, 0, 0)


async def test_an_old_connection_is_not_handed_on() -> None:
    """`max_connection_age` holds for a connection that goes from waiter to waiter too."""
    with ground(1) as g:
        a = g.origin()
        g.pool.most_seconds = 1e-9
        log: list[int] = []
        async with curio.TaskGroup() as tasks:
            for number in range(5):
                await tasks.spawn(g.visit, a, log, number)
        assert g.pool.stats()["made"] == 5
        assert g.pool.stats()["reused"] == 0


async def test_keep_alive_of_the_server() -> None:
    """`Keep-Alive: timeout=0` gives the connection no rest; no sense in it changes nothing."""
    for hint, rests in (
        (b"timeout=0", True),
        (b"timeout=100, max=7", True),
        (b"timeout=x", True),
        (b"timeout=99999999999999999999", True),
    ):
        with ground(1) as g:
            a = g.origin()
            answer = b"HTTP/1.1 200 OK\r\nKeep-Alive: %b\r\nContent-Length: 0\r\n\r\n" % hint
            connection = await g.get(a)
            await g.serve(connection, answer)
            assert (g.pool.take(a) is connection) is rests


async def test_dropped_without_waiting() -> None:
    """What can't await gives its place back too; whoever waits gets it when the pool settles."""
    with ground(1) as g:
        a = g.origin()
        held = await g.get(a)
        rung: list[int] = []
        g.pool.kick = lambda: rung.append(1)
        log: list[str] = []
        task = await curio.spawn(g.visit, a, log, "waiter")
        await turns()
        held.abandon()
        assert rung == [1]
        await g.pool.settle()
        await task.join()
        assert log == ["waiter"]
        held.abandon()
        assert counts(g.pool) == (1, 0, 1, 0)


async def test_a_task_that_is_thrown_away() -> None:
    """A coroutine closed from outside (its kernel is gone) leaves no place and no descriptor."""
    with ground(1) as g:
        a = g.origin()
        connection = await g.get(a)
        exchange = connection.exchange(HEAD, ResponseCore())
        exchange.send(None)
        exchange.close()
        assert counts(g.pool) == (0, 0, 0, 0)
        assert connection.place == 2
        held = await g.get(a)
        turn = g.pool.turn(a)
        turn.send(None)
        turn.close()
        assert counts(g.pool) == (1, 1, 0, 0)
        await held.discard()


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
        assert stats["made"] == 50
        assert stats["waiting"] == 0
        assert counts(g.pool) == (50, 0, 50, 0)


def test_origins_are_forgotten() -> None:
    """A crawl over many hosts keeps no record of those without connections."""
    with ground(2) as g:
        for number in range(5000):
            g.pool.origin(number, f"http://{number}")
        gc.collect()
        alive = sum(1 for thing in gc.get_objects() if type(thing) is OriginPool)
        assert alive < 1000


def test_limits_are_what_was_given() -> None:
    """The limits of parsing belong to the pool."""
    limits = Limits(head=100, fields=3, interim=1, strict=True)
    assert Pool(1, limits=limits).limits is limits


def test_pool_is_freed() -> None:
    """A closed pool and its connections are freed; nothing keeps them but the user."""
    made = Ground(2)
    a = made.origin()
    run(run(made.get(a)).release())
    made.close()
    gone = weakref.ref(made.pool)
    del made, a
    gc.collect()
    assert gone() is None
