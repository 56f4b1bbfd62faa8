"""TLS with real handshakes: verification, client certificates, resumption, closing."""

from __future__ import annotations

import datetime
import hashlib
import ssl
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import curio
import pytest
from support.cancel_at_each_await import cancel_at_each_await
from support.script_steps import (
    OK,
    close,
    expect,
    repeat,
    reset,
    send,
    stall,
)
from support.scripted_server import MakePeer, Peer

import asks_fast
from asks_fast import errors
from asks_fast._transport.connector import Connector
from asks_fast.errors import ConnectionFailed, ConnectivityError, InvalidRequest

trustme = pytest.importorskip("trustme", reason="trustme is not installed")
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def context_with(certificate: Any, **attributes: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


@pytest.fixture
def ca_file(certificate_authority: Any, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    certificate_authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def connector(ca_file: str) -> Connector:
    return Connector(verify=ca_file, hosts={"example.test.": "127.0.0.1"})


async def ask(sock: Any, size: int = 65536) -> bytes:
    """Send a request and read once."""
    wrapped = curio.io.Socket(sock)
    await wrapped.sendall(REQUEST)
    answer: bytes = await wrapped.recv(size)
    return answer


async def exchange(connector: Connector, port: int, host: str = "localhost", **options: Any) -> Any:
    """Connect, exchange, close; return the facts about the connection."""
    sock = await connector.connect(connector.route_for("https", host, port, **options))
    try:
        assert await ask(sock) == OK
        return {
            "reused": sock.session_reused,
            "version": sock.version(),
            "alpn": sock.selected_alpn_protocol(),
            "certificate": sock.getpeercert(True),
        }
    finally:
        sock.close()


async def test_verified_with_a_ca_file(tls_peer: MakePeer, connector: Connector) -> None:
    """`verify=path` trusts the certificates of that file, by name and by address."""
    server = tls_peer([expect(), send(OK)])
    for host in ("localhost", "127.0.0.1", "example.test."):
        assert (await exchange(connector, server.port, host))["version"] == "TLSv1.3"


async def test_verified_with_a_ca_directory(
    tls_peer: MakePeer, certificate_authority: Any, tmp_path: Path
) -> None:
    """`verify=` accepts an OpenSSL directory of hashed certificates, too."""
    server = tls_peer([expect(), send(OK)])
    pem = tmp_path / "ca.pem"
    certificate_authority.cert_pem.write_to_path(pem)
    try:
        done = subprocess.run(
            ["openssl", "x509", "-hash", "-noout", "-in", pem],
            capture_output=True,
            check=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the openssl command is not installed")
    (tmp_path / f"{done.stdout.strip()}.0").write_bytes(pem.read_bytes())
    await exchange(Connector(verify=tmp_path), server.port)


async def refused(
    connector: Connector, server: Peer, host: str = "localhost", **options: Any
) -> ConnectivityError:
    """The error of a connection that must fail before a byte of a request."""
    with pytest.raises(ConnectivityError) as caught:
        await connector.connect(connector.route_for("https", host, server.port, **options))
    await server.all_closed()
    assert server.requests == []
    return caught.value


def is_certificate_error(error: BaseException) -> bool:
    return (
        isinstance(error, errors.CertificateError)
        and isinstance(error, errors.TlsError)
        and isinstance(error, ConnectionFailed)
        and isinstance(error, ssl.SSLCertVerificationError)
        and isinstance(error, OSError)
    )


async def test_unknown_ca(tls_peer: MakePeer) -> None:
    """An unknown root is rejected by default, on every port."""
    error = await refused(Connector(), tls_peer([]))
    assert is_certificate_error(error)
    assert "localhost" in str(error)
    assert "local issuer" in str(error)
    assert error.verify_code == 20  # type: ignore[attr-defined]


async def test_wrong_host_name(tls_peer: MakePeer, connector: Connector) -> None:
    """A valid certificate for another host is rejected, and so is one for another address."""
    error = await refused(connector, tls_peer([]), server_hostname="other.test")
    assert is_certificate_error(error)
    assert "other.test" in str(error)
    assert is_certificate_error(
        await refused(
            connector, tls_peer([], host="0.0.0.0"), "127.0.0.2"
        )  # not one of its addresses
    )


async def test_server_hostname(tls_peer: MakePeer, connector: Connector) -> None:
    """`server_hostname=` is sent and verified instead of the host."""
    server = tls_peer([expect(), send(OK)], host="0.0.0.0")
    await exchange(connector, server.port, "127.0.0.3", server_hostname="example.test")


async def test_expired_certificate(
    peer: MakePeer, certificate_authority: Any, connector: Connector
) -> None:
    """An expired certificate is rejected."""
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    expired = certificate_authority.issue_cert("localhost", not_before=past, not_after=past)
    error = await refused(connector, peer([], tls=context_with(expired)))
    assert is_certificate_error(error)
    assert "expired" in str(error)


async def test_tls_1_1_is_rejected(
    peer: MakePeer, server_certificate: Any, connector: Connector
) -> None:
    """A server with nothing above TLS 1.1 is rejected, verified or not."""
    context = context_with(server_certificate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    server = peer([], tls=context)
    for options in ({}, {"verify": False, "fingerprint": "ab" * 32}):
        error = await refused(connector, server, **options)
        assert isinstance(error, errors.TlsError)
        assert isinstance(error, ssl.SSLError)
        assert not isinstance(error, ssl.SSLCertVerificationError)
        assert "1.2" in str(error)


async def test_tls_1_2_is_accepted(
    peer: MakePeer, server_certificate: Any, connector: Connector
) -> None:
    """TLS 1.2 is used if the server supports nothing later."""
    context = context_with(server_certificate, maximum_version=ssl.TLSVersion.TLSv1_2)
    server = peer([expect(), send(OK)], tls=context)
    assert (await exchange(connector, server.port))["version"] == "TLSv1.2"


async def test_plain_http_server(peer: MakePeer, connector: Connector) -> None:
    """The error for plain http on a TLS port says so."""
    server = peer([send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), close()])
    with pytest.raises(errors.TlsError, match="plain http"):
        await connector.connect(connector.route_for("https", "localhost", server.port))


async def test_server_closes_during_handshake(peer: MakePeer, connector: Connector) -> None:
    """A connection cut during the handshake is a connectivity error."""
    server = peer([close()])
    with pytest.raises(ConnectionFailed, match="during the TLS handshake"):
        await connector.connect(connector.route_for("https", "localhost", server.port))


async def test_reset_before_handshake(peer: MakePeer, connector: Connector) -> None:
    """A reset between TCP and TLS is a connectivity error, and no socket is leaked."""
    from asks_fast._transport.tls import SessionCache, TlsWrapper
    from asks_fast._transport.tls_settings import TlsSettings

    server = peer([stall(), reset()])
    sock = await connector.connect(connector.route_for("http", "localhost", server.port))
    server.release()
    await server.saw_connections()
    await server.until(lambda: server.connections[0].finished)
    security = TlsWrapper(TlsSettings(), SessionCache())
    with pytest.raises(ConnectionFailed, match="closed the connection before the TLS handshake"):
        await security.wrap(sock, "localhost", key=1, peer="the server")
    assert sock.fileno() == -1


async def test_user_context(tls_peer: MakePeer, client_context: ssl.SSLContext) -> None:
    """`ssl_context=` is used unchanged, for the session or for a request."""
    server = tls_peer([expect(), send(OK)])
    await exchange(Connector(ssl_context=client_context), server.port)
    await exchange(Connector(), server.port, ssl_context=client_context)


async def test_context_that_offers_h2(
    peer: MakePeer, server_certificate: Any, client_context: ssl.SSLContext
) -> None:
    """If a user's context negotiates HTTP/2, the connection raises."""
    context = context_with(server_certificate)
    context.set_alpn_protocols(["h2"])
    client_context.set_alpn_protocols(["h2", "http/1.1"])
    server = peer([], tls=context)
    error = await refused(Connector(ssl_context=client_context), server)
    assert "'h2'" in str(error)


async def test_alpn_and_sni(peer: MakePeer, server_certificate: Any, connector: Connector) -> None:
    """`http/1.1` is offered; names are sent in ASCII, addresses are not."""
    seen: list[str | None] = []
    context = context_with(server_certificate)
    context.set_alpn_protocols(["http/1.1"])
    context.sni_callback = lambda sock, name, _: seen.append(name)  # type: ignore[assignment]
    server = peer([expect(), send(OK)], tls=context)
    assert (await exchange(connector, server.port))["alpn"] == "http/1.1"
    await exchange(connector, server.port, "127.0.0.1")
    for name in ("bücher.test", "faß.test"):
        with pytest.raises(errors.CertificateError):
            await connector.connect(
                connector.route_for("https", "127.0.0.1", server.port, server_hostname=name)
            )
    assert seen == ["localhost", None, "xn--bcher-kva.test", "xn--fa-hia.test"]


@pytest.mark.parametrize("name", ["a..b", ".a", "a" * 64 + ".test", "ü" * 70, "a\x00b"])
async def test_invalid_server_names(name: str, tls_peer: MakePeer, connector: Connector) -> None:
    """A name that TLS cannot carry raises before anything is opened."""
    server = tls_peer([])
    with pytest.raises(InvalidRequest):
        await connector.connect(
            connector.route_for("https", "127.0.0.1", server.port, server_hostname=name)
        )
    assert server.connections == []


# -- not verifying, pinning ----------------------------------------------------------------------


async def test_verify_false_warns_once(tls_peer: MakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without verification any certificate is accepted, with one warning per process."""
    from asks_fast._transport import tls

    monkeypatch.setattr(tls, "_has_warned", False)
    server = tls_peer([expect(), send(OK)], host="0.0.0.0")
    with pytest.warns(UserWarning, match="verify=False"):
        await exchange(Connector(verify=False), server.port, "127.0.0.9")
    await exchange(Connector(), server.port, "127.0.0.9", verify=False)
    # The very same session goes on verifying.
    assert is_certificate_error(await refused(Connector(), tls_peer([])))


async def test_fingerprint(
    tls_peer: MakePeer, connector: Connector, recwarn: pytest.WarningsRecorder
) -> None:
    """The right fingerprint is accepted in any spelling, without a warning; others are not."""
    server = tls_peer([expect(), send(OK)], host="0.0.0.0")
    found = (await exchange(connector, server.port))["certificate"]
    digest = hashlib.sha256(found).digest()
    spellings = [digest, digest.hex(), digest.hex(":").upper(), [b"\0" * 32, digest]]
    for fingerprint in spellings:
        options = {"verify": False, "fingerprint": fingerprint}
        await exchange(connector, server.port, "127.0.0.9", **options)
    assert not recwarn.list
    error = await refused(connector, tls_peer([]), fingerprint="00" * 32)
    assert is_certificate_error(error)
    assert digest.hex() in str(error)


async def test_fingerprint_with_resumed_session(tls_peer: MakePeer, connector: Connector) -> None:
    """A resumed session has the certificate of its first handshake: the fingerprint is checked
    again.
    """
    server = tls_peer([expect(), send(OK)])
    digest = hashlib.sha256((await exchange(connector, server.port))["certificate"]).hexdigest()
    facts = [await exchange(connector, server.port, fingerprint=digest) for _ in range(2)]
    assert [fact["reused"] for fact in facts] == [False, True]


# -- client certificates -------------------------------------------------------------------------


async def test_client_certificate(
    peer: MakePeer,
    certificate_authority: Any,
    server_certificate: Any,
    ca_file: str,
    tmp_path: Path,
) -> None:
    """`cert=` is sent to a server that asks; one file or two, per session or per request."""
    context = context_with(server_certificate, verify_mode=ssl.CERT_REQUIRED)
    certificate_authority.configure_trust(context)
    server = peer([expect(), send(OK)], tls=context)
    identity = certificate_authority.issue_cert("client@example.test")
    both, chain, key = tmp_path / "both.pem", tmp_path / "chain.pem", tmp_path / "key.pem"
    identity.private_key_and_cert_chain_pem.write_to_path(both)
    identity.private_key_pem.write_to_path(key)
    identity.cert_chain_pems[0].write_to_path(chain)
    await exchange(Connector(verify=ca_file, cert=both), server.port)
    await exchange(Connector(verify=ca_file), server.port, cert=(str(chain), str(key)))
    # TLS 1.3 tells the client that its certificate is missing only with the first answer; the reset
    # behind that may overtake it.
    connector = Connector(verify=ca_file)
    sock = await connector.connect(connector.route_for("https", "localhost", server.port))
    try:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(sock)
    finally:
        sock.close()


@pytest.mark.parametrize("password", [None, "", b"", lambda: "s3cret", "s3cret", "wrong"])
@pytest.mark.parametrize("is_one_file", [False, True])
async def test_encrypted_key(
    password: Any, is_one_file: bool, tls_peer: MakePeer, ca_file: str, tmp_path: Path
) -> None:
    """An encrypted key without its password is an error, and never a prompt."""
    from cryptography.hazmat.primitives import serialization as form

    identity = trustme.CA().issue_cert("client@example.test")
    key = form.load_pem_private_key(identity.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        form.Encoding.PEM,
        form.PrivateFormat.TraditionalOpenSSL,
        form.BestAvailableEncryption(b"s3cret"),
    )
    chain, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(identity.cert_chain_pems[0].bytes() + (encrypted if is_one_file else b""))
    key_file.write_bytes(encrypted)
    cert = (chain, None if is_one_file else key_file, password)
    server = tls_peer([repeat(expect(), send(OK))])
    async with asks_fast.HSession(
        f"https://localhost:{server.port}", verify=ca_file, cert=cert
    ) as session:
        if password in (None, "", b"", "wrong"):
            why = "no usable" if password == "wrong" else r"encrypted; pass its password"
            file = chain if is_one_file or password == "wrong" else key_file
            with pytest.raises(InvalidRequest, match=rf"{file.name}.*{why}"):
                await session.get("/")
        else:
            assert (await session.get("/")).status_code == 200


@pytest.mark.parametrize("name", ["verify", "cert"])
async def test_missing_and_invalid_files(name: str, tls_peer: MakePeer, tmp_path: Path) -> None:
    """A missing or invalid file raises before anything is opened."""
    server = tls_peer([])
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("this is no certificate")
    for path in (tmp_path / "none.pem", wrong):
        connector = Connector(**{name: path})
        with pytest.raises(InvalidRequest, match=f"{name}='.*{path.name}'"):
            await connector.connect(connector.route_for("https", "localhost", server.port))
    assert server.connections == []


# -- sessions, keys, contexts --------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_session_is_resumed_on_its_route_only(
    version: ssl.TLSVersion,
    peer: MakePeer,
    server_certificate: Any,
    connector: Connector,
) -> None:
    """A second connection resumes the session of the first one; with other settings it does not."""
    context = context_with(server_certificate, maximum_version=version)
    server = peer([expect(), send(OK)], tls=context)
    facts = [await exchange(connector, server.port) for _ in range(3)]
    assert [fact["reused"] for fact in facts] == [False, True, True]
    other = await exchange(connector, server.port, server_hostname="example.test")
    assert other["reused"] is False
    wrong = peer([], tls=context)
    assert is_certificate_error(await refused(connector, wrong, server_hostname="other.test"))


def test_one_default_context_per_process() -> None:
    """Sessions with default settings share one context, built for the first https route."""
    program = (
        "import curio, socket, ssl\n"
        "made = []\n"
        "build = ssl.create_default_context\n"
        "ssl.create_default_context = lambda *a, **k: made.append(1) or build(*a, **k)\n"
        "from asks_fast._transport.connector import Connector\n"
        "from asks_fast.errors import ConnectionFailed\n"
        "async def main():\n"
        "    for _ in range(3):\n"
        "        one = Connector()\n"
        "        for scheme in ('http', 'https'):\n"
        "            try:\n"
        "                await one.connect(one.route_for(scheme, '127.0.0.1', 1))\n"
        "            except ConnectionFailed: pass\n"
        "            print(len(made), end=' ')\n"
        "curio.run(main)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0 1 1 1 1 1 ", "")


@pytest.mark.leaves_open("the context holds its key log open")
async def test_sslkeylogfile(
    tls_peer: MakePeer, ca_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSLKEYLOGFILE names a file that receives the keys."""
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    server = tls_peer([expect(), send(OK)])
    await exchange(Connector(verify=ca_file), server.port)
    assert "CLIENT_HANDSHAKE_TRAFFIC_SECRET" in log.read_text()


async def test_truststore(tls_peer: MakePeer) -> None:
    """`verify="truststore"` uses the roots of the operating system, which do not include ours."""
    pytest.importorskip("truststore", reason="truststore is not installed")
    assert is_certificate_error(await refused(Connector(verify="truststore"), tls_peer([])))


async def test_truststore_resumes_sessions(
    peer: MakePeer, server_context: ssl.SSLContext, ca_file: str
) -> None:
    """With truststore the next connection resumes the session, and is closed completely."""
    truststore = pytest.importorskip("truststore", reason="truststore is not installed")
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    server = peer([expect(), send(OK)], tls=server_context)
    connector = Connector(ssl_context=context)
    facts = [await exchange(connector, server.port) for _ in range(3)]
    assert [fact["reused"] for fact in facts] == [False, True, True]
    await server.all_closed()


async def test_truststore_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error names it."""
    monkeypatch.setitem(sys.modules, "truststore", None)
    connector = Connector(verify="truststore")
    with pytest.raises(InvalidRequest, match="pip install truststore"):
        await connector.connect(connector.route_for("https", "localhost", 1))


# -- the wire ------------------------------------------------------------------------------------


async def test_end_without_close_notify_is_an_error(
    tls_peer: MakePeer, connector: Connector
) -> None:
    """FIN without close_notify raises, so that a truncated body is not taken for a complete one."""
    server = tls_peer([expect(), send(b"half"), close()])
    sock = await connector.connect(connector.route_for("https", "localhost", server.port))
    assert await ask(sock) == b"half"
    with pytest.raises(ssl.SSLError, match="EOF"):
        await curio.io.Socket(sock).recv(100)
    sock.close()


async def test_cancel_at_each_await_closes_the_socket(tls_peer: MakePeer, ca_file: str) -> None:
    """TCP and handshake, cancelled at each wait in turn, leave no socket on either side."""
    server = tls_peer([])
    connector = Connector(verify=ca_file)
    route = connector.route_for("https", "127.0.0.1", server.port)
    for _ in range(5):  # how many waits there are is the wire's affair
        _, sock = await cancel_at_each_await(lambda: connector.connect(route), server.all_closed)
        sock.close()
    assert isinstance(sock, ssl.SSLSocket)


async def test_timeout_during_handshake(peer: MakePeer, connector: Connector) -> None:
    """A server that accepts and stays silent ends at the caller's time limit."""
    server = peer([stall()])
    with pytest.raises(curio.TaskTimeout):
        await curio.timeout_after(
            0.05, connector.connect, connector.route_for("https", "localhost", server.port)
        )
    await server.all_closed()


async def test_on_step_reports_tls(tls_peer: MakePeer, connector: Connector) -> None:
    """The last step reported for a TLS connection is `tls`."""
    steps: list[str] = []
    server = tls_peer([])
    route = connector.route_for("https", "localhost", server.port)
    sock = await connector.connect(route, on_step=lambda step, when: steps.append(step))
    sock.close()
    assert steps == ["resolved", "connected", "tls"]
