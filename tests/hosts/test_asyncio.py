"""Requests in asyncio and uvloop: each works like a coroutine of that library."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import curio
import pytest
from support.hosts import (
    ANSWERING,
    ASYNCIO,
    DRIPPING,
    FEWEST_WAITS,
    IN_PIECES,
    SILENT,
    Main,
    acting_at,
    run_asyncio,
    run_eager,
    storms,
)
from support.leaks import assert_no_active_requests
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import HSession

CANCELLATIONS = (asyncio.CancelledError, asyncio.TimeoutError, asks_fast.RequestTimeout)

Run = Callable[[Main], Any]
every_loop = pytest.mark.parametrize("run", ASYNCIO, ids=lambda run: run.__name__)


@every_loop
def test_all_request_methods(peer: MakePeer, run: Run, tmp_path: Path) -> None:
    """One-shot calls, sessions, streams, uploads, `map` and `gather` work."""
    server = peer(*[ANSWERING] * 40)

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"a", b"b"):
            await asyncio.sleep(0)
            yield chunk

    async def main() -> None:
        assert (await asks_fast.get(server.url)).content == b"ok"
        async with HSession(server.url, connections=5) as session:
            assert (await session.post(path="/", data=chunks())).status_code == 200
            async with await session.get(path="/", stream=True) as streamed:
                assert [chunk async for chunk in streamed.body] == [b"ok"]
            streamed = await session.get(path="/", stream=True)
            assert await streamed.body.save(tmp_path / "file") == 2
            results = [result async for result in session.map(["/"] * 9)]
            assert [result.response.status_code for result in results] == [200] * 9
            assert len(await session.gather(["/"] * 3)) == 3
            assert await session.warm_up(3) >= 3
            prepared = session.prepare("GET", path="/")
            assert (await session.send(prepared)).content == b"ok"
            assert_no_active_requests(session)
        async with asks_fast.DSession() as many:
            assert (await many.get(server.url)).content == b"ok"

    run(main)


@every_loop
def test_asyncio_functions(peer: MakePeer, run: Run) -> None:
    """`gather`, `create_task`, `wait_for`, `shield` and `as_completed` accept a request."""
    server = peer(*[ANSWERING] * 4)

    async def main() -> None:
        async with HSession(server.url, connections=4) as session:
            responses = await asyncio.gather(*(session.get(path="/") for _ in range(50)))
            assert {response.status_code for response in responses} == {200}
            assert (await asyncio.create_task(session.get(path="/"))).content == b"ok"
            assert (await asyncio.wait_for(session.get(path="/"), 10)).content == b"ok"
            assert (await asyncio.shield(session.get(path="/"))).content == b"ok"
            for done in asyncio.as_completed([session.get(path="/"), session.get(path="/")]):
                assert (await done).content == b"ok"
            assert_no_active_requests(session)

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with Python 3.11")
def test_task_group(peer: MakePeer) -> None:
    """A request that fails in a TaskGroup cancels the others."""
    server = peer(SILENT, SILENT)

    async def both(session: HSession) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(session.get(path="/"))
            group.create_task(session.get(path="/", timeout=0.05))

    async def main() -> None:
        async with HSession(server.url, connections=2) as session:
            with pytest.raises(ExceptionGroup) as caught:  # noqa: F821
                await both(session)
            assert [type(e) for e in caught.value.exceptions] == [asks_fast.TotalTimeout]
            assert_no_active_requests(session)

    run_asyncio(main)


def test_request_as_main_coroutine(peer: MakePeer) -> None:
    """`asyncio.run(session.get(url))` works, also repeatedly with one session."""
    server = peer(ANSWERING, ANSWERING, ANSWERING)
    assert asyncio.run(asks_fast.get(server.url)).content == b"ok"
    session = HSession(server.url)
    assert asyncio.run(session.get(path="/")).content == b"ok"
    assert asyncio.run(session.get(path="/")).content == b"ok"
    assert curio.run(session.get).content == b"ok"
    asyncio.run(session.close())


@pytest.mark.parametrize("later", [False, True], ids=["start_of_wait", "during_wait"])
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@every_loop
def test_cancelled_at_every_wait(peer: MakePeer, run: Run, streamed: bool, later: bool) -> None:
    """`task.cancel()` at each wait raises CancelledError and frees the pool slot."""
    server = peer(*[DRIPPING] * 60)

    async def main() -> None:
        async with HSession(server.url, connections=1) as session:

            async def fetch() -> bytes:
                if not streamed:
                    return (await session.get(path="/")).content
                async with await session.get(path="/", stream=True) as response:
                    return await response.body.read()

            wait_number = 0
            while True:

                def act() -> None:
                    task = asyncio.current_task()
                    assert task is not None
                    if later:
                        asyncio.get_running_loop().call_soon(task.cancel)
                    else:
                        task.cancel()

                async def body(wait_number: int = wait_number) -> bytes:
                    return await acting_at(wait_number, fetch(), act)

                task = asyncio.create_task(body())
                try:
                    assert await task == b"abcdefg"
                except asyncio.CancelledError:
                    wait_number += 1
                    assert_no_active_requests(session)
                    assert await fetch() == b"abcdefg"
                else:
                    if wait_number >= FEWEST_WAITS:
                        return
                    # A busy machine has delivered several pieces at once: try again.

    run(main)


@storms
@every_loop
def test_random_cancellation(peer: MakePeer, run: Run, count: int) -> None:
    """Thousands of cancellations and time limits at random moments leave no slot in use."""
    server = peer(*[IN_PIECES] * 4 * count)
    rng = random.Random(1)

    async def fetch(session: HSession) -> None:
        choice = rng.randrange(4)
        delay = rng.random() * 0.02
        task = asyncio.create_task(
            session.get(path="/", timeout=delay + 0.001) if choice == 0 else session.get(path="/")
        )
        if choice == 1:
            asyncio.get_running_loop().call_later(delay, task.cancel)
        with contextlib.suppress(*CANCELLATIONS):
            await (asyncio.wait_for(task, delay) if choice == 2 else task)

    async def main() -> None:
        async with HSession(server.url, connections=10) as session:
            for _ in range(count // 100):
                await asyncio.gather(*(fetch(session) for _ in range(100)))
                assert_no_active_requests(session)
                assert (await session.get(path="/")).content == b"abcdefg"

    run(main)


def test_closed_after_it_was_woken(peer: MakePeer) -> None:
    """A coroutine may be closed between the event it waits for and its turn."""
    server = peer(*[ANSWERING] * 3)

    async def main() -> None:
        reported: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        async with HSession(server.url, connections=2) as session:
            calls = [session.get(path="/") for _ in range(2)]
            waits = [call.send(None) for call in calls]  # both connect, and are woken together
            first = loop.create_future()
            for wait, other in zip(waits, calls[::-1], strict=True):

                def close_other(_: object, other: Any = other) -> None:
                    if not first.done():
                        first.set_result(None)
                        other.close()

                wait.add_done_callback(close_other, context=contextvars.copy_context())
            await first
            for call in calls:
                call.close()
            assert (await session.get(path="/")).content == b"ok"
            assert_no_active_requests(session)
        assert reported == []

    asyncio.run(main())


@every_loop
def test_user_code_awaits_asyncio(peer: MakePeer, run: Run) -> None:
    """A resolver, an auth class and a body can await asyncio and send requests."""
    server = peer(*[ANSWERING] * 9)
    seen: list[Any] = []

    async def resolver(host: str) -> list[str]:
        assert asyncio.current_task() is not None
        await asyncio.sleep(0.001)
        return ["127.0.0.1"]

    class Auth(asks_fast.PreResponseAuth):
        async def __call__(self, request: Any) -> dict[str, str]:
            await asyncio.sleep(0.001)
            seen.append(asyncio.current_task())
            seen.append((await asks_fast.get(server.url)).content)
            return {}

    async def main() -> None:
        url = f"http://name.test:{server.port}"
        async with HSession(url, resolver=resolver, auth=Auth()) as session:
            assert (await session.get(path="/")).content == b"ok"
            assert seen == [asyncio.current_task(), b"ok"]

    run(main)


@every_loop
def test_time_limit_ends_wait_of_user_code(peer: MakePeer, run: Run) -> None:
    """`timeout=` ends a wait of user code for the loop; the task is not cancelled."""
    server = peer(*[ANSWERING] * 4)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(60)

    async def main() -> None:
        async with HSession(server.url) as session:
            with pytest.raises(asks_fast.TotalTimeout):
                await session.post(path="/", data=chunks(), timeout=0.05)
            task = asyncio.current_task()
            assert task is not None
            assert sys.version_info < (3, 11) or task.cancelling() == 0
            assert_no_active_requests(session)
            task = asyncio.create_task(session.post(path="/", data=chunks()))
            while not session.pool_stats()["in_use"]:
                await asyncio.sleep(0.001)
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await task
            assert_no_active_requests(session)
            assert (await session.get(path="/")).content == b"ok"

    run(main)


def test_time_limit_of_user_code(peer: MakePeer) -> None:
    """`asyncio.timeout` in user code, around its own request, raises TimeoutError there."""
    if sys.version_info < (3, 11):
        pytest.skip("asyncio.timeout came with Python 3.11")
    server = peer(SILENT, ANSWERING)
    outer = peer(ANSWERING)

    class Auth(asks_fast.PreResponseAuth):
        async def __call__(self, request: Any) -> dict[str, str]:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await asks_fast.get(server.url)
            assert (await asks_fast.get(server.url)).content == b"ok"
            return {}

    async def main() -> None:
        async with HSession(outer.url, auth=Auth()) as session:
            assert (await session.get(path="/")).content == b"ok"

    run_asyncio(main)


@every_loop
def test_context_variables(peer: MakePeer, run: Run) -> None:
    """A request and the user code in it use the caller's context."""
    server = peer(ANSWERING, ANSWERING)
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    class Auth(asks_fast.PreResponseAuth):
        async def __call__(self, request: Any) -> dict[str, str]:
            variable.set(variable.get() + 1)
            return {}

    async def main() -> None:
        variable.set(1)
        async with HSession(server.url, auth=Auth()) as session:
            await session.get(path="/")
            assert variable.get() == 2
            await asyncio.create_task(session.get(path="/"))
            assert variable.get() == 2

    run(main)


@every_loop
def test_internal_tasks_are_not_in_all_tasks(peer: MakePeer, run: Run) -> None:
    """`asyncio.all_tasks()` does not contain the pool monitor."""
    server = peer(ANSWERING)

    async def main() -> None:
        async with HSession(server.url) as session:
            await session.get(path="/")
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main)


def test_curio_inside_asyncio(peer: MakePeer) -> None:
    """`curio.run` in a task of asyncio does not disturb the guest kernel."""
    server = peer(*[ANSWERING] * 4)

    async def main() -> None:
        async with HSession(server.url) as session:
            await session.get(path="/")
            assert curio.run(asks_fast.get, server.url).content == b"ok"
            assert (await session.get(path="/")).content == b"ok"
            assert session.pool_stats()["created"] == 1

    run_asyncio(main)


def test_eager_requests(peer: MakePeer) -> None:
    """A request can start inside `create_task`, also in user code of another request."""
    server = peer(*[ANSWERING] * 8)

    class Auth(asks_fast.PreResponseAuth):
        async def __call__(self, request: Any) -> dict[str, str]:
            task = asyncio.create_task(asks_fast.get(server.url))
            assert (await task).content == b"ok"
            return {}

    async def main() -> None:
        async with HSession(server.url, auth=Auth()) as session:
            responses = await asyncio.gather(*(session.get(path="/") for _ in range(3)))
            assert [response.content for response in responses] == [b"ok"] * 3

    run_asyncio(main)
    if sys.version_info >= (3, 12):
        run_eager(main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio(peer: MakePeer, backend: str) -> None:
    """Task groups and cancel scopes of anyio work, with asyncio and with trio."""
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(backend)
    server = peer(*[ANSWERING] * 3, *[SILENT] * 3)

    async def main() -> None:
        async with HSession(server.url, connections=3) as session:
            async with anyio.create_task_group() as group:
                for _ in range(9):
                    group.start_soon(lambda: session.get(path="/"))
            async with HSession(server.url, connections=3) as silent:
                with anyio.move_on_after(0.05) as scope:
                    async with anyio.create_task_group() as group:
                        for _ in range(3):
                            group.start_soon(lambda: silent.get(path="/"))
                assert scope.cancel_called
                assert_no_active_requests(silent)

    anyio.run(main, backend=backend)
