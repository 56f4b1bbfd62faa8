"""A TCP proxy that injects faults.

    faults = connection_faults(down=[CutAfter(100)])
    with FaultProxy(server.host, server.port, faults) as proxy: ...

Bytes pass unchanged apart from the faults. The position of a fault is a number of bytes in one
direction of one connection, so it is the same in each run. Connection n uses the n-th script of
faults, further ones the last; with `choose`, the result of that function. "up" is from the client
to the server, "down" from the server to the client.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from support.leaks import ignore_descriptor

POLL_INTERVAL = 0.02


@dataclass(frozen=True)
class Delay:
    """Wait `seconds`, once, before the byte at `at`."""

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
    """Send RST to both sides after `at` bytes."""

    at: int


@dataclass(frozen=True)
class HalfCloseAfter:
    """Send FIN in this direction after `at` bytes; the other direction continues."""

    at: int


@dataclass(frozen=True)
class StallAfter:
    """Pass nothing more after `at` bytes, and keep the connection open."""

    at: int


@dataclass(frozen=True)
class Garbage:
    """Insert `data` before the byte at `at`."""

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
class ConnectionFaults:
    """The faults of one connection. With `refuse` it is reset when it is accepted."""

    up: tuple[Fault, ...] = ()
    down: tuple[Fault, ...] = ()
    refuse: bool = False


def connection_faults(
    up: Sequence[Fault] = (), down: Sequence[Fault] = (), refuse: bool = False
) -> ConnectionFaults:
    return ConnectionFaults(tuple(up), tuple(down), refuse)


def random_faults(rng: random.Random, reach: int = 2000) -> ConnectionFaults:
    """Return random faults: often none, else one within the first `reach` bytes."""
    draw = rng.random()
    if draw < 0.3:
        return ConnectionFaults()
    if draw < 0.35:
        return ConnectionFaults(refuse=True)
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
    return ConnectionFaults(down=(fault,)) if rng.random() < 0.8 else ConnectionFaults(up=(fault,))


@dataclass
class _Pipe:
    """One direction of one connection."""

    source: socket.socket
    sink: socket.socket
    faults: tuple[Fault, ...]
    passed: int = 0
    tail: bytearray = field(default_factory=bytearray)
    stalled: bool = False
    applied: set[int] = field(default_factory=set)


class _ConnectionEnded(Exception):
    """The connection has ended."""


class FaultProxy:
    """Listens on port 0 of loopback and passes every connection on to `host:port`.

    Attributes: `port`, `accepted` (connections so far), `scripts` (may be replaced while running).
    """

    def __init__(
        self,
        host: str,
        port: int,
        *scripts: ConnectionFaults,
        choose: Callable[[int], ConnectionFaults] | None = None,
    ) -> None:
        self.target = (host, port)
        self.scripts = list(scripts) or [ConnectionFaults()]
        self.choose = choose or (lambda n: self.scripts[min(n, len(self.scripts) - 1)])
        self.accepted = 0
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        ignore_descriptor(self._listener.fileno())
        self._listener.settimeout(POLL_INTERVAL)
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
            ignore_descriptor(client.fileno())
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
            ignore_descriptor(server.fileno())
            self._start(self._relay, client, server, chosen)

    def _relay(
        self, client: socket.socket, server: socket.socket, chosen: ConnectionFaults
    ) -> None:
        both = (client, server)
        for sock in both:
            sock.settimeout(POLL_INTERVAL)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        down = _Pipe(server, client, chosen.down)
        upward = threading.Thread(
            target=self._forward, args=(_Pipe(client, server, chosen.up), both), daemon=True
        )
        upward.start()
        self._forward(down, both)
        upward.join()
        for sock in both:
            sock.close()

    def _forward(self, pipe: _Pipe, both: tuple[socket.socket, socket.socket]) -> None:
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
        except (_ConnectionEnded, OSError):
            for sock in both:  # wakes the other direction; `_relay` closes them
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _apply(self, pipe: _Pipe, both: tuple[socket.socket, socket.socket], data: bytes) -> None:
        """Send `data` and apply the faults at their positions."""
        placed = sorted(
            (fault.at, order, fault)
            for order, fault in enumerate(pipe.faults)
            if not isinstance(fault, Drip) and order not in pipe.applied
        )
        for at, order, fault in placed:
            if at > pipe.passed + len(data):
                break
            until = at - pipe.passed
            if isinstance(fault, Corrupt) and until >= len(data):
                break
            self._send(pipe, data[:until])
            data = data[until:]
            pipe.applied.add(order)
            data = self._apply_fault(pipe, both, fault, data)
            if pipe.stalled:
                return
        self._send(pipe, data)

    def _apply_fault(
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
            raise _ConnectionEnded
        elif isinstance(fault, CutAfter):
            raise _ConnectionEnded
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
