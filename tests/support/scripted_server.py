"""A server that runs a script of steps for each connection: real sockets, exact bytes.

    server = peer([expect(), send(b"HTTP/1.1 204 No Content\\r\\n\\r\\n"), close()])

- It uses threads, so it works with any kernel, and port 0. Steps are plain functions.
- Connection n runs the n-th script, further ones the last script. After its script a connection
  stays open and collects data until the client closes it.
- A client that closes early ends the script without an error (`client_closed`). Any other error in
  a step is raised when the test ends.

The steps are defined in `script_steps`.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.leaks import ignore_descriptor

Step = Callable[["PeerConnection"], None]
POLL_INTERVAL = 0.02  # seconds between two checks whether the test is over
WAIT_TIMEOUT = 60.0  # seconds that a test waits at most for an event at the peer


class ClientGone(Exception):
    """The client closed or reset the connection: the script ends here."""


class PeerStopped(Exception):
    """The test is over: the script ends here."""


@dataclass
class SeenRequest:
    """One request as it was received."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes
    connection: int
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """Return the value of the field, None if missing. Raises `AssertionError` if repeated."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None


@dataclass
class PeerConnection:
    """One accepted connection: its socket, the received data, how it ended."""

    peer: Peer
    index: int
    sock: socket.socket
    received: bytearray = field(default_factory=bytearray)
    requests: list[SeenRequest] = field(default_factory=list)
    client_closed: str | None = None  # "eof" or "reset", None while the client holds it open
    handshake_error: Exception | None = None
    finished: bool = False
    unread: bytearray = field(default_factory=bytearray)

    def take_more(self) -> None:
        """Wait for the next bytes of the client. Raises `ClientGone` at their end."""
        while True:
            if self.peer.stopping:
                raise PeerStopped
            try:
                data = self.sock.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                continue
            except (ConnectionError, ssl.SSLError) as error:
                self.client_closed = "reset"
                raise ClientGone from error
            except OSError as error:
                raise PeerStopped from error
            if not data:
                self.client_closed = "eof"
                raise ClientGone
            self.received += data
            self.unread += data
            return

    def put(self, data: bytes) -> None:
        """Send all of `data`. Raises `ClientGone` if the client has closed."""
        view = memoryview(data)
        while view:
            if self.peer.stopping:
                raise PeerStopped
            try:
                sent = self.sock.send(view)
            except (TimeoutError, ssl.SSLWantWriteError):
                continue
            except (ConnectionError, ssl.SSLError) as error:
                self.client_closed = "reset"
                raise ClientGone from error
            view = view[sent:]

    def take_until(self, mark: bytes) -> bytes:
        while mark not in self.unread:
            self.take_more()
        return self.take(self.unread.index(mark) + len(mark))

    def take(self, size: int) -> bytes:
        while len(self.unread) < size:
            self.take_more()
        taken = bytes(self.unread[:size])
        del self.unread[:size]
        return taken

    def take_head(self) -> SeenRequest:
        raw = self.take_until(b"\r\n\r\n")
        lines = raw[:-4].decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        headers = [
            (name, value.strip()) for name, _, value in (x.partition(":") for x in lines[1:])
        ]
        request = SeenRequest(method, target, version, headers, b"", raw, self.index)
        self.requests.append(request)
        return request

    def take_trailers(self, request: SeenRequest) -> None:
        while (line := self.take_until(b"\r\n")) != b"\r\n":
            request.raw += line
            name, _, value = line.decode("latin-1").partition(":")
            request.trailers.append((name, value.strip()))
        request.raw += line

    def take_body(self, request: SeenRequest) -> None:
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            while True:
                line = self.take_until(b"\r\n")
                request.raw += line
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    self.take_trailers(request)
                    return
                chunk = self.take(size + 2)
                request.raw += chunk
                request.body += chunk[:-2]
        else:
            request.body = self.take(int(request.header("content-length") or 0))
            request.raw += request.body


class Peer:
    """The listening side. Created by the fixtures `peer` and `tls_peer`."""

    def __init__(
        self,
        scripts: Sequence[Sequence[Step]],
        *,
        host: str = "127.0.0.1",
        unix: str | None = None,
        tls: ssl.SSLContext | None = None,
        before_tls: Sequence[Step] = (),
        backlog: int = 128,
        receive_buffer: int | None = None,
        accepting: bool = True,
    ) -> None:
        self.scripts = [list(script) for script in scripts] or [[]]
        self.tls, self.before_tls = tls, list(before_tls)
        self.connections: list[PeerConnection] = []
        self.errors: list[BaseException] = []
        self._marks: list[str] = []
        self.stopping = False
        self._released = threading.Event()
        self._threads: list[threading.Thread] = []
        if unix is not None:
            family, address = socket.AF_UNIX, unix
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            address = (host, 0)  # type: ignore[assignment]
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        ignore_descriptor(self._listener.fileno())
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(address)
        self._listener.listen(backlog)
        self._listener.settimeout(POLL_INTERVAL)
        self.host = host
        self.port = 0 if unix is not None else self._listener.getsockname()[1]
        if accepting:
            self._start(self._accept)

    # -- for tests ---------------------------------------------------------------------

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def requests(self) -> list[SeenRequest]:
        """All requests of all connections, connection by connection."""
        return [request for connection in self.connections for request in connection.requests]

    @property
    def open_connections(self) -> int:
        """Connections that the client still holds open."""
        return sum(1 for c in self.connections if c.client_closed is None and not c.finished)

    def wait(self, condition: Callable[[], bool], seconds: float = WAIT_TIMEOUT) -> None:
        """Block this thread until `condition()`; AssertionError after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"the condition did not become true; {self!r}"
            time.sleep(0.001)

    async def until(self, condition: Callable[[], bool], seconds: float = WAIT_TIMEOUT) -> None:
        """The same from inside a kernel: other tasks run meanwhile."""
        import curio

        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"the condition did not become true; {self!r}"
            await curio.sleep(0.001)

    async def saw_requests(self, count: int = 1) -> None:
        """Wait until `count` request heads were received."""
        await self.until(lambda: len(self.requests) >= count)

    async def saw_connections(self, count: int = 1) -> None:
        """Wait until `count` connections were accepted."""
        await self.until(lambda: len(self.connections) >= count)

    async def reached(self, mark_name: str) -> None:
        """Wait until a script has passed `mark(mark_name)`."""
        await self.until(lambda: mark_name in self._marks)

    async def all_closed(self) -> None:
        """Wait until no connection is held open by the client."""
        await self.until(lambda: self.open_connections == 0)

    @property
    def released(self) -> threading.Event:
        """Set by `release` and at the end of the test."""
        return self._released

    def release(self) -> None:
        """End every `stall()`, now and later."""
        self._released.set()

    def __repr__(self) -> str:
        seen = ", ".join(
            f"#{c.index} {len(c.requests)} requests, "
            + (f"client closed ({c.client_closed})" if c.client_closed else "open")
            for c in self.connections
        )
        return f"<Peer {self.url} marks={self._marks} [{seen}]>"

    # -- the threads ---------------------------------------------------------------------------

    def start_accepting(self) -> None:
        """Start to accept connections, if it was created with `accepting=False`."""
        self._start(self._accept)

    def stop(self) -> None:
        """Close everything. Raises the first error of a script."""
        self.stopping = True
        self._released.set()
        for thread in list(self._threads):
            thread.join(10)
        self._listener.close()
        for connection in self.connections:
            connection.sock.close()
        if self.errors:
            raise self.errors[0]

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping:
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            ignore_descriptor(sock.fileno())
            sock.settimeout(POLL_INTERVAL)
            connection = PeerConnection(self, len(self.connections), sock)
            self.connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: PeerConnection) -> None:
        script = self.scripts[min(connection.index, len(self.scripts) - 1)]
        try:
            for step in self.before_tls:
                step(connection)
            if self.tls is not None and not self._handshake(connection, self.tls):
                return
            for step in script:
                step(connection)
            while connection.sock.fileno() >= 0:
                connection.take_more()
        except (ClientGone, PeerStopped):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            connection.finished = True
            connection.sock.close()

    def _handshake(self, connection: PeerConnection, context: ssl.SSLContext) -> bool:
        connection.sock.settimeout(WAIT_TIMEOUT)
        try:
            connection.sock = context.wrap_socket(connection.sock, server_side=True)
        except OSError as error:  # ssl.SSLError is one
            connection.handshake_error = error
            connection.client_closed = "reset" if isinstance(error, ConnectionError) else "eof"
            return False
        connection.sock.settimeout(POLL_INTERVAL)
        return True


MakePeer = Callable[..., Peer]  # the fixtures `peer` and `tls_peer`
