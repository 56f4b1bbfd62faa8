"""The certificate of the server: on responses, on errors, through a pickle."""

from __future__ import annotations

import pickle
import ssl

import pytest
from support.script_steps import OK, expect, send

from asks_fast import HSession
from asks_fast.errors import CertificateError

pytest.importorskip("trustme", reason="trustme is not installed")


def der_of(certificate) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.filterwarnings("ignore:verify=False")
async def test_of_a_response(tls_peer, client_context, server_certificate, verify):
    """Responses of one connection share the certificate, whether it was verified or not."""
    server = tls_peer([expect(), send(OK)] * 2)
    options = {"ssl_context": client_context} if verify else {"verify": False}
    async with HSession(f"https://localhost:{server.port}", **options) as session:
        first, second = await session.get(), await session.get(stream=True)
        await second.body.read()
    certificate = first.peer_certificate
    assert certificate is second.peer_certificate
    assert certificate.der == der_of(server_certificate)
    assert ssl.PEM_cert_to_DER_cert(certificate.pem) == certificate.der
    assert ("DNS", "localhost") in certificate.fields["subjectAltName"]
    assert tuple(first.peer) == ("127.0.0.1", server.port)
    assert first.tls_version in ("TLSv1.2", "TLSv1.3")
    assert first.tls_cipher in {cipher["name"] for cipher in client_context.get_ciphers()}
    assert pickle.loads(pickle.dumps(certificate)) == certificate


async def test_the_fingerprint_pins(tls_peer, client_context):
    """The fingerprint is what `fingerprint=` takes."""
    server = tls_peer([expect(), send(OK)])
    url = f"https://localhost:{server.port}"
    async with HSession(url, ssl_context=client_context) as session:
        found = (await session.get()).peer_certificate.fingerprint
    async with HSession(url, ssl_context=client_context, fingerprint=found) as session:
        assert (await session.get()).status_code == 200
        with pytest.raises(CertificateError) as caught:
            await session.get(fingerprint="00" * 32)
    assert caught.value.peer_certificate.fingerprint == found


async def test_of_an_untrusted_server(tls_peer, server_certificate):
    """The error has the certificate that was refused, also after pickling."""
    server = tls_peer([expect(), send(OK)])
    async with HSession(f"https://localhost:{server.port}") as session:
        with pytest.raises(CertificateError) as caught:
            await session.get()
        assert session.pool_stats()["open"] == 0
    assert caught.value.peer_certificate.der == der_of(server_certificate)
    assert "subject" in caught.value.peer_certificate.fields
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.peer_certificate == caught.value.peer_certificate


async def test_on_a_unix_socket(peer, server_context, client_context, server_certificate, tmp_path):
    """A Unix socket has its path and the certificate."""
    path = str(tmp_path / "s")
    peer([expect(), send(OK)], unix=path, tls=server_context)
    async with HSession("https://localhost", ssl_context=client_context, unix_socket=path) as s:
        response = await s.get()
    assert response.peer == path
    assert response.tls_version.startswith("TLSv1.")
    assert response.tls_cipher
    assert response.peer_certificate.der == der_of(server_certificate)


async def test_without_tls(peer):
    """Without TLS there is none."""
    server = peer([expect(), send(OK)])
    async with HSession(server.url) as session:
        response = await session.get()
    assert response.peer_certificate is None
    assert response.tls_version is None
    assert response.tls_cipher is None
    assert type(response.peer) is tuple
