"""Connecting to one of several addresses (RFC 8305)."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import curio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cancel_at_each_await import cancel_at_each_await
from support.leaks import ignore_descriptor
from support.scripted_server import MakePeer

from asks_fast._transport.happy_eyeballs import connect_to_any, interleave
from asks_fast._transport.sockets import Address
from asks_fast.errors import ConnectionFailed

V4, V6 = socket.AF_INET, socket.AF_INET6


def four(host: str, port: int = 80) -> Address:
    return (V4, (host, port))


def six(host: str, port: int = 80) -> Address:
    return (V6, (host, port, 0, 0))


def has_ipv6() -> bool:
    try:
        with socket.socket(V6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


@pytest.fixture
def black_hole() -> Iterator[Callable[..., Address]]:
    """Loopback addresses that neither accept nor refuse: a listener whose queue is full."""
    kept: list[socket.socket] = []

    def make(family: int = V4, host: str = "127.0.0.1") -> Address:
        listener = socket.socket(family, socket.SOCK_STREAM)
        kept.append(listener)
        ignore_descriptor(listener.fileno())
        listener.bind((host, 0))
        listener.listen(0)
        target = listener.getsockname()
        for _ in range(8):
            filler = socket.socket(family, socket.SOCK_STREAM)
            kept.append(filler)
            ignore_descriptor(filler.fileno())
            filler.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                filler.connect(target)
                continue
            return (family, target)
        pytest.skip("this system's accept queue does not fill up")

    yield make
    for sock in kept:
        sock.close()


def test_families_alternate() -> None:
    """The first address comes first, then the families alternate (RFC 8305 §4)."""
    mixed = [six("::1"), six("::2"), six("::3"), four("10.0.0.1"), four("10.0.0.2")]
    assert interleave(mixed) == [
        six("::1"),
        four("10.0.0.1"),
        six("::2"),
        four("10.0.0.2"),
        six("::3"),
    ]


@given(st.lists(st.builds(lambda v6, n: six(f"::{n}") if v6 else four(f"10.0.0.{n}"),
                          st.booleans(), st.integers(1, 99))))  # fmt: skip
def test_interleave_keeps_all_addresses_and_their_order(addresses: list[Address]) -> None:
    """Each family keeps its order, and the first address stays first."""
    mixed = interleave(addresses)
    assert mixed[:1] == addresses[:1]
    for family in (V4, V6):
        assert [a for a in mixed if a[0] == family] == [a for a in addresses if a[0] == family]
    both = min(sum(a[0] == V4 for a in mixed), sum(a[0] == V6 for a in mixed))
    assert all(one[0] != two[0] for one, two in pairwise(mixed[: 2 * both]))


async def test_first_address_connects_without_delay(peer: MakePeer) -> None:
    """If the first address accepts, the others are not tried."""
    first, second = peer([]), peer([])
    sock = await connect_to_any([four("127.0.0.1", first.port), four("127.0.0.1", second.port)])
    assert sock.getpeername() == ("127.0.0.1", first.port)
    sock.close()
    assert second.connections == []


async def test_refused_address_starts_the_next_at_once(peer: MakePeer) -> None:
    """After a refusal the next address is tried at once, not after the delay."""
    good = peer([])
    sock = await connect_to_any([four("127.0.0.1", 1), four("127.0.0.1", good.port)], delay=3000)
    assert sock.getpeername() == ("127.0.0.1", good.port)
    sock.close()


async def test_unresponsive_address_costs_one_delay(
    peer: MakePeer, black_hole: Callable[..., Address]
) -> None:
    """The next address is tried after `delay`, and the socket of the silent one is closed."""
    good = peer([])
    began = time.monotonic()
    sock = await connect_to_any([black_hole(), four("127.0.0.1", good.port)], delay=0.05)
    assert 0.05 <= time.monotonic() - began < 60
    assert sock.getpeername() == ("127.0.0.1", good.port)
    sock.close()


@needs_ipv6
async def test_unresponsive_ipv6_falls_back_to_ipv4(
    peer: MakePeer, black_hole: Callable[..., Address]
) -> None:
    """If IPv6 does not connect, IPv4 is tried after a quarter of a second."""
    good = peer([])
    hole = black_hole(V6, "::1")
    began = time.monotonic()
    sock = await connect_to_any([hole, four("127.0.0.1", good.port)])
    assert 0.25 <= time.monotonic() - began < 60
    assert sock.family == V4
    sock.close()


async def test_several_unresponsive_and_refused_addresses(
    peer: MakePeer, black_hole: Callable[..., Address]
) -> None:
    """Of several attempts the first to connect is used, and all others are closed."""
    good = peer([])
    addresses = [black_hole(), black_hole(), four("127.0.0.1", 1), four("127.0.0.1", good.port)]
    sock = await connect_to_any(addresses, delay=0.02)
    assert sock.getpeername() == ("127.0.0.1", good.port)
    sock.close()


async def test_slow_first_address_can_win(black_hole: Callable[..., Address]) -> None:
    """A slow attempt continues and is used if it connects before the later ones."""
    listener = socket.socket()
    ignore_descriptor(listener.fileno())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(8):
        filler = socket.socket()
        ignore_descriptor(filler.fileno())
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    slow = four(*listener.getsockname())

    async def make_room() -> None:
        await curio.sleep(0.2)
        listener.listen(64)
        with contextlib.suppress(BlockingIOError):
            listener.setblocking(False)
            while True:
                accepted, _ = listener.accept()
                ignore_descriptor(accepted.fileno())
                fillers.append(accepted)

    helper = await curio.spawn(make_room)
    sock = await connect_to_any([slow, black_hole()], delay=0.02)
    assert sock.getpeername() == slow[1]
    sock.close()
    await helper.join()
    for filler in [*fillers, listener]:
        filler.close()


async def test_error_lists_all_failures() -> None:
    """If no address connects, the error names the host, each address and its failure."""
    addresses = [four("127.0.0.1", 1), four("127.0.0.2", 2)]
    with pytest.raises(ConnectionFailed) as caught:
        await connect_to_any(addresses, target="http://x.test:80")
    assert str(caught.value) == (
        "could not connect to http://x.test:80 "
        "(127.0.0.1:1: Connection refused; 127.0.0.2:2: Connection refused)"
    )
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@needs_ipv6
async def test_error_shows_ipv6_in_brackets() -> None:
    """An error shows an IPv6 address in brackets, apart from the port."""
    with pytest.raises(ConnectionFailed, match=r"\[::1\]:1: Connection refused"):
        await connect_to_any([six("::1", 1)])


async def test_cancel_at_each_await_closes_all_sockets(
    black_hole: Callable[..., Address], peer: MakePeer
) -> None:
    """After cancellation at each wait every attempt is closed."""
    good = peer([])
    addresses = [black_hole(), four("127.0.0.1", 1), black_hole(), four("127.0.0.1", good.port)]
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()

    async def same_descriptors() -> None:
        if before:
            await good.all_closed()
            assert len(os.listdir("/proc/self/fd")) <= len(before) + 8

    count, sock = await cancel_at_each_await(
        lambda: connect_to_any(addresses, delay=0.02), same_descriptors
    )
    sock.close()
    assert count >= 3


async def test_caller_timeout_propagates(black_hole: Callable[..., Address]) -> None:
    """The caller's time limit ends the attempts with the caller's error."""
    with pytest.raises(curio.TaskTimeout):
        await curio.timeout_after(0.1, connect_to_any, [black_hole(), black_hole()])
