"""TLS: contexts, handshakes, pinned certificates, resumed sessions.

The only module that imports `ssl`, itself imported with the first https request.

Facts:  building a default context takes 15 to 25 ms, so there is one per process. TLS 1.3 hands
        out its tickets after the handshake: a session is worth saving only when the
        connection closes. A resumed session is not verified again.
Rules:  verified against the system's store unless told otherwise, TLS 1.2 at least, the name always
        given. A session is resumed only on the very route it was made on. A cut connection
        (no close_notify) is an error, never an end. Sockets are closed on any `BaseException`.
Not here: what the settings mean (route.py), TLS inside TLS (tls_bio.py).
"""

from __future__ import annotations

import os
import re
import ssl
import threading
import warnings
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from curio.traps import _io_release, _read_wait, _write_wait

from .._config.peer_certificate import certificate_of
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

__all__ = ["SessionCache", "TlsWrapper", "context_for", "tls_name"]

_PROTOCOL = "http/1.1"
_MOST_SESSIONS = 2048


# -- contexts

_lock = threading.Lock()
_shared: dict[bool, ssl.SSLContext] = {}
_has_warned = False


def context_for(settings: TlsSettings) -> ssl.SSLContext:
    """A context for these settings: the user's own, the process's shared one, or a new one.

    The caller keeps what it gets: a new one is expensive. Raises `InvalidRequest` where a
    file named by the settings is missing or does not hold what it should.
    """
    if settings.context is not None:
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
    """One warning per process that certificates are not checked and none is pinned either."""
    global _has_warned
    if settings.verify is False and not settings.fingerprints and not _has_warned:
        _has_warned = True
        warnings.warn(
            "verify=False: certificates are not checked, so anyone on the way can read and change "
            "what is sent; give verify= the path of a CA file, or pin a fingerprint=",
            stacklevel=2,
        )


def _build(settings: TlsSettings) -> ssl.SSLContext:
    context = _verifying_context(settings.verify) if settings.verify else _insecure_context()
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
    """Called for an encrypted key without a password; OpenSSL would ask for it on the terminal."""
    raise InvalidRequest(
        f"the key in {file!r} is encrypted; give its password: cert=(certificate, key, password)"
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
                'verify="truststore" needs an extra: pip install "asks-fast[truststore]"'
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
    # Given empty CA data, create_default_context does not load the system's store for nothing.
    context = ssl.create_default_context(cafile=None, cadata=None, capath=None)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# -- sessions


class SessionCache:
    """The newest TLS session of each route, so that the next connection starts with less.

    One entry per key, the longest unused goes first. Only for fully verified handshakes
    under equal settings: the key is the whole route and the role (origin or proxy).
    """

    def __init__(self, size: int = _MOST_SESSIONS) -> None:
        self._size = size
        self._kept: dict[Hashable, tuple[ssl.SSLContext, ssl.SSLSession]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Hashable, context: ssl.SSLContext) -> ssl.SSLSession | None:
        """A session to resume, if one was made with this very context."""
        kept = self._kept.get(key)
        return kept[1] if kept is not None and kept[0] is context else None

    def store(self, key: Hashable, context: ssl.SSLContext, session: ssl.SSLSession | None) -> None:
        """Remember `session`, unless the server gave no ticket for it."""
        if session is None or not (session.has_ticket or session.id):
            return
        self._kept.pop(key, None)
        while len(self._kept) >= self._size:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (context, session)


class _KeepingSocket(ssl.SSLSocket):
    """An `SSLSocket` that hands over its session when it is closed."""

    has_stable_fd = True  # to our kernel: one open file all its life
    keep: Callable[[ssl.SSLSession | None], None] | None = None

    def getpeername(self) -> Any:
        """Asked while it is made; of a connection that was reset by then, ssl loses the socket."""
        try:
            return super().getpeername()
        except OSError:
            if self._sslobj is None:  # type: ignore[attr-defined]
                self.close()
            raise

    def close(self) -> None:
        keep, self.keep = self.keep, None
        if keep is not None and self._sslobj is not None:  # type: ignore[attr-defined]
            keep(self.session)
        super().close()


def _keep_when_closed(sock: ssl.SSLSocket, keep: Callable[[ssl.SSLSession | None], None]) -> None:
    """As `_KeepingSocket`, for a socket whose class is not ours to choose."""
    close = sock.close

    def keep_and_close() -> None:
        del sock.close  # or the circle would outlive it
        if sock._sslobj is not None:  # type: ignore[attr-defined]
            keep(sock.session)
        close()

    sock.close = keep_and_close  # type: ignore[method-assign]


_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\Z")


def tls_name(host: str) -> str:
    """`host` as a certificate names it: ASCII, without a final dot or an IPv6 zone.

    Raises `InvalidRequest` for what cannot be such a name. To be asked before connecting: given a
    bad one, the `ssl` module loses the socket that it was about to wrap.
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
            raise InvalidRequest(f"server_hostname={host!r} is no valid name: {error}") from error
    if not _NAME.match(name):
        raise InvalidRequest(f"{truncated_repr(host)} cannot be the name of a server in TLS")
    return name


class TlsWrapper:
    """One set of TLS settings, ready for use: its context, and where its sessions are kept.

    Raises `InvalidRequest` where a file named by the settings is missing or does not hold what
    it should. Expensive to make; the first unverified one of a process warns.
    """

    def __init__(self, settings: TlsSettings, sessions: SessionCache) -> None:
        warn_once_if_unverified(settings)
        self._settings = settings
        self._context = context_for(settings)
        self._sessions = sessions

    async def wrap(
        self, sock: Any, name: str, *, key: Hashable, peer: str
    ) -> ssl.SSLSocket | TlsOverTls:
        """TLS on a connected `sock`, which from now on belongs to the result.

        `name`, from `tls_name`, is asked for and verified, `key` that of the session to resume,
        `peer` says in errors whom we talk to. Raises `CertificateError`, `TlsError` or
        `ConnectionFailed`. The socket is closed on every failure, cancellation included.
        """
        secured = sock
        try:
            await _io_release(sock)  # wrapping takes the descriptor away from `sock`
            session = self._sessions.find(key, self._context)
            try:
                secured = self._wrap(sock, name, session)
            except OSError as error:
                raise ConnectionFailed(f"{peer} broke off before the TLS handshake") from error
            await handshake(secured.do_handshake, Descriptor(secured), peer)
            check_peer(secured, self._settings, peer)
        except BaseException as error:
            if isinstance(error, TlsError):
                error.peer_certificate = certificate_of(secured)
            await _io_release(secured)
            secured.close()
            raise
        keep = partial(self._sessions.store, key, self._context)
        if isinstance(secured, (TlsOverTls, _KeepingSocket)):
            secured.keep = keep
        else:
            _keep_when_closed(secured, keep)
        return secured

    def _wrap(
        self, sock: Any, name: str, session: ssl.SSLSession | None
    ) -> ssl.SSLSocket | TlsOverTls:
        context = self._context
        if isinstance(sock, (ssl.SSLSocket, TlsOverTls)):
            return TlsOverTls(sock, context, name, session)
        # A context with a socket class of its own (truststore, a user's) keeps it.
        if context.sslsocket_class is ssl.SSLSocket:
            context.sslsocket_class = _KeepingSocket
        return context.wrap_socket(
            sock,
            server_hostname=name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            session=session,
        )


async def handshake(step: Callable[[], Any], waitable: Any, peer: str) -> None:
    """Call `step` until the handshake is done, waiting on `waitable` as it asks.

    Translates its errors; closes nothing.
    """
    try:
        while True:
            try:
                step()
                return
            except ssl.SSLWantReadError:
                await _read_wait(waitable)
            except ssl.SSLWantWriteError:
                await _write_wait(waitable)
    except ConnectivityError:
        raise
    except ssl.SSLCertVerificationError as error:
        raise CertificateError(
            f"{peer} showed a certificate that is not to be trusted: {error.verify_message}", error
        ) from error
    except ssl.SSLEOFError as error:
        raise TlsError(f"{peer} closed the connection during the TLS handshake", error) from error
    except ssl.SSLError as error:
        raise TlsError(f"no TLS with {peer}: {_explain(error)}", error) from error
    except OSError as error:
        raise ConnectionFailed(
            f"{peer} broke off during the TLS handshake: {error.strerror or error}"
        ) from error


def _explain(error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return f"{reason}; does it speak plain http there?"
    if reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"):
        return f"{reason}; it offers no TLS version that we accept (1.2 and later)"
    return reason


def check_peer(wrapped: ssl.SSLSocket | TlsOverTls, settings: TlsSettings, peer: str) -> None:
    """After the handshake: the pinned certificate, and a protocol we speak."""
    if settings.fingerprints:
        import hashlib

        certificate = wrapped.getpeercert(binary_form=True) or b""
        found = hashlib.sha256(certificate).digest()
        if found not in settings.fingerprints:
            raise CertificateError(
                f"{peer} showed a certificate with fingerprint {found.hex()}, "
                "which is none of those given"
            )
    chosen = wrapped.selected_alpn_protocol()
    if chosen is not None and not chosen.startswith("http/1"):
        raise TlsError(f"{peer} wants to speak {chosen!r}, which the ssl_context offered; we don't")
