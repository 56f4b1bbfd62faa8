"""Name resolution: caching, one resolution per name at a time, no blocking of the kernel."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import curio
import pytest
from support.dns import DnsResolver, DnsServer

from asks_fast._transport.dns_cache import (
    DnsCache,
    StaticHosts,
    as_resolver,
    literal_address,
    system_lookup,
)
from asks_fast._transport.dns_threads import LookupThreads
from asks_fast.errors import InvalidRequest, NameResolutionError


class Clock:
    """A clock that only changes when the test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class RecordingResolver:
    """A resolver that records its calls and can be paused."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers, self.log = answers, []  # type: ignore[var-annotated]
        self.gate = curio.Event()
        self.cancelled = 0

    async def __call__(self, host: str) -> list[str]:
        self.log.append(host)
        try:
            await self.gate.wait()
        except curio.CancelledError:
            self.cancelled += 1
            raise
        if host not in self.answers:
            raise OSError(-2, "Name or service not known")
        return self.answers[host]


async def open_gate(asked: RecordingResolver) -> RecordingResolver:
    await asked.gate.set()
    return asked


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", (socket.AF_INET, ("127.0.0.1", 80))),
        ("::1", (socket.AF_INET6, ("::1", 80, 0, 0))),
        ("fe80::1%7", (socket.AF_INET6, ("fe80::1", 80, 0, 7))),
        ("localhost", None),
        ("1.2.3", None),
        ("1.2.3.4.5", None),
        ("a:b", None),
        ("", None),
    ],
)
def test_literal_addresses(host: str, expected: object) -> None:
    """An IP literal needs no resolver, and nothing else is treated as one."""
    assert literal_address(host, 80) == expected


def test_unknown_zone() -> None:
    """A link-local address on an unknown interface is an error that says so."""
    with pytest.raises(NameResolutionError, match="interface"):
        literal_address("fe80::1%nosuch0", 80)


async def test_answer_is_cached_for_ttl() -> None:
    """The resolver is called again only after `ttl` seconds."""
    clock, asked = Clock(), await open_gate(RecordingResolver(a=["10.0.0.1"]))
    names = DnsCache(asked, ttl=60, clock=clock)
    assert await names.resolve("a") == ("10.0.0.1",)
    clock.now += 59
    assert await names.resolve("a") == ("10.0.0.1",)
    assert asked.log == ["a"]
    clock.now += 2
    await names.resolve("a")
    assert asked.log == ["a", "a"]


async def test_failure_is_cached_for_negative_ttl() -> None:
    """Within `negative_ttl` a failed name fails at once; after it the resolver is called again."""
    clock, asked = Clock(), await open_gate(RecordingResolver())
    names = DnsCache(asked, negative_ttl=1, clock=clock)
    for _ in range(3):
        with pytest.raises(NameResolutionError, match="'dead': Name or service not known"):
            await names.resolve("dead")
    assert asked.log == ["dead"]
    clock.now += 1.5
    asked.answers["dead"] = ["10.0.0.2"]
    assert await names.resolve("dead") == ("10.0.0.2",)


async def test_ttl_zero_caches_nothing() -> None:
    """With `ttl=0` the resolver is called each time."""
    asked = await open_gate(RecordingResolver(a=["10.0.0.1"]))
    names = DnsCache(asked, ttl=0)
    await names.resolve("a")
    await names.resolve("a")
    assert asked.log == ["a", "a"]
    assert repr(names) == "<DnsCache 0 cached, 0 in flight>"


async def test_cache_size_is_bounded() -> None:
    """Beyond `size` names the oldest entry is removed."""
    asked = await open_gate(RecordingResolver(**{name: ["10.0.0.1"] for name in "abcd"}))
    names = DnsCache(asked, size=3)
    for name in "abcd":
        await names.resolve(name)
    assert repr(names) == "<DnsCache 3 cached, 0 in flight>"
    await names.resolve("d")
    await names.resolve("a")
    assert asked.log == ["a", "b", "c", "d", "a"]


async def test_concurrent_tasks_share_one_resolution() -> None:
    """Tasks that need the same name at the same time share one resolution."""
    asked = RecordingResolver(a=["10.0.0.1", "::2"])
    names = DnsCache(asked)
    tasks = [await curio.spawn(names.resolve, "a") for _ in range(50)]
    await curio.sleep(0)
    await curio.sleep(0)
    assert repr(names) == "<DnsCache 0 cached, 1 in flight>"
    await open_gate(asked)
    assert {await task.join() for task in tasks} == {("10.0.0.1", "::2")}
    assert asked.log == ["a"]


async def test_cancelled_task_leaves_the_resolution_to_others() -> None:
    """If the first waiter is cancelled, the second still gets the result of the same resolution."""
    asked = RecordingResolver(a=["10.0.0.1"])
    names = DnsCache(asked)
    first = await curio.spawn(names.resolve, "a")
    second = await curio.spawn(names.resolve, "a")
    await curio.sleep(0)
    await curio.sleep(0)
    await first.cancel()
    await open_gate(asked)
    assert await second.join() == ("10.0.0.1",)
    assert (asked.log, asked.cancelled) == (["a"], 0)


async def test_last_cancelled_task_cancels_the_resolution() -> None:
    """Without waiting tasks the resolution is cancelled, and the next request starts a new one."""
    asked = RecordingResolver(a=["10.0.0.1"])
    names = DnsCache(asked)
    for _ in range(2):
        async with curio.ignore_after(0.01):
            await names.resolve("a")
    while asked.cancelled < 2:
        await curio.sleep(0)
    assert asked.log == ["a", "a"]
    assert repr(names) == "<DnsCache 0 cached, 0 in flight>"


def test_resolution_of_an_ended_kernel_is_not_joined() -> None:
    """A resolution that was cut off with its kernel is not awaited by the next kernel."""
    asked = RecordingResolver(a=["10.0.0.1"])
    names = DnsCache(asked)

    async def abandoned() -> None:
        await curio.spawn(names.resolve, "a", daemon=True)
        await curio.sleep(0)
        await curio.sleep(0)

    curio.run(abandoned)
    asked.gate = curio.Event()

    async def later() -> tuple[str, ...]:
        await asked.gate.set()
        return await names.resolve("a")

    assert curio.run(later) == ("10.0.0.1",)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "no address"),
        (["example.com"], "not an IP address"),
        (None, "not iterable"),
        (["1.2.3.4", "1.2.3"], "not an IP address"),
    ],
)
async def test_invalid_result_of_a_resolver(answer: object, message: str) -> None:
    """A result that is not an IP address is an error."""

    async def resolver(host: str) -> object:
        return answer

    with pytest.raises(NameResolutionError, match=message):
        await DnsCache(as_resolver(resolver)).resolve("a")


async def test_synchronous_resolver() -> None:
    """A resolver may be a plain function, and may return a single str."""
    assert await DnsCache(as_resolver(lambda host: "10.0.0.9")).resolve("a") == ("10.0.0.9",)


def test_invalid_resolver() -> None:
    """`resolver=5` raises at once, with a hint."""
    with pytest.raises(InvalidRequest, match="async function"):
        as_resolver(5)


def test_static_hosts() -> None:
    """`name:port` takes precedence over `name`; case is ignored; values must be addresses."""
    hosts = StaticHosts({"A.example": "10.0.0.1", "a.example:81": ["10.0.0.2", "::1"]})
    assert hosts.find("a.example", 80) == ("10.0.0.1",)
    assert hosts.find("a.example", 81) == ("10.0.0.2", "::1")
    assert hosts.find("b.example", 80) is None
    for bad in ({"a": "b"}, {"a": []}, {"a": ["10.0.0.1", "x"]}):
        with pytest.raises(InvalidRequest):
            StaticHosts(bad)


# -- a real DNS server ---------------------------------------------------------------------------


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    server = DnsServer(
        {"good.test": ["127.0.0.1", "::1"], "late.test": ["127.0.0.3"]}, silent=("silent.test",)
    )
    yield server
    server.stop()


async def test_user_resolver_with_a_dns_server(dns: DnsServer) -> None:
    """An object with `resolve` returns both families, and its failures become our errors."""
    names = DnsCache(as_resolver(DnsResolver(dns.address)))
    assert await names.resolve("good.test") == ("127.0.0.1", "::1")
    with pytest.raises(NameResolutionError, match="NXDOMAIN"):
        await names.resolve("nope.test")
    assert dns.questions == {"good.test": 2, "nope.test": 1}


async def test_timeout_with_a_silent_dns_server(dns: DnsServer) -> None:
    """A time-out during resolution leaves no socket open and no resolution running."""
    names = DnsCache(as_resolver(DnsResolver(dns.address)))
    with pytest.raises(curio.TaskTimeout):
        await curio.timeout_after(0.05, names.resolve, "silent.test")
    await curio.sleep(0)
    assert repr(names) == "<DnsCache 0 cached, 0 in flight>"


# -- threads ---------------------------------------------------------------------------------------


async def test_system_lookup_runs_in_a_thread() -> None:
    """`localhost` is resolved by the system to a loopback address."""
    assert set(await DnsCache(system_lookup).resolve("localhost")) <= {"127.0.0.1", "::1"}


async def test_many_failing_names_do_not_delay_others() -> None:
    """With ten thousand failing names the loop keeps running, threads stay few, valid names
    resolve.
    """
    threads = LookupThreads(limit=8)

    def slow(host: str) -> list[str]:
        time.sleep(0.0005)
        if host.startswith("dead"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ["10.0.0.1"]

    async def lookup(host: str) -> list[str]:
        found: list[str] = await threads.run(lambda: slow(host))
        return found

    names, ticks, most = DnsCache(lookup, size=100), 0, 0

    async def tick() -> None:
        nonlocal ticks, most
        while True:
            await curio.sleep(0.005)
            ticks += 1
            most = max(most, threads.threads)

    async def one(host: str) -> str:
        try:
            return (await names.resolve(host))[0]
        except NameResolutionError:
            return "dead"

    ticker = await curio.spawn(tick)
    outcomes = []
    for start in range(0, 10000, 500):
        async with curio.TaskGroup() as group:
            for number in range(start, start + 500):
                await group.spawn(one, f"{'good' if number % 100 == 0 else 'dead'}{number}")
        outcomes += group.results
    await ticker.cancel()
    assert outcomes.count("10.0.0.1") == 100
    assert outcomes.count("dead") == 9900
    assert most <= 8
    assert ticks > 20


async def test_cancelled_calls_do_not_exceed_the_thread_limit() -> None:
    """A thread whose waiter was cancelled still counts, and queued calls are not started."""
    threads, hold, begun = LookupThreads(limit=2), threading.Event(), []

    def stuck(number: int) -> None:
        begun.append(number)
        hold.wait(10)

    async def look_up(number: int) -> None:
        await threads.run(lambda: stuck(number))

    for number in range(6):
        task = await curio.spawn(look_up, number)
        while len(begun) < min(number + 1, 2) or number >= len(begun) + threads.waiting:
            await curio.sleep(0.001)
        await task.cancel()
    assert repr(threads) == "<LookupThreads 2/2, 4 waiting>"
    hold.set()
    assert await threads.run(lambda: "free again") == "free again"
    assert begun == [0, 1]


async def test_error_in_a_thread_propagates() -> None:
    """An error of the call is raised in the waiting task."""
    with pytest.raises(ZeroDivisionError):
        await LookupThreads().run(lambda: 1 // 0)


def test_thread_survives_a_closed_kernel() -> None:
    """A call that ends after its kernel has no effect."""
    threads, hold = LookupThreads(limit=1), threading.Event()

    async def leave() -> None:
        async with curio.ignore_after(0.01):
            await threads.run(hold.wait)

    curio.run(leave)
    hold.set()

    async def again() -> object:
        return await threads.run(lambda: 7)

    assert curio.run(again) == 7


async def test_thread_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system starts no thread, the resolution fails, and nothing else does."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = LookupThreads()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await threads.run(lambda: 1)
    assert await threads.run(lambda: 2) == 2
