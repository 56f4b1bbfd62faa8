"""TLS inside another connection, for an https origin behind an https proxy.

The outer TLS is with the proxy, the inner TLS with the origin. OpenSSL reads and writes memory
buffers, and this module transfers their contents over the outer connection. Bytes in these buffers
do not make the descriptor readable, so `pending` must be checked before a wait.

`TlsOverTls` behaves as a non-blocking `SSLSocket`. `SSLWantReadError` and `SSLWantWriteError` say
what to wait for. A `send` that raised must be repeated with the same bytes; a `send` that returned
has passed all of its bytes to the outer connection. Nothing here waits.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["TlsOverTls"]

_MAX_RECORD_BYTES = 16384  # of plain data in one TLS record
_READ_SIZE = 65536


class TlsOverTls:
    """A TLS connection inside `outer`, which it owns and closes."""

    has_stable_fd = True  # for our kernel: the same open file as long as it exists

    def __init__(
        self,
        outer: Any,
        context: ssl.SSLContext,
        server_hostname: str,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._outer = outer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname, session=session
        )
        self._unsent = memoryview(b"")  # ciphertext that is not sent yet
        self._pending_send = 0  # plain bytes of the send that raised; its repetition returns them
        self.save_session: Callable[[TlsOverTls], None] | None = None

    def __repr__(self) -> str:
        return f"<TlsOverTls {self._tls.version() or 'handshaking'} fd={self.fileno()}>"

    # -- the interface of SSLSocket

    def do_handshake(self) -> None:
        """Do one step of the handshake. Raises as `SSLSocket.do_handshake` does."""
        self._run_step(self._tls.do_handshake)
        self._flush()

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `SSLSocket.recv_into`: at least one byte; 0 only after close_notify."""
        view = memoryview(buffer).cast("B")
        size = nbytes or len(view)
        if not size:
            return 0
        try:
            got: int = self._run_step(lambda: self._tls.read(size, view))
        except ssl.SSLZeroReturnError:
            return 0
        return got

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As `SSLSocket.recv`."""
        buffer = bytearray(size)
        return bytes(buffer[: self.recv_into(buffer)])

    def send(self, data: Any, flags: int = 0) -> int:
        """As `SSLSocket.send`: the number of bytes sent, at most those of one record."""
        if not self._pending_send:
            view = memoryview(data).cast("B")
            if not view:
                return 0
            self._flush()
            self._pending_send = self._tls.write(view[:_MAX_RECORD_BYTES])
        self._flush()
        sent, self._pending_send = self._pending_send, 0
        return sent

    def pending(self) -> int:
        """Return the number of buffered bytes. Unless it is 0, call `recv_into` before waiting."""
        outer = getattr(self._outer, "pending", None)
        return self._tls.pending() + self._incoming.pending + (outer() if outer is not None else 0)

    def fileno(self) -> int:
        """Return the descriptor to wait for, -1 after `close`."""
        return int(self._outer.fileno())

    def close(self) -> None:
        """Close the outer connection. Further calls do nothing."""
        save_session, self.save_session = self.save_session, None
        if save_session is not None:
            save_session(self)
        self._outer.close()

    def setblocking(self, flag: bool) -> None:
        """Raise `ValueError` for True: this is always non-blocking."""
        if flag:
            raise ValueError("TLS inside TLS is always non-blocking")

    def __getattr__(self, name: str) -> Any:
        # Attributes that describe the connection come from the inner TLS, else the outer socket.
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return getattr(self._tls, name)
        except AttributeError:
            return getattr(self._outer, name)

    # -- transfer of the ciphertext

    def _run_step(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                # An error while sending TLS's own records must not discard the result.
                with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    self._flush()
                return result

    def _flush(self) -> None:
        """Send all ciphertext. Raises `SSLWantWriteError` if the outer connection is full."""
        while True:
            if not self._unsent:
                if not self._outgoing.pending:
                    return
                self._unsent = memoryview(self._outgoing.read())
            try:
                self._unsent = self._unsent[self._outer.send(self._unsent) :]
            except BlockingIOError:
                raise ssl.SSLWantWriteError(
                    ssl.SSL_ERROR_WANT_WRITE, "the outer connection is full"
                ) from None

    def _fill(self) -> None:
        """Receive ciphertext. Raises `SSLWantReadError` if the outer connection has none."""
        try:
            data = self._outer.recv(_READ_SIZE)
        except BlockingIOError:
            raise ssl.SSLWantReadError(
                ssl.SSL_ERROR_WANT_READ, "the outer connection has nothing"
            ) from None
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
