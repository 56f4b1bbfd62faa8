"""A server on loopback that answers from the same table of routes, and misbehaves on demand.

    with serve(routes) as server:
        await asks_fast.get(server.url + "/items/1")

Facts:  threads, so that it runs beside any kernel; port 0 unless told otherwise; keep-alive,
        pipelining and `Expect: 100-continue` as real servers have them.
Rules:  leaving the block closes every connection and ends every thread. A request without a route
        gets a 404 that says so; a route's function that raises gets a 500, and the error is
        raised when the block is left.
Not here: the table (routes.py). This is for tests: it is neither fast nor hardened.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._hotpath import Headers
from . import faults
from .messages import Answer, SeenRequest, answer, as_answer
from .routes import NoRoute, Routes

if TYPE_CHECKING:
    import ssl

__all__ = ["LocalServer", "serve"]


class LocalServer:
    """The listening side; `serve` makes one. `url` has no slash at its end."""

    def __init__(
        self,
        routes: Routes,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.routes = routes
        self.host = host
        self.connections = 0
        """How many connections were accepted so far."""
        self.errors: list[BaseException] = []
        self._tls = ssl_context
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=1024)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it answers, e.g. `"http://127.0.0.1:40123"`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def requests(self) -> list[SeenRequest]:
        """Every request that came, in order."""
        return self.routes.requests

    def __repr__(self) -> str:
        return f"<LocalServer {self.url} {self.connections} connections>"

    def start(self) -> None:
        """Begin to accept; returns at once."""
        self._start(self._accept)

    def stop(self) -> None:
        """Close all; returns when every thread has ended. Raises what a route's function raised."""
        self._stopping.set()
        with suppress(OSError):  # wake the thread that waits in accept()
            socket.create_connection((self.host, self.port), 1).close()
        with self._lock:
            for sock in self._open:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(10)
        self._listener.close()
        if self.errors:
            raise self.errors[0]

    def __enter__(self) -> LocalServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except BaseException:
            if error is None:  # else the test's own error says more
                raise

    # -- the threads

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # no descriptor for it, say; the next one may have one
                if self._stopping.wait(0.01):
                    return
                continue
            with self._lock:
                if self._stopping.is_set():
                    sock.close()
                    return
                self._open.add(sock)
            self.connections += 1
            self._start(self._converse, sock)

    def _converse(self, sock: socket.socket) -> None:
        plain = sock
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._open.add(sock)
            _Conversation(self, sock).run()
        except (OSError, _Over):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            with self._lock:
                self._open -= {sock, plain}
            sock.close()

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond `stop`."""
        self._stopping.wait(seconds)

    def answer_for(self, request: SeenRequest) -> Answer:
        """What the table says; 404 and 500 where it fails."""
        try:
            value = self.routes.choose(request)
            if callable(value) and not isinstance(value, type):
                value = value(request)
            if isinstance(value, (BaseException, type)):
                raise TypeError(f"{value!r} can't be sent: give a fault instead")
            return as_answer(value)
        except NoRoute as error:
            return answer(404, text=str(error))
        except Exception as error:
            self.errors.append(error)
            return answer(500, text=f"{type(error).__name__}: {error}")


def serve(
    routes: Routes,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
) -> LocalServer:
    """A context manager that serves the table on loopback, over TLS with `ssl_context`."""
    return LocalServer(routes, host=host, port=port, ssl_context=ssl_context)


class _Over(Exception):
    """The connection's story ends here."""


class _Conversation:
    """One connection: httptools calls the `on_` methods, whole requests are answered in order."""

    def __init__(self, server: LocalServer, sock: socket.socket) -> None:
        from httptools import HttpRequestParser

        self.server = server
        self.sock = sock
        self.parser = HttpRequestParser(self)
        self.waiting: list[tuple[SeenRequest, bool]] = []
        self.on_message_begin()

    def run(self) -> None:
        from httptools import HttpParserError, HttpParserUpgrade

        while data := self.sock.recv(65536):
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade:
                pass  # the upgrade is not taken up
            except HttpParserError as error:
                self.sock.sendall(_head(answer(400, text=str(error)), closes=True))
                return
            while self.waiting:
                self.reply(*self.waiting.pop(0))

    # -- httptools' callbacks

    def on_message_begin(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.header("expect").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        target = self.target.decode("latin-1")
        if target.startswith("/"):
            scheme = self.server.url.partition("://")[0]
            target = (
                f"{scheme}://{self.header('host') or self.server.url[len(scheme) + 3 :]}{target}"
            )
        method = self.parser.get_method().decode("ascii")
        request = SeenRequest(method, target, Headers.from_pairs(self.headers), bytes(self.body))
        self.waiting.append((request, self.parser.should_keep_alive()))

    def header(self, name: str) -> str:
        found = (value for key, value in self.headers if key.lower() == name.encode())
        return next(found, b"").decode("latin-1")

    # -- answers

    def reply(self, request: SeenRequest, keeps_alive: bool) -> None:
        given = self.server.answer_for(request)
        if given.delay:
            self.server.wait(given.delay)
        data = _head(given, closes=not keeps_alive)
        if request.method != "HEAD" and given.status >= 200 and given.status not in (204, 304):
            data += given.body
        if given.fault is None:
            self.sock.sendall(data)
        else:
            self.sock.sendall(data[: given.fault.after])
            self.harm(given.fault, data[given.fault.after :])
        if not keeps_alive:
            raise _Over

    def harm(self, fault: faults.Fault, rest: bytes) -> None:
        if isinstance(fault, faults.Drip):
            for start in range(0, len(rest), fault.size):
                self.sock.sendall(rest[start : start + fault.size])
                self.server.wait(fault.pause)
            return
        if isinstance(fault, faults.Garbage):
            self.sock.sendall(fault.data)
        elif isinstance(fault, faults.Stall):
            while self.sock.recv(65536):
                pass
        elif isinstance(fault, faults.Reset):
            linger = struct.pack("ii", 1, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise _Over


def _head(given: Answer, *, closes: bool) -> bytes:
    lines = [f"HTTP/1.1 {given.status} {given.phrase}"]
    lines += [f"{name}: {value}" for name, value in given.fields()]
    names = {name.lower() for name, _ in given.headers}
    if "date" not in names:
        lines.append(f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}")
    if closes and "connection" not in names:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("utf-8")
