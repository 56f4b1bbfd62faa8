"""`Download`: makes one response for Scrapy, with size limits, signals and lost data.

Facts:  log texts, flags and the order of checks and signals are those of the handlers of Scrapy,
        because programs and log filters depend on them.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from scrapy import signals
from scrapy.exceptions import DownloadCancelledError, ResponseDataLossError, StopDownload
from scrapy.http import Headers
from scrapy.responsetypes import responsetypes
from twisted.python.failure import Failure

from ... import errors

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from ...response_objects import StreamResponse

__all__ = ["Download", "DownloadOptions"]

logger = logging.getLogger(__name__)

NO_BODY = frozenset([204, 304])

_ip_address = lru_cache(maxsize=1024)(ipaddress.ip_address)


class DownloadOptions:
    """The settings of a crawl about responses.

    Attributes:
        maxsize: most bytes of a body, 0 for no limit.
        warnsize: bytes from which on a warning is logged, 0 for never.
        fail_on_dataloss: whether a truncated body is an error.
        is_tls_logged: whether version, cipher and certificate are logged.
    """

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        self.maxsize = settings.getint("DOWNLOAD_MAXSIZE")
        self.warnsize = settings.getint("DOWNLOAD_WARNSIZE")
        self.fail_on_dataloss = settings.getbool("DOWNLOAD_FAIL_ON_DATALOSS")
        self.is_tls_logged = settings.getbool("DOWNLOADER_CLIENT_TLS_VERBOSE_LOGGING")
        self.has_warned_of_dataloss = False


class Download:
    """The response to one request.

    Args:
        crawler: the crawler, for its signals.
        options: those of the crawl.
        request: the request of Scrapy.
        url: its URL without fragment.
        response: the response, its body unread.
    """

    def __init__(
        self,
        crawler: Crawler,
        options: DownloadOptions,
        request: Request,
        url: str,
        response: StreamResponse,
    ) -> None:
        self._crawler = crawler
        self._options = options
        self._request = request
        self._url = url
        self._response = response
        self._headers = Headers(response.headers.raw)
        self._chunks: list[bytes] = []
        self._received = 0
        meta = request.meta
        self._maxsize: int = meta.get("download_maxsize", options.maxsize)
        self._warnsize: int = meta.get("download_warnsize", options.warnsize)

    async def run(self, deadline: float) -> Response:
        """Read the body.

        Args:
            deadline: monotonic time in seconds.

        Returns:
            The response of Scrapy.

        Raises:
            DownloadCancelledError: the body is longer than the limit.
            ResponseDataLossError: the body is truncated.
            StopDownload: a handler of a signal ended the download with `fail=True`.
            errors.AsksException: the download failed.
        """
        try:
            self._check_head()
            await self._read(deadline)
        except StopDownload as stop:
            await self._response.body.close()
            return self._make_response(["download_stopped"], stop)
        except errors.ServerClosedConnectionError as error:
            self._check_loss(error)
            return self._make_response(["dataloss"])
        except BaseException:
            await self._response.body.close()
            raise
        return self._make_response(["partial"] if self._ends_with_connection() else None)

    def _check_head(self) -> None:
        expected = self._expected_size()
        if expected is not None:
            self._check_size(expected, "Expected to receive")
        if self._options.is_tls_logged and self._response.tls_version is not None:
            self._log_tls()
        self._send_signal(signals.headers_received, headers=self._headers, body_length=expected)

    async def _read(self, deadline: float) -> None:
        """Read the body to its end, which closes it."""
        body = self._response.body
        if self._response.is_complete:
            if chunk := await body.read():
                self._add(chunk)
            return
        while True:
            body.timeout = max(deadline - time.monotonic(), 1e-6)
            try:
                chunk = await body.__anext__()
            except StopAsyncIteration:
                return
            self._add(chunk)

    def _add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._received += len(chunk)
        self._send_signal(signals.bytes_received, data=chunk)
        self._check_size(self._received, "Received")

    def _expected_size(self) -> int | None:
        """Content-Length, if a body of this length follows."""
        text = self._response.headers.get("content-length")
        if text is None or not text.isdigit() or self._request.method == "HEAD":
            return None
        return int(text)

    def _ends_with_connection(self) -> bool:
        """Whether only the end of the connection ended the body: part of it may be missing."""
        headers = self._response.headers
        return not (
            "content-length" in headers
            or "transfer-encoding" in headers
            or self._request.method == "HEAD"
            or self._response.status_code in NO_BODY
        )

    def _check_size(self, size: int, what: str) -> None:
        text = f"{what} {size} bytes which is larger than download %s size (%s) in request %s."
        if self._maxsize and size > self._maxsize:
            logger.warning(text, "max", self._maxsize, self._request)
            raise DownloadCancelledError(text % ("max", self._maxsize, self._request))
        if self._warnsize and size > self._warnsize:
            logger.warning(text, "warn", self._warnsize, self._request)
            self._warnsize = 0  # once

    def _check_loss(self, error: errors.ServerClosedConnectionError) -> None:
        """Raise the error for a truncated body, unless such bodies are kept."""
        options = self._options
        if not self._request.meta.get("download_fail_on_dataloss", options.fail_on_dataloss):
            return
        if not options.has_warned_of_dataloss:
            logger.warning(
                "Got data loss in %s. If you want to process broken responses set the setting "
                "DOWNLOAD_FAIL_ON_DATALOSS = False -- This message won't be shown in further "
                "requests",
                self._url,
            )
            options.has_warned_of_dataloss = True
        raise ResponseDataLossError(str(error)) from error

    def _log_tls(self) -> None:
        response = self._response
        logger.debug(
            f"SSL connection to {response.url.split('/')[2].rpartition(':')[0]} using protocol "
            f"{response.tls_version}, cipher {response.tls_cipher}"
        )
        fields = response.peer_certificate.fields if response.peer_certificate else {}
        if fields:
            logger.debug(
                f'SSL connection certificate: issuer "{fields.get("issuer")}", subject '
                f'"{fields.get("subject")}"'
            )

    def _send_signal(self, signal: object, **arguments: object) -> None:
        """Send a signal; raises the `StopDownload` that a handler of it raised."""
        crawler = self._crawler
        results = crawler.signals.send_catch_log(
            signal=signal, request=self._request, spider=crawler.spider, **arguments
        )
        for handler, result in results:
            if isinstance(result, Failure) and isinstance(result.value, StopDownload):
                name = getattr(handler, "__qualname__", handler)
                logger.debug("Download stopped for %s from signal handler %s", self._request, name)
                raise result.value

    def _make_response(self, flags: list[str] | None, stop: StopDownload | None = None) -> Response:
        response, url, body = self._response, self._url, b"".join(self._chunks)
        kind = responsetypes.from_args(headers=self._headers, url=url, body=body)
        certificate, peer = response.peer_certificate, response.peer
        made = kind(
            url=url,
            status=response.status_code,
            headers=self._headers,
            body=body,
            flags=flags,
            certificate=certificate and certificate.der,
            ip_address=_ip_address(peer[0]) if peer else None,
            protocol=f"HTTP/{response.http_version}",
        )
        if stop is not None and stop.fail:
            stop.response = made
            raise stop
        return made
