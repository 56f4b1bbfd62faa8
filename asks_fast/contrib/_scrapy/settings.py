"""Settings of Scrapy as the arguments of a session.

Rules:  Scrapy limits how many requests run at once, to all hosts and to each. The session limits
        only how many connections are open, idle ones included.
"""

from __future__ import annotations

import logging
import os
import resource
import ssl
import sys
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

    from ..._client.argument_types import SessionArguments

    class HandlerArguments(SessionArguments):
        """Arguments of `DSession`."""

        connections: int


__all__ = ["make_ssl_context", "normalize_address", "session_arguments"]

logger = logging.getLogger(__name__)

Address: TypeAlias = "str | tuple[str, int] | None"

MAX_IDLE_CONNECTIONS = 1000  # of all hosts together
REMOVE_DEFAULTS: dict[str, None] = dict.fromkeys(
    ("User-Agent", "Accept", "Accept-Encoding", "Connection")
)
TLS_VERSIONS = {
    "TLSv1.0": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


def session_arguments(settings: BaseSettings, context: ssl.SSLContext) -> HandlerArguments:
    """The arguments of the session for a crawl.

    Redirects, cookies, decompression, retries and default header fields are turned off: the
    middlewares of Scrapy have their own. `download_timeout` is the only limit of a request.

    Args:
        settings: those of the crawler.
        context: from `make_ssl_context`.
    """
    return {
        "connections": _max_connections(settings.getint("CONCURRENT_REQUESTS")),
        "ssl_context": context,
        "source_address": normalize_address(settings.get("DOWNLOAD_BIND_ADDRESS")),
        "dns_timeout": settings.getfloat("DNS_TIMEOUT") or None,
        "dns_ttl": 60.0 if settings.getbool("DNSCACHE_ENABLED") else 0.0,
        "headers": REMOVE_DEFAULTS,
        "follow_redirects": False,
        "decompress": False,
        "connection_timeout": None,
        "read_timeout": None,
        "write_timeout": None,
    }


def _max_connections(concurrent: int) -> int:
    """The most connections to all hosts: a share of the descriptors, enough for each request."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        descriptors = 2 * MAX_IDLE_CONNECTIONS
    most = max(1, min(MAX_IDLE_CONNECTIONS, descriptors // 2))
    return max(concurrent, most) if concurrent else max(descriptors, most)


def normalize_address(address: Address | list[object]) -> Address:
    """A local address as `source_address=` takes it."""
    if isinstance(address, list):
        host, port = address
        return str(host), int(str(port))
    return address or None


def make_ssl_context(settings: BaseSettings) -> ssl.SSLContext:
    """Make the context that the settings of Scrapy describe.

    Certificates are verified with `DOWNLOAD_VERIFY_CERTIFICATES=True` only, as Scrapy does.

    Raises:
        ValueError: the name of a TLS version is unknown.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES"):
        context.load_default_certs()
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    lowest = _tls_version(settings, "DOWNLOAD_TLS_MIN_VERSION")
    if lowest is not None:
        context.minimum_version = lowest
    highest = _tls_version(settings, "DOWNLOAD_TLS_MAX_VERSION")
    if highest is not None:
        context.maximum_version = highest
    ciphers = settings.get("DOWNLOADER_CLIENT_TLS_CIPHERS")
    if ciphers:
        context.set_ciphers(ciphers)
    if not sys.flags.ignore_environment and (path := os.environ.get("SSLKEYLOGFILE")):
        try:
            context.keylog_filename = path
        except OSError as error:
            logger.warning("Cannot write TLS session keys to %s: %s", path, error)
    return context


def _tls_version(settings: BaseSettings, name: str) -> ssl.TLSVersion | None:
    value = settings.get(name)
    if value is None:
        return None
    try:
        return TLS_VERSIONS[value]
    except KeyError:
        raise ValueError(
            f"Unknown {name} value: {value} (known: {', '.join(TLS_VERSIONS)})"
        ) from None
