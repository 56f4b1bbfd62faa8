"""TLS, proxies and local addresses of downloads of Scrapy over asks_fast."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from support.proxy_steps import http_proxy, socks_proxy
from support.script_steps import OK, close, expect, expect_head, send, stall
from support.scripted_server import Peer
from support.servers import Server
from w3lib.http import basic_auth_header

pytest.importorskip("scrapy")

from scrapy.exceptions import (
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
)

Download = Callable[..., Any]
MakePeer = Callable[..., Peer]


def test_certificate(download: Download, tls_server: Server, server_certificate: Any) -> None:
    """Certificates are not verified by default; the response has the certificate."""
    response = download(f"{tls_server.url}/get")
    assert response.status == 200
    pem = server_certificate.cert_chain_pems[0].bytes().decode()
    assert response.certificate == ssl.PEM_cert_to_DER_cert(pem)


@pytest.mark.parametrize(
    "settings",
    [
        {"DOWNLOAD_VERIFY_CERTIFICATES": True},
        {"DOWNLOAD_TLS_MAX_VERSION": "TLSv1.2", "DOWNLOADER_CLIENT_TLS_CIPHERS": "AES128-SHA"},
    ],
    ids=["verify", "ciphers"],
)
def test_failed_handshake(download: Download, tls_server: Server, settings: dict[str, Any]) -> None:
    """The TLS settings are applied; a failed handshake is a failed download."""
    with pytest.raises(DownloadFailedError):
        download(f"{tls_server.url}/get", settings)


def test_tls_versions(
    download: Download, tls_peer: MakePeer, caplog: pytest.LogCaptureFixture
) -> None:
    """The range of versions is that of the settings; with verbose logging the log has them."""
    verbose = {"DOWNLOADER_CLIENT_TLS_VERBOSE_LOGGING": True}
    limits = {"DOWNLOAD_TLS_MAX_VERSION": "TLSv1.2"}, {"DOWNLOAD_TLS_MIN_VERSION": "TLSv1.3"}
    for version, limit in zip(("TLSv1.2", "TLSv1.3"), limits, strict=True):
        server = tls_peer([expect(), send(OK)])
        with caplog.at_level("DEBUG"):
            download(f"https://127.0.0.1:{server.port}/", {**limit, **verbose})
        assert f"SSL connection to 127.0.0.1 using protocol {version}, cipher " in caplog.text
    assert "SSL connection certificate: issuer" in caplog.text
    with pytest.raises(ValueError, match=r"Unknown DOWNLOAD_TLS_MIN_VERSION value: 1\.2"):
        download("http://127.0.0.1:1/", {"DOWNLOAD_TLS_MIN_VERSION": "1.2"})


def test_key_log(
    download: Download,
    tls_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """SSLKEYLOGFILE gets the keys of sessions; a file that cannot be written is logged."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    download(f"{tls_server.url}/get")
    assert (tmp_path / "keys").read_text()
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "none" / "keys"))
    download(f"{tls_server.url}/get")
    assert "Cannot write TLS session keys" in caplog.text


@pytest.mark.parametrize("scheme", ["http", "https", ""], ids=["http", "https", "no-scheme"])
@pytest.mark.parametrize("is_secure", [False, True], ids=["to-http", "to-https"])
def test_http_proxy(
    download: Download,
    peer: MakePeer,
    server_context: ssl.SSLContext,
    app_server: Server,
    tls_server: Server,
    is_secure: bool,
    scheme: str,
) -> None:
    """The proxy of `meta` gets the credentials, the server does not."""
    server = tls_server if is_secure else app_server
    proxy = peer([http_proxy("user", "pass:%")], tls=server_context if scheme == "https" else None)
    address = proxy.url.partition("://")[2]
    response = download(
        f"{server.url}/headers",
        meta={"proxy": f"{scheme}://{address}" if scheme else address},
        headers={"Proxy-Authorization": basic_auth_header("user", "pass:%")},
    )
    assert response.status == 200
    if is_secure:
        assert "proxy-authorization" not in response.text.lower()


def test_socks_proxy(download: Download, peer: MakePeer, app_server: Server) -> None:
    """A SOCKS proxy takes user and password from Proxy-Authorization."""
    proxy = peer([socks_proxy("user", "s\xe4")])
    meta = {"proxy": proxy.url.replace("http://", "socks5://")}
    fields = {"Proxy-Authorization": basic_auth_header("user", "s\xe4", encoding="latin-1")}
    settings = {"HTTPPROXY_AUTH_ENCODING": "latin-1"}
    response = download(f"{app_server.url}/headers", settings, meta=meta, headers=fields)
    assert "proxy-authorization" not in response.text.lower()
    with pytest.raises(ValueError, match="Basic credentials only"):
        download(app_server.url, meta=meta, headers={"Proxy-Authorization": "Bearer x"})


def test_a_proxy_that_refuses(download: Download, peer: MakePeer) -> None:
    """A refused tunnel is a refused connection; one without a response is a time-out."""
    proxy = peer(
        [expect_head(), send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), close()],
        [expect_head(), stall()],
    )
    with pytest.raises(DownloadConnectionRefusedError, match="403"):
        download("https://server.test/", meta={"proxy": proxy.url})
    with pytest.raises(DownloadTimeoutError, match=r"https://server\.test/ took longer"):
        download("https://server.test/", meta={"proxy": proxy.url, "download_timeout": 0.05})


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no 127.0.0.2")
@pytest.mark.parametrize("address", ["127.0.0.2", ("127.0.0.2", 0), ["127.0.0.2", 0]])
def test_local_address(download: Download, peer: MakePeer, address: Any) -> None:
    """Connections come from the address of the setting, or of `meta`."""
    for options in (
        {"settings": {"DOWNLOAD_BIND_ADDRESS": address}},
        {"meta": {"bindaddress": address}},
    ):
        origins: list[str] = []
        server = peer(
            [lambda c, origins=origins: origins.append(c.sock.getpeername()[0]), expect(), send(OK)]
        )
        assert download(server.url, **options).ip_address == ip_address("127.0.0.1")
        assert origins == ["127.0.0.2"]
