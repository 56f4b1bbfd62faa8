"""TLS inside another connection, where OpenSSL cannot have the descriptor to itself.

For an https origin behind an https proxy: the outer TLS is spoken with the proxy, the inner one
with the origin through it.

Facts:  OpenSSL writes into and reads from memory here; we carry those bytes on the outer
        connection. What waits in the outer connection's buffers makes no descriptor readable.
Rules:  behaves as a non-blocking `SSLSocket`: `SSLWantReadError` and `SSLWantWriteError` say what
        to wait for, and a `send` that raised must be repeated with the same bytes. A `send` that
        returned has handed all of its bytes to the outer connection.
Not here: waiting.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["TlsOverTls"]

_RECORD = 16384  # the most plain bytes of one TLS record
_PIECE = 65536


class TlsOverTls:
    """A TLS connection inside `outer`, which it owns: closing this closes that."""

    has_stable_fd = True  # to our kernel: one open file all its life

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
        self._unsent = memoryview(b"")  # ciphertext that the outer connection did not take yet
        self._in_flight = 0  # plain bytes of the send that raised, to be reported by its repetition
        self.keep: Callable[[ssl.SSLSession | None], None] | None = None

    def __repr__(self) -> str:
        return f"<TlsOverTls {self._tls.version() or 'handshaking'} fd={self.fileno()}>"

    # -- what a caller of an SSLSocket uses

    def do_handshake(self) -> None:
        """One step of the handshake; raises as `SSLSocket.do_handshake` does."""
        self._pump(self._tls.do_handshake)
        self._flush()

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Like `SSLSocket.recv_into`: at least one byte, 0 only at a proper end."""
        view = memoryview(buffer).cast("B")
        size = nbytes or len(view)
        if not size:
            return 0
        try:
            got: int = self._pump(lambda: self._tls.read(size, view))
        except ssl.SSLZeroReturnError:
            return 0
        return got

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Like `SSLSocket.recv`."""
        buffer = bytearray(size)
        return bytes(buffer[: self.recv_into(buffer)])

    def send(self, data: Any, flags: int = 0) -> int:
        """Like `SSLSocket.send`: how many bytes were taken, at most one record's worth."""
        if not self._in_flight:
            view = memoryview(data).cast("B")
            if not view:
                return 0
            self._flush()
            self._in_flight = self._tls.write(view[:_RECORD])
        self._flush()
        sent, self._in_flight = self._in_flight, 0
        return sent

    def pending(self) -> int:
        """How many bytes wait in buffers, so that it is not known whether there is more to read
        until `recv_into` was called: not 0 means do not wait for the descriptor."""
        outer = getattr(self._outer, "pending", None)
        return self._tls.pending() + self._incoming.pending + (outer() if outer is not None else 0)

    def fileno(self) -> int:
        """The descriptor to wait for; -1 when closed."""
        return int(self._outer.fileno())

    def close(self) -> None:
        """Close the outer connection; repeated calls do nothing."""
        keep, self.keep = self.keep, None
        if keep is not None:
            keep(self._tls.session)
        self._outer.close()

    def setblocking(self, flag: bool) -> None:
        """Non-blocking is all this can be; True raises ValueError."""
        if flag:
            raise ValueError("TLS inside TLS is always non-blocking")

    def __getattr__(self, name: str) -> Any:
        # What describes the connection: the inner TLS knows first, then the outer socket.
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return getattr(self._tls, name)
        except AttributeError:
            return getattr(self._outer, name)

    # -- carrying the ciphertext

    def _pump(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                # What TLS has to say for itself meanwhile must not cost the caller the result.
                with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    self._flush()
                return result

    def _flush(self) -> None:
        """Hand all ciphertext to the outer connection; raises what to wait for if it is full."""
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
        """Take ciphertext from the outer connection; raises what to wait for if there is none."""
        try:
            data = self._outer.recv(_PIECE)
        except BlockingIOError:
            raise ssl.SSLWantReadError(
                ssl.SSL_ERROR_WANT_READ, "the outer connection has nothing"
            ) from None
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
