"""The lowest version of TLS: of a session, a request, and a connection to a proxy."""

from __future__ import annotations

import ssl

import pytest
from support.script_steps import OK, expect, send

from asks_fast import HSession
from asks_fast._transport.tls_settings import make_tls_settings
from asks_fast.errors import InvalidRequest, TlsError

trustme = pytest.importorskip("trustme", reason="trustme is not installed")


@pytest.fixture
def old_peer(peer, certificate_authority, tmp_path):
    """A server that supports TLS 1.2 and nothing later, and its CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate_authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    ca = tmp_path / "ca.pem"
    certificate_authority.cert_pem.write_to_path(ca)
    return peer([expect(), send(OK)] * 5, tls=context), ca


async def test_of_a_session(old_peer):
    """A server below the session's version raises; the default accepts it."""
    server, ca = old_peer
    async with HSession(server.url, verify=ca) as session:
        assert (await session.get()).status_code == 200
    async with HSession(server.url, verify=ca, min_tls_version="1.3") as session:
        with pytest.raises(TlsError):
            await session.get()
        assert session.pool_stats()["open"] == 0


async def test_of_one_request(old_peer):
    """A request with its own version does not use a connection below it."""
    server, ca = old_peer
    async with HSession(server.url, verify=ca, connections=2) as session:
        await session.get()
        with pytest.raises(TlsError):
            await session.get(min_tls_version=ssl.TLSVersion.TLSv1_3)
        assert (await session.get(min_tls_version="1.2")).status_code == 200


@pytest.mark.parametrize("value", ["1.4", 1.3, "TLSv1.2", ssl.TLSVersion.SSLv3])
def test_invalid(value):
    """An invalid version raises before anything is opened."""
    with pytest.raises(InvalidRequest, match="min_tls_version must be one of"):
        HSession("https://localhost", min_tls_version=value)


def test_beside_a_context():
    """Together with `ssl_context=` it raises."""
    with pytest.raises(InvalidRequest, match="omit verify="):
        make_tls_settings(ssl_context=ssl.create_default_context(), min_tls_version="1.3")
