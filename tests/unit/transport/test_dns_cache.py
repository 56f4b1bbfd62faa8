"""Names: cached, looked up once at a time, never in the way of the loop."""

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
    """A clock that stands until the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Asked:
    """A look-up that notes what it was asked, and may be held up."""

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


async def open_gate(asked: Asked) -> Asked:
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
def test_literals_are_addresses_already(host: str, expected: object) -> None:
    """An IP literal needs no resolver, and nothing else is taken for one."""
    assert literal_address(host, 80) == expected


def test_a_zone_that_is_no_interface_is_an_error() -> None:
    """A link-local address on an unknown interface says so."""
    with pytest.raises(NameResolutionError, match="interface"):
        literal_address("fe80::1%nosuch0", 80)


async def test_an_answer_is_kept_for_its_time() -> None:
    """Within `ttl` seconds nobody is asked again, after them somebody is."""
    clock, asked = Clock(), await open_gate(Asked(a=["10.0.0.1"]))
    names = DnsCache(asked, ttl=60, clock=clock)
    assert await names.resolve("a") == ("10.0.0.1",)
    clock.now += 59
    assert await names.resolve("a") == ("10.0.0.1",)
    assert asked.log == ["a"]
    clock.now += 2
    await names.resolve("a")
    assert asked.log == ["a", "a"]


async def test_a_failure_is_kept_for_a_moment() -> None:
    """Within `negative_ttl` a dead name fails at once, after it it is asked for again."""
    clock, asked = Clock(), await open_gate(Asked())
    names = DnsCache(asked, negative_ttl=1, clock=clock)
    for _ in range(3):
        with pytest.raises(NameResolutionError, match="'dead': Name or service not known"):
            await names.resolve("dead")
    assert asked.log == ["dead"]
    clock.now += 1.5
    asked.answers["dead"] = ["10.0.0.2"]
    assert await names.resolve("dead") == ("10.0.0.2",)


async def test_ttl_zero_keeps_nothing() -> None:
    """`ttl=0` asks each time."""
    asked = await open_gate(Asked(a=["10.0.0.1"]))
    names = DnsCache(asked, ttl=0)
    await names.resolve("a")
    await names.resolve("a")
    assert asked.log == ["a", "a"]
    assert repr(names) == "<Names 0 kept, 0 under way>"


async def test_the_cache_is_bounded() -> None:
    """Beyond `size` names, the one kept longest goes."""
    asked = await open_gate(Asked(**{name: ["10.0.0.1"] for name in "abcd"}))
    names = DnsCache(asked, size=3)
    for name in "abcd":
        await names.resolve(name)
    assert repr(names) == "<Names 3 kept, 0 under way>"
    await names.resolve("d")
    await names.resolve("a")
    assert asked.log == ["a", "b", "c", "d", "a"]


async def test_one_look_up_however_many_wait() -> None:
    """Tasks that want one name at once share one look-up."""
    asked = Asked(a=["10.0.0.1", "::2"])
    names = DnsCache(asked)
    tasks = [await curio.spawn(names.resolve, "a") for _ in range(50)]
    await curio.sleep(0)
    await curio.sleep(0)
    assert repr(names) == "<Names 0 kept, 1 under way>"
    await open_gate(asked)
    assert {await task.join() for task in tasks} == {("10.0.0.1", "::2")}
    assert asked.log == ["a"]


async def test_a_cancelled_waiter_does_not_end_the_look_up_for_others() -> None:
    """The first waiter goes, the second still gets the answer of the same look-up."""
    asked = Asked(a=["10.0.0.1"])
    names = DnsCache(asked)
    first = await curio.spawn(names.resolve, "a")
    second = await curio.spawn(names.resolve, "a")
    await curio.sleep(0)
    await curio.sleep(0)
    await first.cancel()
    await open_gate(asked)
    assert await second.join() == ("10.0.0.1",)
    assert (asked.log, asked.cancelled) == (["a"], 0)


async def test_the_last_waiter_to_go_ends_the_look_up() -> None:
    """When nobody waits any more the look-up is cancelled, and the next one starts afresh."""
    asked = Asked(a=["10.0.0.1"])
    names = DnsCache(asked)
    for _ in range(2):
        async with curio.ignore_after(0.01):
            await names.resolve("a")
    while asked.cancelled < 2:
        await curio.sleep(0)
    assert asked.log == ["a", "a"]
    assert repr(names) == "<Names 0 kept, 0 under way>"


def test_a_kernel_that_ended_leaves_no_one_waiting() -> None:
    """A look-up cut off with its kernel is not waited for by the next kernel."""
    asked = Asked(a=["10.0.0.1"])
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
        (["example.com"], "no IP address"),
        (None, "not iterable"),
        (["1.2.3.4", "1.2.3"], "no IP address"),
    ],
)
async def test_a_resolvers_bad_answer_is_an_error(answer: object, message: str) -> None:
    """Nothing but IP addresses is believed."""

    async def resolver(host: str) -> object:
        return answer

    with pytest.raises(NameResolutionError, match=message):
        await DnsCache(as_resolver(resolver)).resolve("a")


async def test_a_resolver_may_be_a_plain_function() -> None:
    """A function that awaits nothing, and one that returns a single str, do too."""
    assert await DnsCache(as_resolver(lambda host: "10.0.0.9")).resolve("a") == ("10.0.0.9",)


def test_what_is_no_resolver_is_refused() -> None:
    """`resolver=5` fails at once, with a hint."""
    with pytest.raises(InvalidRequest, match="async function"):
        as_resolver(5)


def test_static_hosts() -> None:
    """`name:port` goes before `name`; case makes no difference; values must be addresses."""
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


async def test_a_users_resolver_asks_a_real_dns_server(dns: DnsServer) -> None:
    """An object with `resolve` answers with both families, and its failures are ours."""
    names = DnsCache(as_resolver(DnsResolver(dns.address)))
    assert await names.resolve("good.test") == ("127.0.0.1", "::1")
    with pytest.raises(NameResolutionError, match="NXDOMAIN"):
        await names.resolve("nope.test")
    assert dns.questions == {"good.test": 2, "nope.test": 1}


async def test_a_silent_dns_server_can_be_left(dns: DnsServer) -> None:
    """A time-out while resolving leaves no socket open and no look-up under way."""
    names = DnsCache(as_resolver(DnsResolver(dns.address)))
    with pytest.raises(curio.TaskTimeout):
        await curio.timeout_after(0.05, names.resolve, "silent.test")
    await curio.sleep(0)
    assert repr(names) == "<Names 0 kept, 0 under way>"


# -- threads ---------------------------------------------------------------------------------------


async def test_the_system_is_asked_in_a_thread() -> None:
    """`localhost` resolves, through the system, to loopback."""
    assert set(await DnsCache(system_lookup).resolve("localhost")) <= {"127.0.0.1", "::1"}


async def test_a_burst_of_dead_names_starves_nobody() -> None:
    """Ten thousand dead names: the loop goes on turning, threads stay few, good names resolve."""
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


async def test_forgotten_look_ups_do_not_pile_up_threads() -> None:
    """A thread whose waiter has gone still counts, and what waits behind it is not begun."""
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


async def test_an_error_in_the_thread_comes_out() -> None:
    """What the call raises is raised to who waits for it."""
    with pytest.raises(ZeroDivisionError):
        await LookupThreads().run(lambda: 1 // 0)


def test_a_kernel_that_closed_does_not_hurt_the_thread() -> None:
    """A look-up that ends after its kernel did ends quietly."""
    threads, hold = LookupThreads(limit=1), threading.Event()

    async def leave() -> None:
        async with curio.ignore_after(0.01):
            await threads.run(hold.wait)

    curio.run(leave)
    hold.set()

    async def again() -> object:
        return await threads.run(lambda: 7)

    assert curio.run(again) == 7


async def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system starts no thread, the look-up fails, and only that."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = LookupThreads()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await threads.run(lambda: 1)
    assert await threads.run(lambda: 2) == 2
