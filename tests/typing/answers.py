"""The types of the results of calls and of their attributes.

Checked, never run: `assert_type` fails the check where the type is another one. A line that must be
refused carries an ignore of its own, and an ignore that is not needed is an error as well.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

import asks_fast
from asks_fast import DSession, HSession, Response, Session, StreamResponse, sync
from asks_fast._response.stream import StreamBody


async def of_a_session(session: HSession, is_streamed: bool) -> None:
    """`stream=True` returns a `StreamResponse`, anything else a `Response`."""
    assert_type(await session.get(), Response)
    assert_type(await session.get(path="/a"), Response)
    assert_type(await session.get("http://h/", stream=False), Response)
    assert_type(await session.get(path="/a", stream=True), StreamResponse)
    assert_type(await session.get(stream=is_streamed), Response | StreamResponse)
    assert_type(await session.request("GET", path="/a"), Response)
    assert_type(await session.request("GET", stream=True), StreamResponse)


async def of_every_verb(session: DSession, url: str) -> None:
    """All methods return the same types."""
    assert_type(await session.head(url), Response)
    assert_type(await session.post(url, json={"a": 1}), Response)
    assert_type(await session.put(url, data=b""), Response)
    assert_type(await session.delete(url), Response)
    assert_type(await session.options(url), Response)
    assert_type(await session.patch(url, data={"a": "b"}), Response)
    assert_type(await session.head(url, stream=True), StreamResponse)
    assert_type(await session.post(url, stream=True), StreamResponse)
    assert_type(await session.put(url, stream=True), StreamResponse)
    assert_type(await session.delete(url, stream=True), StreamResponse)
    assert_type(await session.options(url, stream=True), StreamResponse)
    assert_type(await session.patch(url, stream=True), StreamResponse)


async def of_one_shot_functions(url: str) -> None:
    """The functions of the package return the same types as the methods."""
    assert_type(await asks_fast.get(url), Response)
    assert_type(await asks_fast.get(url, stream=True), StreamResponse)
    assert_type(await asks_fast.request("GET", url), Response)
    assert_type(await asks_fast.request("GET", uri=url), Response)
    assert_type(await asks_fast.request("GET", url, stream=True), StreamResponse)
    assert_type(await asks_fast.head(url, stream=True), StreamResponse)
    assert_type(await asks_fast.post(url, stream=True), StreamResponse)
    assert_type(await asks_fast.put(url, stream=True), StreamResponse)
    assert_type(await asks_fast.delete(url, stream=True), StreamResponse)
    assert_type(await asks_fast.options(url, stream=True), StreamResponse)
    assert_type(await asks_fast.patch(url, stream=True), StreamResponse)


async def whole(session: Session) -> None:
    """A `Response` has bytes, text and JSON."""
    response = await session.get(path="/")
    assert_type(response.status_code, int)
    assert_type(response.reason_phrase, str)
    assert_type(response.content, bytes)
    assert_type(response.body, bytes)
    assert_type(response.text, str)
    assert_type(response.json(), Any)
    assert_type(response.ok, bool)
    assert_type(response.url, str)
    assert_type(response.encoding, str)
    assert_type(response.links, dict[str, dict[str, str]])
    assert_type(response.headers.getlist("set-cookie"), list[str])
    assert_type(response.history[0].status_code, int)
    assert_type(response.elapsed.total_seconds(), float)
    assert_type(response.filename, str | None)


async def streamed(session: Session) -> None:
    """The body of a `StreamResponse` is read as bytes, text or lines."""
    async with await session.get(path="/", stream=True) as response:
        assert_type(response, StreamResponse)
        assert_type(response.body, StreamBody)
        async for chunk in response.body:
            assert_type(chunk, bytes)
        async for chunk in response.body(timeout=5):
            assert_type(chunk, bytes)
        async for chunk in response.body.chunks(4096):
            assert_type(chunk, bytes)
        async for line in response.body.lines():
            assert_type(line, str)
        async for text in response.body.text():
            assert_type(text, str)
        assert_type(await response.body.read(), bytes)
        assert_type(await response.body.save("file"), int)
        response.json()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def of_blocking_calls(session: sync.HSession, is_streamed: bool) -> None:
    """Blocking calls return what the coroutines do, and a stream is read by a plain loop."""
    assert_type(session.get(path="/a"), Response)
    assert_type(session.get(path="/a", stream=True), sync.StreamResponse)
    assert_type(session.post(stream=is_streamed), Response | sync.StreamResponse)
    assert_type(sync.get("http://h/"), Response)
    assert_type(sync.get("http://h/", stream=True), sync.StreamResponse)
    assert_type(sync.request("GET", "http://h/"), Response)
    assert_type(sync.request("GET", uri="http://h/"), Response)
    assert_type(sync.request("GET", "http://h/", stream=True), sync.StreamResponse)
    for chunk in session.get(stream=True).body:
        assert_type(chunk, bytes)
    for line in session.get(stream=True).body.lines():
        assert_type(line, str)
    for result in session.map(["/a"]):
        assert_type(result.error, Exception | None)
    with session.events("/feed") as events:
        for event in events:
            assert_type(event.data, str)
    for event in session.get(stream=True).events():
        assert_type(event.retry, float | None)
    session.get(timout=1)  # type: ignore[call-overload]
