"""A server on loopback that answers from a table of routes and can inject faults.

    with serve(routes) as server:
        await asks_fast.get(server.url + "/items/1")

It uses threads, so it works with any kernel. It supports keep-alive, pipelining and `Expect:
100-continue`. Leaving the block closes every connection and ends every thread. A request without a
route gets a 404 that says so. If the function of a route raises, the client gets a 500, and the
error is raised when the block is left, or logged if another exception ends the block. The server is
for tests: it is neither fast nor hardened.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._hotpath import Headers
from . import faults
from .messages import MockResponse, RecordedRequest, as_response, response
from .routes import NoRoute, Routes

if TYPE_CHECKING:
    import ssl

__all__ = ["LocalServer", "serve"]

_log = logging.getLogger("asks_fast.testing")


class LocalServer:
    """The server. Created by `serve`. `url` has no slash at its end."""

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
        """The number of connections that were accepted."""
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
        """The address, e.g. `"http://127.0.0.1:40123"`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests, in order."""
        return self.routes.requests

    def __repr__(self) -> str:
        return f"<LocalServer {self.url} {self.connections} connections>"

    def start(self) -> None:
        """Start to accept connections. Returns at once."""
        self._start(self._accept)

    def stop(self) -> None:
        """Close everything and wait for all threads. Raises the first error of a route function."""
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
        except BaseException as own:
            if error is None:  # else the error of the test is raised
                raise
            _log.error("a route of %s failed", self.url, exc_info=own)

    # -- the threads

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # for example no descriptor; the next one may succeed
                if self._stopping.wait(0.01):
                    return
                continue
            with self._lock:
                if self._stopping.is_set():
                    sock.close()
                    return
                self._open.add(sock)
            self.connections += 1
            self._start(self._serve_connection, sock)

    def _serve_connection(self, sock: socket.socket) -> None:
        plain = sock
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._open.add(sock)
            _ServerConnection(self, sock).run()
        except (OSError, _ConnectionEnded):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            with self._lock:
                self._open -= {sock, plain}
            sock.close()

    def wait(self, seconds: float) -> None:
        """Wait, at most until `stop`."""
        self._stopping.wait(seconds)

    def response_for(self, request: RecordedRequest) -> MockResponse:
        """Return the response of the table; 404 or 500 if it fails."""
        try:
            value = self.routes.choose(request)
            if callable(value) and not isinstance(value, type):
                value = value(request)
            if isinstance(value, (BaseException, type)):
                raise TypeError(f"{value!r} cannot be sent: use a fault instead")
            return as_response(value)
        except NoRoute as error:
            return response(404, text=str(error))
        except Exception as error:
            self.errors.append(error)
            return response(500, text=f"{type(error).__name__}: {error}")


def serve(
    routes: Routes,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
) -> LocalServer:
    """Serve a table of routes on loopback.

    Args:
        routes: the table.
        host: an IP address of this machine.
        port: 0 chooses a free port.
        ssl_context: serve over TLS with this context.

    Returns:
        A context manager: the server, which runs inside the `with` block.

    Example:
        >>> with serve(routes) as server:
        ...     print(server.url)
    """
    return LocalServer(routes, host=host, port=port, ssl_context=ssl_context)


class _ConnectionEnded(Exception):
    """The connection has ended."""


class _ServerConnection:
    """One connection. httptools calls the `on_` methods; requests are answered in order."""

    def __init__(self, server: LocalServer, sock: socket.socket) -> None:
        from httptools import HttpRequestParser

        self.server = server
        self.sock = sock
        self.parser = HttpRequestParser(self)
        self.waiting: list[tuple[RecordedRequest, bool]] = []
        self.on_message_begin()

    def run(self) -> None:
        from httptools import HttpParserError, HttpParserUpgrade

        while data := self.sock.recv(65536):
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade:
                pass  # the upgrade is ignored
            except HttpParserError as error:
                self.sock.sendall(_head(response(400, text=str(error)), closes=True))
                return
            while self.waiting:
                self.respond(*self.waiting.pop(0))

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
        request = RecordedRequest(
            method, target, Headers.from_pairs(self.headers), bytes(self.body)
        )
        self.waiting.append((request, self.parser.should_keep_alive()))

    def header(self, name: str) -> str:
        found = (value for key, value in self.headers if key.lower() == name.encode())
        return next(found, b"").decode("latin-1")

    # -- responses

    def respond(self, request: RecordedRequest, keeps_alive: bool) -> None:
        mock = self.server.response_for(request)
        if mock.delay:
            self.server.wait(mock.delay)
        data = _head(mock, closes=not keeps_alive)
        if request.method != "HEAD" and mock.status >= 200 and mock.status not in (204, 304):
            data += mock.body
        if mock.fault is None:
            self.sock.sendall(data)
        else:
            self.sock.sendall(data[: mock.fault.after])
            self.send_with_fault(mock.fault, data[mock.fault.after :])
        if not keeps_alive:
            raise _ConnectionEnded

    def send_with_fault(self, fault: faults.Fault, rest: bytes) -> None:
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
        raise _ConnectionEnded


def _head(mock: MockResponse, *, closes: bool) -> bytes:
    lines = [f"HTTP/1.1 {mock.status} {mock.phrase}"]
    lines += [f"{name}: {value}" for name, value in mock.fields()]
    names = {name.lower() for name, _ in mock.headers}
    if "date" not in names:
        lines.append(f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}")
    if closes and "connection" not in names:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("utf-8")
