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
    """How the peer proves who it is, and how we do; made by `make_tls_settings`.

    `verify` is True (system store), False (nothing is checked), the word `"truststore"`, or the
    path of a CA file or folder that *replaces* the system store. `cert` is the client certificate
    as (certificate file, key file or None, password or None). `context` overrules both.
    `fingerprints` are SHA-256 digests, one of which the peer's certificate must have.
    """

    verify: bool | str = True
    cert: tuple[str, str | None, Any] | None = None
    context: ssl.SSLContext | None = None
    fingerprints: tuple[bytes, ...] = ()
    min_version: str = DEFAULT_MIN_VERSION

    def __repr__(self) -> str:
        said = [f"verify={self.verify!r}"]
        if self.cert is not None:
            said.append(f"cert={self.cert[0]!r}")
        if self.context is not None:
            said.append("ssl_context=…")
        if self.min_version != DEFAULT_MIN_VERSION:
            said.append(f"min_tls_version={self.min_version!r}")
        if self.fingerprints:
            said.append(f"{len(self.fingerprints)} fingerprint(s)")
        return f"<TlsSettings {' '.join(said)}>"


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
    """The settings as a value, checked as far as that goes without opening a file.

    Raises `InvalidRequest` for a fingerprint that is no SHA-256 digest, for a `cert` of the wrong
    shape, for an unknown `min_tls_version`, and for any of these options
    beside an `ssl_context`, which says all of that itself.
    """
    if not isinstance(verify, bool):
        if not isinstance(verify, (str, os.PathLike)) or not os.fspath(verify):
            raise InvalidRequest(f"verify= takes True, False or a path, not {verify!r}")
        verify = os.fspath(verify)
    if ssl_context is not None and (
        verify is not True or cert is not None or min_tls_version is not None
    ):
        raise InvalidRequest(
            "ssl_context= already says what to verify and which certificate to show; "
            "leave verify=, cert= and min_tls_version= out"
        )
    prints: Iterable[str | bytes] = ()
    if fingerprint is not None:
        prints = [fingerprint] if isinstance(fingerprint, (str, bytes)) else fingerprint
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
