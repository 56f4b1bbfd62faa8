"""Record with a real server, replay without it, and write no secret to the file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import asks_fast
from asks_fast import DSession
from asks_fast.errors import ResponseTooLarge
from asks_fast.testing import Cassette, NotRecorded, Routes, response, serve


def api() -> Routes:
    routes = Routes()
    routes.post(
        "/login",
        response(
            303,
            headers=[("Location", "/items?token=t0ken&n=1"), ("Set-Cookie", "sid=s3ssion; Path=/")],
        ),
    )
    zipped = gzip.compress(json.dumps({"items": ["é"], "access_token": "t0ken"}).encode())
    routes.get(
        "/items",
        response(
            body=zipped,
            headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
        ),
    )
    routes.get("/count", "1", "2")
    routes.get("/bytes", b"\xff\0\xfe")
    return routes


async def talk(url: str) -> list[object]:
    """The program under test."""
    async with DSession(persist_cookies=True, auth=("user", "hush")) as session:
        login = await session.post(url + "/login", data={"user": "u", "password": "hush"})
        counts = [(await session.get(url + "/count")).text for _ in range(2)]
        streamed = await session.get(url + "/bytes", stream=True)
        return [
            login.json()["items"],
            [earlier.status_code for earlier in login.history],
            [cookie.name for cookie in login.history[0].cookies],
            counts,
            await streamed.body.read(),
        ]


async def test_record_and_replay(tmp_path: Path) -> None:
    """The second run has the same results without a server; no secret is in the file."""
    path = tmp_path / "sub" / "api.json"
    with serve(api()) as server:
        with Cassette(path, secrets=["t0ken"]) as cassette:
            first = await talk(server.url)
        assert repr(cassette).endswith("recording, 5 exchanges>")
        assert len(server.requests) == 5
    assert first == [["é"], [303], ["sid"], ["1", "2"], b"\xff\0\xfe"]
    with Cassette(path, secrets=["t0ken"]) as cassette:
        assert await talk(server.url) == first
    assert repr(cassette).endswith("replaying, 5 exchanges>")
    text = path.read_text("utf-8")
    for secret in ("t0ken", "hush", "s3ssion", "dXNlcjpodXNo"):
        assert secret not in text
    assert "é" in text


async def test_not_recorded(tmp_path: Path) -> None:
    """A request that was not recorded, or not so often, is an error."""
    path = tmp_path / "api.json"
    with serve(api()) as server, Cassette(path):
        await asks_fast.get(server.url + "/count")
    with Cassette(path, mode="replay"):
        with pytest.raises(NotRecorded, match="not recorded"):
            await asks_fast.get(server.url + "/other")
        assert (await asks_fast.get(server.url + "/count")).text == "1"
        with pytest.raises(NotRecorded, match="recorded 1 times and is requested once more"):
            await asks_fast.get(server.url + "/count")


async def test_modes(tmp_path: Path) -> None:
    """`replay` needs the file, `record` replaces it."""
    path = tmp_path / "api.json"
    with pytest.raises(FileNotFoundError), Cassette(path, mode="replay"):
        pass
    with pytest.raises(ValueError, match="mode must be one of"):
        Cassette(path, mode="sometimes")
    with serve(api()) as server:
        for expected in ("1", "2"):
            with Cassette(path, mode="record"):
                await asks_fast.get(server.url + "/count")
            recorded = json.loads(path.read_text())["exchanges"]
            assert [one["response"]["body"] for one in recorded] == [{"text": expected}]


async def test_match_body(tmp_path: Path) -> None:
    """The recorded body must match, unless `match_body=False`."""
    path = tmp_path / "api.json"
    routes = Routes()
    routes.post("/", lambda request: request.body)
    with serve(routes) as server, Cassette(path):
        for body in ("one", "two"):
            await asks_fast.post(server.url, data=body)
    with Cassette(path):
        assert (await asks_fast.post(server.url, data="two")).text == "two"
        assert (await asks_fast.post(server.url, data="one")).text == "one"
    with Cassette(path, match_body=False):
        assert (await asks_fast.post(server.url, data="three")).text == "one"


async def test_recording_survives_a_failing_test(tmp_path: Path) -> None:
    """What was recorded before the test failed is in the file."""
    path = tmp_path / "api.json"
    with serve(api()) as server, pytest.raises(ZeroDivisionError), Cassette(path):
        len((await asks_fast.get(server.url + "/count")).text) // 0
    assert len(json.loads(path.read_text())["exchanges"]) == 1


async def test_all_kinds_of_secrets_are_masked(tmp_path: Path) -> None:
    """Uploads, compressed requests, links and camelCase members: no secret is in the file."""
    path = tmp_path / "api.json"
    routes = Routes()
    routes.post(
        "/",
        response(
            json={"accessToken": "hunter2", "session": {"ids": ["hunter2"]}},
            headers=[("Link", "</?token=hunter2>; rel=next"), ("X-Access-Token", "hunter2")],
        ),
    )
    zipped = gzip.compress(b'{"password": "hunter2"}')

    async def talk_to(url: str) -> None:
        fields = {"Content-Type": "application/json"}
        await asks_fast.post(url, multipart={"password": "hunter2"})
        await asks_fast.post(url, json={"userPassword": ["hunter2"]})
        await asks_fast.post(url, data=zipped, headers={**fields, "Content-Encoding": "gzip"})
        await asks_fast.post(url, data="[1]", headers={**fields, "Private-Token": "hunter2"})

    with serve(routes) as server, Cassette(path):
        await talk_to(server.url)
    text = path.read_text("utf-8")
    assert "hunter2" not in text
    for exchange in json.loads(text)["exchanges"]:
        for body in (exchange["request"]["body"], exchange["response"]["body"]):
            assert "text" in body, "not readable, so not masked"


@pytest.mark.parametrize("stream", [False, True])
async def test_max_decompressed(tmp_path: Path, stream: bool) -> None:
    """A body that exceeds `max_decompressed` is recorded as received and fails again."""
    path = tmp_path / "api.json"
    routes = Routes()
    bomb = gzip.compress(bytes(50_000_000))
    routes.get("/", response(body=bomb, headers={"Content-Encoding": "gzip"}))

    async def get(url: str) -> None:
        response = await asks_fast.get(url, stream=stream, max_decompressed=1_000_000)
        with pytest.raises(ResponseTooLarge):
            _ = await response.body.read() if stream else response.content

    with serve(routes) as server:
        with Cassette(path):
            await get(server.url)
        assert path.stat().st_size < 3 * len(bomb)
        with Cassette(path, mode="replay"):
            await get(server.url)
