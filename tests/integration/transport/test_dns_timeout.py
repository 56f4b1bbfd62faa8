"""`dns_timeout`: the time limit of name resolution, by the system or by a resolver of the user."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import curio
import pytest
from support.dns import DnsResolver, DnsServer
from support.hosts import run_asyncio, run_trio
from support.script_steps import SERVING
from support.scripted_server import MakePeer

import asks_fast
import asks_fast.sync
from asks_fast import DnsTimeout, DSession, HSession, Timeouts, errors
from asks_fast._transport import dns_cache


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    """Knows `known.test`, never answers for `silent.test`."""
    server = DnsServer({"known.test": ["127.0.0.1"]}, silent=("silent.test",))
    yield server
    server.stop()


async def test_silent_resolver(dns: DnsServer, peer: MakePeer) -> None:
    """A resolver does not answer in time: the error has phase, host, limit and elapsed time."""
    server = peer(SERVING)
    async with DSession(resolver=DnsResolver(dns.address), dns_timeout=0.05) as session:
        assert (await session.get(f"http://known.test:{server.port}/")).body == b"ok"
        with pytest.raises(DnsTimeout) as caught:
            await session.get(f"http://silent.test:{server.port}/a", retries=0)
        assert session.pool_stats()["open"] == 1
        # A limit of the request replaces that of the session.
        with pytest.raises(DnsTimeout, match=r"dns_timeout=0.01 s"):
            await session.get(f"http://silent.test:{server.port}/a", dns_timeout=0.01)
    error = caught.value
    assert (error.phase, error.host, error.limit) == ("dns", "silent.test", 0.05)
    assert error.elapsed is not None
    assert error.elapsed >= 0.04
    assert str(error).startswith(
        f"GET http://silent.test:{server.port}/a: could not resolve 'silent.test' within "
        "dns_timeout=0.05 s (0."
    )
    assert isinstance(error, (errors.ConnectTimeout, TimeoutError))
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.phase, copy.host, copy.elapsed) == ("dns", "silent.test", error.elapsed)


async def test_the_shorter_limit_decides(dns: DnsServer) -> None:
    """`connection_timeout` and `timeout` cover name resolution as well."""
    url = "http://silent.test/"
    async with DSession(resolver=DnsResolver(dns.address)) as session:
        for limits, expected in (
            (Timeouts(dns=0.02, connect=5, total=5), DnsTimeout),
            (Timeouts(dns=5, connect=0.02, total=5), errors.ConnectTimeout),
            (Timeouts(dns=5, connect=5, total=0.02), errors.TotalTimeout),
        ):
            with pytest.raises(expected) as caught:
                await session.get(url, timeout=limits, retries=0)
            assert type(caught.value) is expected


@pytest.mark.kernels("stock", "own")
async def test_other_requests_for_the_name_go_on(peer: MakePeer) -> None:
    """A request whose limit expires leaves the resolution to those that wait for it as well."""
    server = peer(SERVING)
    asked = []
    answer = curio.Event()

    async def resolver(host: str) -> list[str]:
        asked.append(host)
        await answer.wait()
        return ["127.0.0.1"]

    url = f"http://slow.test:{server.port}/"
    async with DSession(resolver=resolver, connections=2) as session:
        patient = await curio.spawn(session.get, url)
        while not asked:
            await curio.sleep(0)
        with pytest.raises(DnsTimeout):
            await session.get(url, dns_timeout=0.02, retries=0)
        await answer.set()
        assert (await patient.join()).body == b"ok"
    assert asked == ["slow.test"]


async def test_name_of_a_proxy(dns: DnsServer) -> None:
    """The name of a proxy is resolved within the limit too, and is the one that the error has."""
    proxy = "http://user:secret@silent.test:3128"
    async with DSession(resolver=DnsResolver(dns.address), proxy=proxy) as session:
        with pytest.raises(DnsTimeout) as caught:
            await session.get("http://known.test/", dns_timeout=0.02, retries=0)
    assert caught.value.host == "silent.test"
    assert "secret" not in str(caught.value)


async def test_name_resolved_for_a_socks_proxy(dns: DnsServer) -> None:
    """With `socks5://` the client resolves the name of the origin, within the limit."""
    async with DSession(resolver=DnsResolver(dns.address), proxy="socks5://127.0.0.1:1") as session:
        with pytest.raises(DnsTimeout) as caught:
            await session.get("http://silent.test/", dns_timeout=0.02, retries=0)
    assert caught.value.host == "silent.test"


async def test_warm_up(dns: DnsServer) -> None:
    """`warm_up` applies the limit of the session."""
    resolver = DnsResolver(dns.address)
    async with HSession("http://silent.test", resolver=resolver, dns_timeout=0.02) as session:
        with pytest.raises(DnsTimeout):
            await session.warm_up(1)


async def test_system_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up of the system that hangs ends at the limit; its thread ends by itself."""
    import threading

    release = threading.Event()

    def hang(host: str) -> list[str]:
        release.wait(10)
        return ["127.0.0.1"]

    monkeypatch.setattr(dns_cache, "_system_addresses", hang)
    async with DSession(dns_ttl=0) as session:
        with pytest.raises(DnsTimeout):
            await session.get("http://hanging.test/", dns_timeout=0.02, retries=0)
    release.set()


@pytest.mark.kernels("stock", "own")
async def test_it_is_retried(peer: MakePeer) -> None:
    """Nothing was sent, so that a retry policy may try again, a POST too."""
    server = peer(SERVING)
    asked = []

    async def resolver(host: str) -> list[str]:
        asked.append(host)
        if len(asked) == 1:
            await curio.sleep(60)
        return ["127.0.0.1"]

    async with DSession(resolver=resolver, dns_timeout=0.02) as session:
        response = await session.post(f"http://a.test:{server.port}/", retries=1, data=b"x")
    assert (response.status_code, response.attempts) == (200, 2)


def _never_in_trio() -> Awaitable[None]:
    import trio

    return trio.sleep_forever()


@pytest.mark.parametrize(
    ("run", "wait"), [(run_asyncio, lambda: asyncio.Event().wait()), (run_trio, _never_in_trio)]
)
def test_in_other_event_loops(run: Callable[..., Any], wait: Callable[[], Awaitable[Any]]) -> None:
    """A resolver that awaits the loop of the program is cancelled at the limit."""
    ended = []

    async def resolver(host: str) -> list[str]:
        try:
            await wait()
        finally:
            ended.append(host)
        return []

    async def main() -> None:
        async with DSession(resolver=resolver) as session:
            with pytest.raises(DnsTimeout, match=r"'silent\.test' within dns_timeout=0.02 s"):
                await session.get("http://silent.test/", dns_timeout=0.02, retries=0)

    run(main)
    assert ended == ["silent.test"]


def test_without_async(dns: DnsServer, kernel_of_thread: None) -> None:
    """Blocking calls have the limit too."""
    resolver = DnsResolver(dns.address)
    with asks_fast.sync.DSession(resolver=resolver) as session, pytest.raises(DnsTimeout):
        session.get("http://silent.test/", dns_timeout=0.02, retries=0)
