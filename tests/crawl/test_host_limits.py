"""Limits per host and the scheduler, on a clock that the tests control."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asks_fast._client.redirect_pause import RedirectPaused
from asks_fast.crawl.host_limits import FAILED, SUCCEEDED, THROTTLED, Host, Politeness
from asks_fast.crawl.job import Job, host_of
from asks_fast.crawl.scheduler import CIRCUIT_OPEN, RUN, Scheduler


def job(host: str, index: int = 0) -> Job:
    made = Job(index, index, host, "GET", {})
    made.host = host
    return made


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Example.com/a", "example.com"),
        ("https://example.com:443", "example.com"),
        ("http://example.com:443/", "example.com:443"),
        ("http://u:p@example.com:8080?x=http://b/", "example.com:8080"),
        ("http://[::1]:80/", "[::1]"),
        ("http://a.com\\@b.com/", "a.com"),
        ("example.com/a", "example.com"),
        ("", ""),
    ],
)
def test_host_of(url: str, host: str) -> None:
    """The key is the lower-case host, with a port that is not the default one."""
    assert host_of(url) == host


def test_delay_between_starts() -> None:
    """Two requests to a host start at least `min_delay` seconds apart."""
    host = Host(Politeness(min_delay=2.0))
    host.start(100.0)
    assert host.ready_at(100.5) == 102.0


def test_slow_down_and_speed_up() -> None:
    """A 429 halves the limit and adds an interval, Retry-After pauses; successes undo it."""
    host = Host(Politeness(host_concurrency=8))
    for _ in range(8):
        host.start(0.0)
    host.finish(1.0, 0.0, THROTTLED, 10.0)
    assert host.ready_at(1.0) == 11.0
    assert repr(host) == "<Host 7 of 4 under way, interval 1 s, 0 failures>"
    host.finish(1.1, 0.0, THROTTLED, None)  # sent before the slow-down: not slowed again
    assert host.concurrency_limit == 4
    for _ in range(6):
        host.finish(2.0, 0.0, SUCCEEDED)
    for _ in range(100):
        host.start(20.0)
        host.finish(21.0, 20.0, SUCCEEDED)
    assert host.concurrency_limit == 8
    assert host.interval == 0.0


def test_retry_after_is_bounded() -> None:
    """Retry-After is limited to `max_pause`."""
    host = Host(Politeness(max_pause=60))
    host.start(0.0)
    host.finish(0.0, 0.0, THROTTLED, 3e8)
    assert host.ready_at(0.0) == 60.0


def test_circuit() -> None:
    """Consecutive failures open the circuit; after `circuit_reset` one trial decides."""
    host = Host(Politeness(max_failures=3, circuit_reset=30))
    for _ in range(3):
        assert not host.is_circuit_open(0.0)
        host.start(0.0)
        host.finish(0.0, 0.0, FAILED)
    assert host.is_circuit_open(29.9)
    assert not host.is_circuit_open(30.0)
    host.start(30.0)
    assert host.is_circuit_open(30.0), "one trial at a time"
    host.finish(31.0, 30.0, FAILED)
    assert host.is_circuit_open(90.9)
    assert not host.is_circuit_open(91.0), "twice as long the second time"
    host.start(91.0)
    host.finish(91.5, 91.0, SUCCEEDED)
    assert not host.is_circuit_open(91.5)
    assert host.has_capacity()


def test_hosts_take_turns() -> None:
    """Ready hosts take turns, and a waiting host does not delay the others."""
    scheduler = Scheduler(Politeness(min_delay=5.0))
    for n in range(3):
        scheduler.push(job("a", n), 0.0)
    scheduler.push(job("b", 3), 0.0)
    order = []
    while (found := scheduler.pop(0.0)) is not None:
        order.append(found[0].host)
    assert order == ["a", "b"]
    assert scheduler.next_time(0.0) == 5.0
    scheduler.finish("a", 1.0, 0.0, SUCCEEDED)
    scheduler.finish("b", 1.0, 0.0, SUCCEEDED)
    assert scheduler.pop(4.9) is None
    found = scheduler.pop(5.0)
    assert found is not None
    assert found[0].host == "a"


def test_workers_prefer_their_host() -> None:
    """`pop` prefers the given host for at most fifty jobs, then takes the next ready one."""
    scheduler = Scheduler(Politeness())
    for n in range(200):
        scheduler.push(job("ab"[n % 2], n), 0.0)
    order, stay = "", ""
    while (found := scheduler.pop(0.0, None, stay)) is not None:
        stay = found[0].host
        order += stay
        scheduler.finish(stay, 0.0, 0.0, SUCCEEDED)
    assert order[:103] == "a" * 51 + "b" * 51 + "a"
    assert len(order) == 200


def test_open_circuit_rejects_waiting_jobs() -> None:
    """When a circuit opens, the waiting jobs of that host are rejected at once."""
    scheduler = Scheduler(Politeness(min_delay=9.0, max_failures=1))
    for n in range(3):
        scheduler.push(job("dead", n), 0.0)
    assert scheduler.pop(0.0) is not None
    scheduler.finish("dead", 0.5, 0.0, FAILED)
    verdicts = [found[1] for _ in range(2) if (found := scheduler.pop(0.5)) is not None]
    assert verdicts == [CIRCUIT_OPEN, CIRCUIT_OPEN]
    assert len(scheduler) == 0


def test_idle_hosts_are_removed() -> None:
    """Idle hosts are removed from memory."""
    scheduler = Scheduler(Politeness())
    for n in range(100_000):
        scheduler.push(job(f"h{n}"), float(n))
        assert scheduler.pop(float(n)) is not None
        scheduler.finish(f"h{n}", float(n), float(n), SUCCEEDED)
    assert len(scheduler._idle) <= 20_000


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_scheduler_invariants(data: st.DataObject) -> None:
    """For any options and events, each job is returned once and no limit is exceeded."""
    options = Politeness(
        rate=data.draw(st.sampled_from([None, 5.0, 50.0])),
        burst=data.draw(st.integers(1, 3)),
        host_rate=data.draw(st.sampled_from([None, 2.0, 20.0])),
        host_concurrency=data.draw(st.sampled_from([None, 1, 2, 5])),
        min_delay=data.draw(st.sampled_from([0.0, 0.1, 1.0])),
        max_failures=data.draw(st.sampled_from([0, 1, 3])),
        circuit_reset=5.0,
    )
    scheduler = Scheduler(options)
    hosts = "abcd"
    total = data.draw(st.integers(0, 40))
    now = 0.0
    pushed = done = 0
    running: list[tuple[Job, float]] = []
    last_start = dict.fromkeys(hosts, -math.inf)
    outcome = st.sampled_from([SUCCEEDED, SUCCEEDED, SUCCEEDED, THROTTLED, FAILED])
    hops = data.draw(st.integers(0, 20))  # how often an answer leads to another host

    def end() -> int:
        nonlocal hops
        one, started = running.pop(0)
        scheduler.finish(one.host, now, started, data.draw(outcome), None)
        if hops == 0 or data.draw(st.booleans()):
            return 1
        hops -= 1
        one.host = data.draw(st.sampled_from(hosts))
        one.paused = RedirectPaused(cast(Any, None), "")
        scheduler.push(one, now)
        return 0

    for _ in range(4000):
        if done == total:
            break
        step = data.draw(st.integers(0, 2)) if pushed < total else 1
        if step == 0:
            scheduler.push(job(data.draw(st.sampled_from(hosts)), pushed), now)
            pushed += 1
            continue
        if step == 2 and running:
            done += end()
            continue
        found = scheduler.pop(now)
        if found is not None:
            one, verdict = found
            if verdict != RUN:
                done += 1
                continue
            running.append((one, now))
            under_way = sum(1 for other, _ in running if other.host == one.host)
            assert under_way <= (options.host_concurrency or 99)
            assert now - last_start[one.host] >= options.min_delay - 1e-6
            last_start[one.host] = now
        elif running:
            done += end()
        else:
            at = scheduler.next_time(now)
            if at is None:
                assert pushed < total or done == total, repr(scheduler)
                now += 0.01
            else:
                now = max(at, now + 1e-9)
    assert done == total or pushed < total


@pytest.mark.parametrize(
    "bad",
    [
        {"rate": 0},
        {"host_rate": -1},
        {"burst": 0},
        {"min_delay": -1},
        {"host_concurrency": 0},
        {"lookahead": 0},
        {"max_failures": -1},
        {"rate": math.nan},
    ],
)
def test_invalid_options(bad: dict[str, float]) -> None:
    """Invalid numbers raise at the call, and the message names the option."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        Politeness(**bad)  # type: ignore[arg-type]
