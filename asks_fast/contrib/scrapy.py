"""A download handler that lets Scrapy send its http and https requests with asks_fast.

Facts:  middlewares of Scrapy redirect, retry, decompress and keep cookies; its slots limit and
        delay requests. The handler gets a final request and returns the response to it.
Implemented elsewhere: settings (`_scrapy.settings`), requests (`_scrapy.messages`), responses
        (`_scrapy.download`), errors (`_scrapy.errors`).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from .._extras import missing_extra

try:
    from scrapy import signals
    from scrapy.core.downloader.handlers.base import BaseDownloadHandler
    from scrapy.exceptions import NotConfigured, UnsupportedURLSchemeError
    from scrapy.utils.asyncio import is_asyncio_available
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        missing_extra("asks_fast.contrib.scrapy", "scrapy", "scrapy")
    ) from error

from ..sessions import DSession
from ._scrapy.download import Download, DownloadOptions
from ._scrapy.errors import scrapy_errors
from ._scrapy.messages import request_arguments, url_of
from ._scrapy.settings import make_ssl_context, session_arguments

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

__all__ = ["DownloadHandler"]

# Levels for loggers that have none. Scrapy logs at DEBUG by default, and would log each step of a
# request; it sets levels for other libraries in the same way.
LOG_LEVELS = {"asks_fast": logging.INFO, "asks_fast.contrib": logging.DEBUG}

DEFAULT_TIMEOUT = 10.0  # seconds, of a request without `download_timeout`, as in Scrapy


class DownloadHandler(BaseDownloadHandler):
    """Send the requests of Scrapy with asks_fast, on its asyncio reactor or without a reactor.

    Args:
        crawler: the crawler, whose settings it reads.

    Raises:
        NotConfigured: another reactor than that of asyncio runs.
        ValueError: the name of a TLS version in the settings is unknown.

    Example:
        DOWNLOAD_HANDLERS = {
            "http": "asks_fast.contrib.scrapy.DownloadHandler",
            "https": "asks_fast.contrib.scrapy.DownloadHandler",
        }
    """

    lazy = False

    def __init__(self, crawler: Crawler) -> None:
        if not is_asyncio_available():
            raise NotConfigured(
                "asks_fast.contrib.scrapy.DownloadHandler needs asyncio: use the asyncio reactor "
                "in TWISTED_REACTOR, or TWISTED_REACTOR_ENABLED = False"
            )
        super().__init__(crawler)
        settings = crawler.settings
        self._options = DownloadOptions(crawler)
        self._credentials_encoding: str = settings.get("HTTPPROXY_AUTH_ENCODING")
        self._ssl_context = make_ssl_context(settings)
        self._session = DSession(**session_arguments(settings, self._ssl_context))
        crawler.signals.connect(self._record_stats, signals.spider_closed)
        for name, level in LOG_LEVELS.items():
            log = logging.getLogger(name)
            if log.level == logging.NOTSET:
                log.setLevel(level)

    async def download_request(self, request: Request) -> Response:
        """Download a response.

        Args:
            request: the request; `meta` has the limits, proxy and local address of it.

        Raises:
            DownloadTimeoutError, DownloadFailedError and others: as Scrapy documents them for
                download handlers.

        A cancelled download closes its connection.
        """
        url = url_of(request)
        if not url.startswith(("http://", "https://")):
            raise UnsupportedURLSchemeError(f"{url!r} is not an http or https URL")
        timeout: float = request.meta.get("download_timeout") or DEFAULT_TIMEOUT
        arguments = request_arguments(request, url, self._ssl_context, self._credentials_encoding)
        arguments["timeout"] = timeout
        started = time.monotonic()
        with scrapy_errors(url, timeout):
            response = await self._session.request(request.method, url, stream=True, **arguments)
            request.meta["download_latency"] = time.monotonic() - started
            download = Download(self.crawler, self._options, request, url, response)
            return await download.run(started + timeout)

    def _record_stats(self) -> None:
        """Add the numbers of connections to the stats of the crawl."""
        stats = self.crawler.stats
        if stats is not None:
            found = self._session.pool_stats()
            stats.inc_value("asks_fast/connections_opened", found["created"])
            stats.inc_value("asks_fast/connections_reused", found["reused"])

    async def close(self) -> None:
        """Close all connections at once."""
        await self._session.close()
