"""TLS: contexts, handshakes, pinned certificates, resumed sessions.

This is the only module that imports `ssl` and `tls_in_tls`. It is imported with the first https
route.

- Certificates are verified with the system's store unless an option says otherwise. The minimum is
  TLS 1.2. The server name is always sent.
- A default context takes 15 to 25 ms to create, so the process shares one.
- A session is resumed only on a route that equals its own, because a resumed session is not
  verified again. TLS 1.3 sends tickets after the handshake, so a session is saved when its
  connection closes.
- CPython copies a session when it is read and when it is set, by encoding and decoding it. With
  OpenSSL 3.0 a copy takes 1.6 million instructions, a resumed handshake 2.2 million. So a session
  is used for some seconds before a newer one replaces it.
- A connection that ends without close_notify is an error, not an end of data.
- Sockets are closed on any `BaseException`.

The settings are defined in `tls_settings`, TLS inside TLS is implemented in `tls_in_tls`.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from .._config.peer_certificate import certificate_of
from .._curio import io_release, read_wait, write_wait
from .._extras import missing_extra
from ..errors import (
    CertificateError,
    ConnectionFailed,
    ConnectivityError,
    InvalidRequest,
    TlsError,
    truncated_repr,
)
from .dns_cache import literal_address
from .sockets import Descriptor
from .tls_in_tls import TlsOverTls
from .tls_settings import DEFAULT_MIN_VERSION, VERSIONS, TlsSettings

__all__ = ["SessionCache", "TlsWrapper", "get_context", "tls_name"]

_PROTOCOL = "http/1.1"
_MAX_SESSIONS = 2048


# -- contexts

_lock = threading.Lock()
_shared: dict[bool, ssl.SSLContext] = {}
_has_warned = False

# Early releases of CPython 3.10 and 3.11 set an option in each context (gh-95494) that hides an end
# of the connection without close_notify, so that a truncated body looks complete. There it is
# removed from all contexts, those of the user included; elsewhere this is 0.
_IGNORE_UNEXPECTED_EOF = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).options & getattr(
    ssl, "OP_IGNORE_UNEXPECTED_EOF", 0
)


def get_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a context for these settings: the user's own, a shared one or a new one.

    A new one is expensive, so the caller should reuse it. Raises `InvalidRequest` if a file of the
    settings is missing or invalid.
    """
    if settings.context is not None:
        if _IGNORE_UNEXPECTED_EOF:
            settings.context.options &= ~_IGNORE_UNEXPECTED_EOF
        return settings.context
    is_default = settings.cert is None and settings.min_version == DEFAULT_MIN_VERSION
    if isinstance(settings.verify, bool) and is_default:
        with _lock:
            context = _shared.get(settings.verify)
            if context is None:
                context = _shared[settings.verify] = _build(settings)
            return context
    return _build(settings)


def warn_once_if_unverified(settings: TlsSettings) -> None:
    """Warn once per process if certificates are neither verified nor pinned."""
    global _has_warned
    if settings.verify is False and not settings.fingerprints and not _has_warned:
        _has_warned = True
        warnings.warn(
            "verify=False: certificates are not verified, so anyone on the network path can read "
            "and change the data; set verify= to the path of a CA file, or pin a fingerprint=",
            stacklevel=2,
        )


def _build(settings: TlsSettings) -> ssl.SSLContext:
    context = _verifying_context(settings.verify) if settings.verify else _insecure_context()
    context.options &= ~_IGNORE_UNEXPECTED_EOF
    context.minimum_version = ssl.TLSVersion[VERSIONS[settings.min_version]]
    context.set_alpn_protocols([_PROTOCOL])
    if settings.cert is not None:
        certificate, key, password = settings.cert
        try:
            context.load_cert_chain(
                certificate, key, password or partial(_no_password, key or certificate)
            )
        except OSError as error:  # ssl.SSLError is one
            raise InvalidRequest(
                f"cert={certificate!r}: no usable client certificate and key ({error})"
            ) from error
    return context


def _no_password(file: str) -> str:
    """Reject an encrypted key without a password; OpenSSL would read one from the terminal."""
    raise InvalidRequest(
        f"the key in {file!r} is encrypted; pass its password: cert=(certificate, key, password)"
    )


def _verifying_context(verify: bool | str) -> ssl.SSLContext:
    # create_default_context also honours SSLKEYLOGFILE.
    if verify is True:
        return ssl.create_default_context()
    if verify == "truststore":
        try:
            import truststore
        except ImportError as error:
            raise InvalidRequest(
                missing_extra('verify="truststore"', "truststore", "truststore")
            ) from error
        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    where = str(verify)
    try:
        if os.path.isdir(where):
            return ssl.create_default_context(capath=where)
        return ssl.create_default_context(cafile=where)
    except OSError as error:
        raise InvalidRequest(f"verify={where!r}: no usable CA certificates ({error})") from error


def _insecure_context() -> ssl.SSLContext:
    # The arguments keep create_default_context from loading the system's store.
    context = ssl.create_default_context(cafile=None, cadata=None, capath=None)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# -- sessions


@dataclass(slots=True)
class _StoredSession:
    """A session, and what is known of the server that sent it.

    `was_resumed`: the server accepted it. `is_single_use`: the server refused a new session that it
    had accepted before, so every connection needs a new one.
    """

    context: ssl.SSLContext
    session: ssl.SSLSession
    stored_at: float
    is_single_use: bool = False
    was_resumed: bool = False


class SessionCache:
    """The latest TLS session of each route, for a shorter handshake of the next connection.

    The key is the whole route and the role (origin or proxy), so a session is resumed only with
    equal settings. At most `size` sessions are kept; the oldest is removed first.

    Connections that open within `renew_after` seconds may resume the same session. An observer of
    the network can then tell that they belong together (RFC 8446, appendix C.4), as he can by their
    addresses and times, so the time is short.
    """

    def __init__(self, size: int = _MAX_SESSIONS, renew_after: float = 10.0) -> None:
        self._size = size
        self._renew_after = renew_after
        self._stored_by_key: dict[Hashable, _StoredSession] = {}

    def __len__(self) -> int:
        return len(self._stored_by_key)

    def find(self, key: Hashable, context: ssl.SSLContext) -> ssl.SSLSession | None:
        """Return a session to resume, if one was created with this very context."""
        stored = self._stored_by_key.get(key)
        return stored.session if stored is not None and stored.context is context else None

    def save(
        self,
        key: Hashable,
        context: ssl.SSLContext,
        offered: ssl.SSLSession | None,
        connection: ssl.SSLSocket | TlsOverTls,
    ) -> None:
        """Store the session of a connection that ends, unless the stored one is still new enough.

        `offered` is what `find` returned for this connection.
        """
        stored = self._stored_by_key.get(key)
        if stored is not None and stored.context is not context:
            stored = None
        is_single_use = stored is not None and stored.is_single_use
        now = time.monotonic()
        is_new = stored is not None and now < stored.stored_at + self._renew_after
        if stored is not None and connection.session_reused:
            stored.was_resumed = stored.was_resumed or stored.session is offered
            if is_new and not is_single_use:
                return
        elif stored is not None and stored.session is offered and stored.was_resumed and is_new:
            is_single_use = True
        session = connection.session
        if session is None or not (session.has_ticket or session.id):
            return  # the server sent no ticket for it
        self._stored_by_key.pop(key, None)
        while len(self._stored_by_key) >= self._size:
            del self._stored_by_key[next(iter(self._stored_by_key))]
        self._stored_by_key[key] = _StoredSession(context, session, now, is_single_use)


class _SessionSavingSocket(ssl.SSLSocket):
    """An `SSLSocket` that passes itself to `save_session` before it is closed."""

    has_stable_fd = True  # for our kernel: the same open file as long as it exists
    save_session: Callable[[ssl.SSLSocket], None] | None = None

    def getpeername(self) -> Any:
        """Close the socket on an error during creation: `ssl` would leave it open."""
        try:
            return super().getpeername()
        except OSError:
            if self._sslobj is None:  # type: ignore[attr-defined]
                self.close()
            raise

    def close(self) -> None:
        save_session, self.save_session = self.save_session, None
        if save_session is not None and self._sslobj is not None:  # type: ignore[attr-defined]
            save_session(self)
        super().close()


def _save_session_on_close(
    sock: ssl.SSLSocket, save_session: Callable[[ssl.SSLSocket], None]
) -> None:
    """Do the same for a socket of a class that the context chooses."""
    close = sock.close

    def save_and_close() -> None:
        del sock.close  # breaks the reference cycle
        if sock._sslobj is not None:  # type: ignore[attr-defined]
            save_session(sock)
        close()

    sock.close = save_and_close  # type: ignore[method-assign]


_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\Z")


def tls_name(host: str) -> str:
    """Return `host` as a certificate names it: ASCII, without a final dot or an IPv6 zone.

    Raises `InvalidRequest` for an invalid name. Must be called before connecting: with an invalid
    name the `ssl` module leaves the socket open.
    """
    if ":" in host:
        address = literal_address(host, 0)
        if address is not None:
            return address[1][0]
    name = host.removesuffix(".")
    if not name.isascii():
        import idna

        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise InvalidRequest(
                f"server_hostname={host!r} is not a valid name: {error}"
            ) from error
    if not _NAME.match(name):
        raise InvalidRequest(f"{truncated_repr(host)} cannot be the name of a server in TLS")
    return name


class TlsWrapper:
    """Adds TLS with one set of settings to sockets. Expensive to create.

    The first one of a process that does not verify certificates emits a warning.

    Raises:
        InvalidRequest: a file of the settings is missing or invalid.
    """

    def __init__(self, settings: TlsSettings, sessions: SessionCache) -> None:
        warn_once_if_unverified(settings)
        self._settings = settings
        self._context = get_context(settings)
        self._sessions = sessions

    async def wrap(
        self, sock: Any, name: str, *, key: Hashable, peer: str
    ) -> ssl.SSLSocket | TlsOverTls:
        """Do the handshake on a connected `sock`, which then belongs to the result.

        `sock` is closed on every failure, cancellation included.

        Args:
            sock: a plain or a TLS socket.
            name: from `tls_name`; sent to the server and verified.
            key: identifies the session to resume.
            peer: the name of the peer, for errors.

        Raises:
            CertificateError: the certificate is not trusted.
            TlsError: the handshake failed.
            ConnectionFailed: the connection failed.
        """
        tls_sock = sock
        try:
            await io_release(sock)  # wrapping takes the descriptor away from `sock`
            session = self._sessions.find(key, self._context)
            try:
                tls_sock = self._wrap(sock, name, session)
            except OSError as error:
                raise ConnectionFailed(
                    f"{peer} closed the connection before the TLS handshake"
                ) from error
            await handshake(tls_sock.do_handshake, Descriptor(tls_sock), peer)
            check_peer(tls_sock, self._settings, peer)
        except BaseException as error:
            if isinstance(error, TlsError):
                error.peer_certificate = certificate_of(tls_sock)
            await io_release(tls_sock)
            tls_sock.close()
            raise
        save_session = partial(self._sessions.save, key, self._context, session)
        if isinstance(tls_sock, (TlsOverTls, _SessionSavingSocket)):
            tls_sock.save_session = save_session
        else:
            _save_session_on_close(tls_sock, save_session)
        return tls_sock

    def _wrap(
        self, sock: Any, name: str, session: ssl.SSLSession | None
    ) -> ssl.SSLSocket | TlsOverTls:
        context = self._context
        if isinstance(sock, (ssl.SSLSocket, TlsOverTls)):
            return TlsOverTls(sock, context, name, session)
        # A context with its own socket class (of truststore or the user) keeps that class.
        if context.sslsocket_class is ssl.SSLSocket:
            context.sslsocket_class = _SessionSavingSocket
        return context.wrap_socket(
            sock,
            server_hostname=name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            session=session,
        )


async def handshake(step: Callable[[], Any], waitable: Any, peer: str) -> None:
    """Call `step` until the handshake is complete, waiting for `waitable` in between.

    Translates the errors. Does not close the socket.
    """
    try:
        while True:
            try:
                step()
                return
            except ssl.SSLWantReadError:
                await read_wait(waitable)
            except ssl.SSLWantWriteError:
                await write_wait(waitable)
    except ConnectivityError:
        raise
    except ssl.SSLCertVerificationError as error:
        raise CertificateError(
            f"{peer} sent a certificate that is not trusted: {error.verify_message}", error
        ) from error
    except ssl.SSLError as error:
        if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
            raise TlsError(
                f"{peer} closed the connection during the TLS handshake", error
            ) from error
        raise TlsError(f"TLS handshake with {peer} failed: {_explain(error)}", error) from error
    except OSError as error:
        raise ConnectionFailed(
            f"the connection to {peer} failed during the TLS handshake: {error.strerror or error}"
        ) from error


def _explain(error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return f"{reason}; the server may expect plain http on this port"
    if reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"):
        return f"{reason}; the server supports no TLS version from 1.2 on"
    return reason


def check_peer(wrapped: ssl.SSLSocket | TlsOverTls, settings: TlsSettings, peer: str) -> None:
    """Check the pinned certificate and the negotiated protocol after the handshake."""
    if settings.fingerprints:
        import hashlib

        certificate = wrapped.getpeercert(binary_form=True) or b""
        found = hashlib.sha256(certificate).digest()
        if found not in settings.fingerprints:
            raise CertificateError(
                f"{peer} sent a certificate with fingerprint {found.hex()}, "
                "which is not one of those in fingerprint="
            )
    chosen = wrapped.selected_alpn_protocol()
    if chosen is not None and not chosen.startswith("http/1"):
        raise TlsError(
            f"{peer} chose the protocol {chosen!r}; ssl_context= must offer http/1.1 only"
        )
