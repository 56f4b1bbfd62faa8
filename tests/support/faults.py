"""A TCP proxy that breaks the wire on demand.

    with FaultProxy(server.host, server.port, plan(down=[CutAfter(100)])) as proxy: ...

Facts:  bytes pass unchanged but for the faults; places are counted in bytes of one direction of
        one connection, so a fault strikes at the same place every time.
Rules:  connection n follows the n-th plan, further ones the last; with a function, the plan it
        gives for n. "up" is from the client to the server, "down" the way back.
Not here: HTTP. What a fault means is for the test to say.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from support.leaks import disregard

TICK = 0.02


@dataclass(frozen=True)
class Delay:
    """Hold the bytes back for `seconds`, once, before the byte at `at`."""

    seconds: float
    at: int = 0


@dataclass(frozen=True)
class Drip:
    """Pass `size` bytes at a time with `pause` seconds between."""

    size: int = 1
    pause: float = 0.0


@dataclass(frozen=True)
class CutAfter:
    """Close both sides after `at` bytes."""

    at: int


@dataclass(frozen=True)
class ResetAfter:
    """RST to both sides after `at` bytes."""

    at: int


@dataclass(frozen=True)
class HalfCloseAfter:
    """FIN to the receiver of this direction after `at` bytes; the other direction goes on."""

    at: int


@dataclass(frozen=True)
class StallAfter:
    """Pass nothing more after `at` bytes, and keep the connection open."""

    at: int


@dataclass(frozen=True)
class Garbage:
    """Put `data` before the byte at `at`."""

    at: int
    data: bytes = b"\x00\xff\x16\x03garbage\r\n\r\n"


@dataclass(frozen=True)
class Duplicate:
    """Pass the `size` bytes before `at` a second time."""

    at: int
    size: int = 16


@dataclass(frozen=True)
class Corrupt:
    """Flip all bits of the byte at `at`."""

    at: int


Fault = (
    Delay
    | Drip
    | CutAfter
    | ResetAfter
    | HalfCloseAfter
    | StallAfter
    | Garbage
    | Duplicate
    | Corrupt
)


@dataclass(frozen=True)
class Plan:
    """What happens on one connection. `refuse`: it is reset as soon as it is accepted."""

    up: tuple[Fault, ...] = ()
    down: tuple[Fault, ...] = ()
    refuse: bool = False


def plan(up: Sequence[Fault] = (), down: Sequence[Fault] = (), refuse: bool = False) -> Plan:
    return Plan(tuple(up), tuple(down), refuse)


def random_plan(rng: random.Random, reach: int = 2000) -> Plan:
    """A plan drawn from `rng`: often no fault, else one within the first `reach` bytes."""
    draw = rng.random()
    if draw < 0.3:
        return Plan()
    if draw < 0.35:
        return Plan(refuse=True)
    at = rng.choice((0, 1, rng.randrange(200), rng.randrange(reach)))
    fault: Fault = rng.choice(
        (
            Delay(rng.random() * 0.05, at),
            Drip(rng.randint(1, 50), 0.0),
            CutAfter(at),
            ResetAfter(at),
            HalfCloseAfter(at),
            StallAfter(at),
            Garbage(at),
            Duplicate(at, rng.randint(1, 64)),
            Corrupt(at),
        )
    )
    return Plan(down=(fault,)) if rng.random() < 0.8 else Plan(up=(fault,))


@dataclass
class _Pipe:
    """One direction of one connection."""

    source: socket.socket
    sink: socket.socket
    faults: tuple[Fault, ...]
    passed: int = 0
    tail: bytearray = field(default_factory=bytearray)
    stalled: bool = False
    struck: set[int] = field(default_factory=set)


class _SessionClosing(Exception):
    """This connection is over."""


class FaultProxy:
    """Listens on port 0 of loopback and passes every connection on to `host:port`.

    Attributes: `port`, `accepted` (connections so far), `plans` (may be replaced while running).
    """

    def __init__(
        self,
        host: str,
        port: int,
        *plans: Plan,
        choose: Callable[[int], Plan] | None = None,
    ) -> None:
        self.target = (host, port)
        self.plans = list(plans) or [Plan()]
        self.choose = choose or (lambda n: self.plans[min(n, len(self.plans) - 1)])
        self.accepted = 0
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        disregard(self._listener.fileno())
        self._listener.settimeout(TICK)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._start(self._accept)

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping.set()
        for thread in list(self._threads):
            thread.join(10)
        self._listener.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads = [t for t in self._threads if t.is_alive()] + [thread]
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            disregard(client.fileno())
            chosen = self.choose(self.accepted)
            self.accepted += 1
            if chosen.refuse:
                _reset(client)
                continue
            try:
                server = socket.create_connection(self.target, 10)
            except OSError:
                _reset(client)
                continue
            disregard(server.fileno())
            self._start(self._carry, client, server, chosen)

    def _carry(self, client: socket.socket, server: socket.socket, chosen: Plan) -> None:
        both = (client, server)
        for sock in both:
            sock.settimeout(TICK)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        down = _Pipe(server, client, chosen.down)
        upward = threading.Thread(
            target=self._pump, args=(_Pipe(client, server, chosen.up), both), daemon=True
        )
        upward.start()
        self._pump(down, both)
        upward.join()
        for sock in both:
            sock.close()

    def _pump(self, pipe: _Pipe, both: tuple[socket.socket, socket.socket]) -> None:
        try:
            self._apply(pipe, both, b"")
            while not self._stopping.is_set():
                try:
                    data = pipe.source.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    if not pipe.stalled:
                        pipe.sink.shutdown(socket.SHUT_WR)
                    return
                if not pipe.stalled:
                    self._apply(pipe, both, data)
        except (_SessionClosing, OSError):
            for sock in both:  # wakes the other direction; closing is left to the owner
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _apply(self, pipe: _Pipe, both: tuple[socket.socket, socket.socket], data: bytes) -> None:
        """Send `data`, stopping at each place where a fault strikes."""
        placed = sorted(
            (fault.at, order, fault)
            for order, fault in enumerate(pipe.faults)
            if not isinstance(fault, Drip) and order not in pipe.struck
        )
        for at, order, fault in placed:
            if at > pipe.passed + len(data):
                break
            until = at - pipe.passed
            if isinstance(fault, Corrupt) and until >= len(data):
                break
            self._send(pipe, data[:until])
            data = data[until:]
            pipe.struck.add(order)
            data = self._strike(pipe, both, fault, data)
            if pipe.stalled:
                return
        self._send(pipe, data)

    def _strike(
        self, pipe: _Pipe, both: tuple[socket.socket, socket.socket], fault: Fault, data: bytes
    ) -> bytes:
        if isinstance(fault, Delay):
            self._stopping.wait(fault.seconds)
        elif isinstance(fault, Garbage):
            pipe.sink.sendall(fault.data)
        elif isinstance(fault, Duplicate):
            pipe.sink.sendall(bytes(pipe.tail[-fault.size :]))
        elif isinstance(fault, Corrupt):
            return bytes((data[0] ^ 0xFF,)) + data[1:]
        elif isinstance(fault, StallAfter):
            pipe.stalled = True
        elif isinstance(fault, HalfCloseAfter):
            pipe.sink.shutdown(socket.SHUT_WR)
            pipe.stalled = True
        elif isinstance(fault, ResetAfter):
            for sock in both:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
            raise _SessionClosing
        elif isinstance(fault, CutAfter):
            raise _SessionClosing
        return data

    def _send(self, pipe: _Pipe, data: bytes) -> None:
        if not data:
            return
        drip = next((fault for fault in pipe.faults if isinstance(fault, Drip)), None)
        size = drip.size if drip else len(data)
        for start in range(0, len(data), size):
            self._send_all(pipe, data[start : start + size])
            if drip and drip.pause:
                self._stopping.wait(drip.pause)
        pipe.passed += len(data)
        pipe.tail = (pipe.tail + data)[-4096:]

    def _send_all(self, pipe: _Pipe, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._stopping.is_set():
            try:
                view = view[pipe.sink.send(view) :]
            except TimeoutError:
                continue


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
