"""session.map and session.gather, on a fake session."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import curio
import pytest
from curio import sleep
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_session import Answer, FakeSession

from asks_fast.crawl.map import Map, gather, map_requests
from asks_fast.errors import ConnectionFailed, InvalidRequest, ServerClosedConnectionError


async def later(url: str) -> Answer:
    await sleep(int(url) % 7 / 2000)
    return Answer(content=url.encode())


async def test_every_item_gives_one_result() -> None:
    """Every item of the input gives exactly one result, and the run ends by itself."""
    session = FakeSession(later)
    got = [r.response.content async for r in map_requests(session, map(str, range(500)))]
    assert sorted(got, key=int) == [str(n).encode() for n in range(500)]
    assert session.max_active == 10


async def test_in_order() -> None:
    """`ordered=True` gives results in the order of the input, for any order of responses."""
    session = FakeSession(later)
    mapped = map_requests(session, map(str, range(300)), ordered=True)
    assert [r.key async for r in mapped] == [str(n) for n in range(300)]


@pytest.mark.parametrize("ordered", [False, True])
async def test_results_held_back(ordered: bool) -> None:
    """Without a reader the run stops at `window` items, and continues when results are taken."""
    session = FakeSession()
    async with map_requests(
        session, map(str, count()), concurrency=4, window=9, ordered=ordered
    ) as results:
        await sleep(0.05)
        assert len(session.asked) == 9
        for _ in range(3):
            await results.__anext__()
        await sleep(0.05)
        assert len(session.asked) == 12
    assert "workers=0" in repr(results)


async def test_async_and_endless_input() -> None:
    """Only one worker at a time waits for an async input, which is closed on leaving."""
    inside = 0
    closed = []

    async def source() -> AsyncIterator[str]:
        nonlocal inside
        try:
            for n in count():
                inside += 1
                assert inside == 1
                await sleep(0)
                inside -= 1
                yield str(n)
        finally:
            closed.append(True)

    session = FakeSession(later)
    seen = 0
    async with map_requests(session, source()) as results:
        async for _ in results:
            seen += 1
            if seen == 100:
                break
    assert session.max_active == 10
    assert closed == [True]
    assert session.active == 0


async def test_failure_is_a_result() -> None:
    """An exception of a request is the result of that item; others are unaffected."""

    def answer(url: str) -> Any:
        return ConnectionFailed("no") if url == "3" else Answer(404 if url == "4" else 200)

    results = await gather(FakeSession(answer), map(str, range(6)))
    assert [r.ok for r in results] == [True, True, True, False, False, True]
    assert isinstance(results[3].error, ConnectionFailed)
    assert results[3].response is None
    assert results[4].error is None
    with pytest.raises(ConnectionFailed):
        results[3].unwrap()
    assert repr(results[3]) == "<Result '3' ConnectionFailed('no'), attempts=1>"


async def test_shapes_of_requests() -> None:
    """URLs, dicts, pairs and invalid items each give a result with the user's key."""
    session = FakeSession(lambda url: Answer(content=url.encode()))
    key = object()
    items = [
        "http://a/",
        {"url": "http://b/", "method": "POST", "key": 7},
        (key, "http://c/"),
        (8, {"url": "http://d/"}),
        42,
    ]
    results = await gather(session, items)
    assert [r.key for r in results] == ["http://a/", 7, key, 8, 42]
    assert [r.response and r.response.content for r in results[:4]] == [
        b"http://a/",
        b"http://b/",
        b"http://c/",
        b"http://d/",
    ]
    assert isinstance(results[4].error, InvalidRequest)
    assert results[4].attempts == 0


async def test_paths_for_a_session_with_a_host() -> None:
    """A session with a host takes paths, and full URLs as well."""
    asked = []

    class Session(FakeSession):
        async def request(self, method: str, url: str = "", **kwargs: Any) -> Any:
            asked.append((url, kwargs))
            return Answer()

    await gather(Session(host="http://h"), ["/a", "http://x/b", {"url": "/c"}], concurrency=1)
    assert asked == [("", {"path": "/a"}), ("http://x/b", {}), ("", {"path": "/c"})]


@pytest.mark.parametrize("concurrency", [1, 2, 10])
async def test_input_that_raises(concurrency: int) -> None:
    """An exception of the input is raised in the reader, after the results of earlier items."""

    def source() -> Iterator[str]:
        yield "1"
        yield "2"
        raise RuntimeError("input broke")

    got: list[str] = []

    async def read() -> None:
        async for result in map_requests(FakeSession(), source(), concurrency=concurrency):
            got.append(result.key)

    with pytest.raises(RuntimeError, match="input broke"):
        await read()
    assert sorted(got) == ["1", "2"]


async def test_leaving_the_block_early_cancels() -> None:
    """Leaving `async with` cancels what is under way before the next statement runs."""

    async def never(url: str) -> Answer:
        if url == "0":
            return Answer()
        await curio.Event().wait()
        raise AssertionError

    session = FakeSession(never)
    async with map_requests(session, map(str, count())) as results:
        async for _ in results:
            break
    assert session.active == 0
    assert session.cancelled > 0


async def test_leaving_a_plain_loop_early_cancels() -> None:
    """Leaving a plain `async for` cancels requests within one iteration of the kernel."""

    async def never(url: str) -> Answer:
        if url == "0":
            return Answer()
        await curio.Event().wait()
        raise AssertionError

    session = FakeSession(never)
    async for _ in map_requests(session, map(str, count())):
        break
    gc.collect()
    async with curio.ignore_after(5):
        while session.active:
            await sleep(0)
    assert session.active == 0


@pytest.mark.parametrize("closing", [True, False])
async def test_cancelled_reader(closing: bool) -> None:
    """A reader that is cancelled at its await ends its workers, with or without `async with`."""

    async def never(url: str) -> Answer:
        await curio.Event().wait()
        raise AssertionError

    session = FakeSession(never)

    async def read() -> None:
        results = map_requests(session, map(str, count()))
        if closing:
            async with results:
                async for _ in results:
                    pass
        else:
            async for _ in results:
                pass

    task = await curio.spawn(read)
    while session.active < 10:
        await sleep(0)
    await task.cancel()
    assert session.active == 0


async def test_time_limit_on_one_result() -> None:
    """A time limit on the wait for one result leaves the run as it is."""
    resume_redirect = curio.Event()

    async def answer(url: str) -> Answer:
        await resume_redirect.wait()
        return Answer()

    mapped = map_requests(FakeSession(answer), ["1", "2"])
    with pytest.raises(curio.TaskTimeout):
        await curio.timeout_after(0.01, mapped.__anext__)
    await resume_redirect.set()
    assert sorted([r.key async for r in mapped]) == ["1", "2"]


async def test_stop_finishes_what_is_under_way() -> None:
    """`stop` takes no more items; requests under way still give their results."""

    async def source() -> AsyncIterator[str]:
        for n in range(15):
            yield str(n)
        await curio.Event().wait()

    session = FakeSession(later)
    got = []
    async with map_requests(session, source(), concurrency=5) as results:
        async for result in results:
            got.append(result.key)
            if len(got) == 12:
                await results.stop()
    assert 12 <= len(got) <= 15
    assert len(got) == len(session.asked)


@pytest.mark.parametrize("ordered", [False, True])
async def test_stop_with_all_workers_running(ordered: bool) -> None:
    """After `stop`, no worker takes another item of an endless input."""
    session = FakeSession(later)
    got = []
    async with map_requests(session, map(str, count()), concurrency=3, ordered=ordered) as results:
        async for result in results:
            got.append(result.key)
            if len(got) == 20:
                asked = len(session.asked)
                await results.stop()
    assert len(got) == len(session.asked) == asked
    assert sorted(got, key=int) == list(map(str, range(asked)))


async def test_responses_are_not_kept() -> None:
    """A worker that waits for its next response does not keep the last one alive."""
    responses: weakref.WeakSet[Answer] = weakref.WeakSet()

    async def answer(url: str) -> Answer:
        if url == "1":
            await curio.Event().wait()
        responses.add(made := Answer())
        return made

    session = FakeSession(answer, connections=1)
    async with map_requests(session, ["0", "1"]) as results:
        async for result in results:
            assert result.ok
            break
        del result
        while len(session.asked) < 2:
            await sleep(0)
        assert not responses


async def test_repeats_what_is_safe() -> None:
    """`retries` repeats after connection errors; a POST only if nothing of it was sent."""
    tries: dict[str, int] = {}

    def answer(url: str) -> Any:
        tries[url] = tries.get(url, 0) + 1
        return Answer() if tries[url] > 1 else errors[url]

    errors = {
        "a": ServerClosedConnectionError("no"),
        "b": ServerClosedConnectionError("no"),
        "c": ConnectionFailed("no"),
    }
    items = ["a", {"url": "b", "method": "POST"}, {"url": "c", "method": "POST"}]
    first, second, third = await gather(FakeSession(answer), items, retries=1)
    assert (first.ok, first.attempts) == (True, 2)
    assert (second.error, second.attempts) == (errors["b"], 1)
    assert (third.ok, third.attempts) == (True, 2)


async def test_fewer_items_than_workers() -> None:
    """Workers are only started for items of the input; an empty input ends at once."""
    assert await gather(FakeSession(), []) == []
    mapped = map_requests(FakeSession(), ["a"], concurrency=1000)
    async for _ in mapped:
        assert "workers=" in repr(mapped)
        assert int(repr(mapped).split("workers=")[1].rstrip(">")) <= 2


@pytest.mark.parametrize("bad", [{"concurrency": 0}, {"window": 0}, {"retries": -1}])
def test_bad_numbers(bad: dict[str, int]) -> None:
    """Invalid numbers raise at the call."""
    with pytest.raises(ValueError, match=r"at least 1|0 or more"):
        map_requests(FakeSession(), [], **bad)  # type: ignore[arg-type]


def test_single_request_raises() -> None:
    """A str or a dict instead of a list raises at the call."""
    for single in ("http://a/", {"url": "http://a/"}):
        with pytest.raises(TypeError, match="put it into a list"):
            map_requests(FakeSession(), single)


@given(
    total=st.integers(0, 60),
    concurrency=st.integers(1, 9),
    window=st.integers(1, 30),
    ordered=st.booleans(),
    as_async=st.booleans(),
    readers=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
async def test_any_numbers(
    total: int, concurrency: int, window: int, ordered: bool, as_async: bool, readers: int
) -> None:
    """For any numbers, any kind of input and several readers: each item exactly once."""

    async def source() -> AsyncIterator[str]:
        for n in range(total):
            await sleep(0)
            yield str(n)

    async def answer(url: str) -> Answer:
        for _ in range(hash(url) % 3):
            await sleep(0)
        return Answer()

    session = FakeSession(answer)
    got: list[int] = []

    async def read(results: Map) -> None:
        async for result in results:
            got.append(int(result.key))

    items: Any = source() if as_async else map(str, range(total))
    async with (
        map_requests(
            session, items, concurrency=concurrency, window=window, ordered=ordered
        ) as results,
        curio.TaskGroup() as group,
    ):
        for _ in range(readers):
            await group.spawn(read, results)
    assert sorted(got) == list(range(total))
    assert session.max_active <= concurrency
    if ordered and readers == 1:
        assert got == list(range(total))


@pytest.mark.slow
async def test_memory_is_flat() -> None:
    """Fifty thousand results use no more memory than five thousand."""

    class Quick(FakeSession):
        async def request(self, method: str, url: str = "", **kwargs: Any) -> Any:
            return ANSWER

    async def peak(total: int) -> int:
        tracemalloc.start()
        async for _ in map_requests(Quick(), map(str, range(total)), concurrency=50):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few = await peak(5_000)
    assert await peak(50_000) < few + 200_000


ANSWER = Answer()
