"""The TLS settings of a connection as a value, checked without opening a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest

if TYPE_CHECKING:
    import ssl

    Cert = str | os.PathLike[str] | tuple[Any, ...]

__all__ = ["TlsSettings", "make_tls_settings"]

DEFAULT_MIN_VERSION = "1.2"
VERSIONS = {"1.0": "TLSv1", "1.1": "TLSv1_1", "1.2": "TLSv1_2", "1.3": "TLSv1_3"}
"""The versions of TLS, with their names in `ssl.TLSVersion`."""
_FINGERPRINT_BYTES = 32  # SHA-256; shorter digests can be forged


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How the peer and the client authenticate. Created by `make_tls_settings`.

    Attributes:
        verify: True (the system's store), False (no verification), `"truststore"`, or the path of a
            CA file or directory that replaces the system's store.
        cert: the client certificate: its file, key file or None, password or None.
        context: replaces `verify` and `cert`.
        fingerprints: SHA-256 digests; the certificate of the peer must have one of them.
    """

    verify: bool | str = True
    cert: tuple[str, str | None, Any] | None = None
    context: ssl.SSLContext | None = None
    fingerprints: tuple[bytes, ...] = ()
    min_version: str = DEFAULT_MIN_VERSION

    def __repr__(self) -> str:
        parts = [f"verify={self.verify!r}"]
        if self.cert is not None:
            parts.append(f"cert={self.cert[0]!r}")
        if self.context is not None:
            parts.append("ssl_context=…")
        if self.min_version != DEFAULT_MIN_VERSION:
            parts.append(f"min_tls_version={self.min_version!r}")
        if self.fingerprints:
            parts.append(f"{len(self.fingerprints)} fingerprint(s)")
        return f"<TlsSettings {' '.join(parts)}>"


def _as_cert(cert: Cert) -> tuple[str, str | None, Any]:
    if isinstance(cert, (str, os.PathLike)):
        return (os.fspath(cert), None, None)
    if not isinstance(cert, (tuple, list)) or not 1 <= len(cert) <= 3:
        raise InvalidRequest(
            "cert= takes a path, or (certificate path, key path), or those two and a password"
        )
    padded: tuple[Any, ...] = (*cert, None, None)
    certificate, key, password = padded[:3]
    return (os.fspath(certificate), None if key is None else os.fspath(key), password)


def _as_fingerprint(value: str | bytes) -> bytes:
    if isinstance(value, str):
        text = value.removeprefix("sha256:").replace(":", "").replace(" ", "")
        try:
            value = bytes.fromhex(text)
        except ValueError:
            raise InvalidRequest(
                "fingerprint= takes a SHA-256 digest as 64 hexadecimal digits"
            ) from None
    if len(value) != _FINGERPRINT_BYTES:
        raise InvalidRequest(
            f"fingerprint= takes a SHA-256 digest of {_FINGERPRINT_BYTES} bytes, "
            f"this one has {len(value)}"
        )
    return bytes(value)


def make_tls_settings(
    verify: bool | str | os.PathLike[str] = True,
    cert: Cert | None = None,
    ssl_context: ssl.SSLContext | None = None,
    fingerprint: str | bytes | Iterable[str | bytes] | None = None,
    min_tls_version: str | ssl.TLSVersion | None = None,
) -> TlsSettings:
    """Create the settings and check them, without opening a file.

    Args:
        verify: as `TlsSettings.verify`; any path-like object.
        cert: a path, or a tuple of certificate file, key file and password.
        ssl_context: used as it is; excludes `verify`, `cert` and `min_tls_version`.
        fingerprint: a SHA-256 digest, as bytes or in hexadecimal, or several.
        min_tls_version: the lowest version to accept, such as "1.3".

    Raises:
        InvalidRequest: a value is invalid, or `ssl_context` is combined with an option that it
            replaces.
    """
    if not isinstance(verify, bool):
        if not isinstance(verify, (str, os.PathLike)) or not os.fspath(verify):
            raise InvalidRequest(f"verify= must be True, False or a path, not {verify!r}")
        verify = os.fspath(verify)
    if ssl_context is not None and (
        verify is not True or cert is not None or min_tls_version is not None
    ):
        raise InvalidRequest(
            "ssl_context= already defines verification, client certificate and versions; "
            "omit verify=, cert= and min_tls_version="
        )
    prints: Iterable[str | bytes] = ()
    if fingerprint is not None:
        prints = [fingerprint] if isinstance(fingerprint, (str, bytes)) else [*fingerprint]
        if not prints:
            raise InvalidRequest("fingerprint= needs at least one digest: none would accept any")
    return TlsSettings(
        verify=verify,
        cert=None if cert is None else _as_cert(cert),
        context=ssl_context,
        fingerprints=tuple(_as_fingerprint(value) for value in prints),
        min_version=_as_version(min_tls_version),
    )


def _as_version(value: str | ssl.TLSVersion | None) -> str:
    if value is None:
        return DEFAULT_MIN_VERSION
    name = getattr(value, "name", None)
    for version, member in VERSIONS.items():
        if value == version or name == member:
            return version
    raise InvalidRequest(
        f"min_tls_version must be one of {', '.join(map(repr, VERSIONS))}, not {value!r}"
    )
