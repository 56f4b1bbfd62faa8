"""The certificate that a server showed, kept with the address of a connection.

It is read once per TLS connection. Responses share the address object, so a request pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from .._annotations import AnyArgument, JsonObject, Unchecked

__all__ = ["PeerAddress", "PeerCertificate", "PeerPath", "certificate_of", "with_tls"]


class PeerCertificate:
    """The certificate of the other side of a TLS connection; it may not have been verified.

    `der`: its bytes. Two of them are equal if their bytes are.
    """

    __slots__ = ("_decode", "der")

    def __init__(self, der: bytes, decode: Callable[[], JsonObject] | None = None) -> None:
        self.der = der
        self._decode = decode

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate in hexadecimal, as `fingerprint=` takes it."""
        from hashlib import sha256

        return sha256(self.der).hexdigest()

    @property
    def pem(self) -> str:
        """The certificate as text."""
        from ssl import DER_cert_to_PEM_cert

        return DER_cert_to_PEM_cert(self.der)

    @property
    def fields(self) -> JsonObject:
        """Subject, issuer, names and dates, as `ssl.SSLSocket.getpeercert` gives them.

        Empty after pickling, and where Python's `ssl` cannot decode a certificate that was not
        verified; `der` can be given to a library for certificates then.
        """
        return {} if self._decode is None else self._decode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PeerCertificate) and other.der == self.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __reduce__(self) -> tuple[object, ...]:
        return PeerCertificate, (self.der,)

    def __repr__(self) -> str:
        return f"<PeerCertificate sha256:{self.fingerprint}>"


class PeerAddress(tuple[AnyArgument, ...]):
    """The address of the other side of a TLS connection, with what the handshake agreed on."""

    certificate: PeerCertificate | None = None
    tls_version: str | None = None
    tls_cipher: str | None = None


class PeerPath(str):
    """The path of a Unix socket that TLS is spoken on, with what the handshake agreed on."""

    __slots__ = ("certificate", "tls_cipher", "tls_version")

    certificate: PeerCertificate | None
    tls_version: str | None
    tls_cipher: str | None


def with_tls(peer: tuple[str, int] | str | None, tls: Unchecked) -> PeerAddress | PeerPath:
    """The same address, with certificate, version and cipher of its TLS connection."""
    address = PeerPath(peer) if isinstance(peer, str) else PeerAddress(peer or ())
    address.certificate = certificate_of(tls)
    version: Unchecked = getattr(tls, "version", None)
    cipher: Unchecked = getattr(tls, "cipher", None)
    address.tls_version = None if version is None else version()
    found = None if cipher is None else cipher()
    address.tls_cipher = found[0] if found else None
    return address


def certificate_of(tls: Unchecked) -> PeerCertificate | None:
    """The certificate of a TLS socket's other side, after a failed handshake too; None for none."""
    engine = getattr(tls, "_sslobj", None) or getattr(getattr(tls, "_tls", None), "_sslobj", None)
    chain = getattr(engine, "get_unverified_chain", None)
    try:
        if chain is not None and (found := chain()):
            return PeerCertificate(_der_of(found[0]), getattr(found[0], "get_info", None))
        der = tls.getpeercert(binary_form=True)
    except (ValueError, OSError, AttributeError):  # before the handshake, or an object of the user
        return None
    return PeerCertificate(der) if der else None


def _der_of(certificate: Unchecked) -> bytes:
    encoding_der = 2  # _ssl.ENCODING_DER
    return bytes(certificate.public_bytes(encoding_der))
