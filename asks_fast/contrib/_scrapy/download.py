"""`Download`: one response on its way to Scrapy, with size limits, signals and lost data.

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
        fail_on_dataloss: whether a body that breaks off is an error.
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
            ResponseDataLossError: the body broke off.
            StopDownload: a handler of a signal ended the download with `fail=True`.
            errors.AsksException: the download failed.
        """
        expected = self._expected_size()
        if expected is not None:
            if self._maxsize and expected > self._maxsize:
                self._cancel(expected, "Expected to receive")
            self._warn(expected, "Expected to receive")
        if self._options.is_tls_logged and self._response.tls_version is not None:
            self._log_tls()
        stop = self._send_signal(
            signals.headers_received, headers=self._headers, body_length=expected
        )
        if stop is not None:
            return self._make_response(b"", stop=stop)
        return await self._read(deadline)

    async def _read(self, deadline: float) -> Response:
        body, chunks, received = self._response.body, [], 0
        is_arriving = not self._response.is_complete
        try:
            while True:
                if is_arriving:
                    body.timeout = max(deadline - time.monotonic(), 1e-6)
                chunk = await anext(body, None)
                if chunk is None:
                    break
                chunks.append(chunk)
                received += len(chunk)
                stop = self._send_signal(signals.bytes_received, data=chunk)
                if stop is not None:
                    return self._make_response(b"".join(chunks), stop=stop)
                if self._maxsize and received > self._maxsize:
                    self._cancel(received, "Received")
                self._warn(received, "Received")
        except errors.ServerClosedConnectionError as error:
            return self._lost(b"".join(chunks), error)
        flags = ["partial"] if self._ends_with_connection() else None
        return self._make_response(b"".join(chunks), flags)

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

    def _cancel(self, size: int, what: str) -> None:
        text = (
            f"{what} {size} bytes which is larger than download max size ({self._maxsize}) in "
            f"request {self._request}."
        )
        logger.warning(text)
        raise DownloadCancelledError(text)

    def _warn(self, size: int, what: str) -> None:
        if not self._warnsize or size <= self._warnsize:
            return
        logger.warning(
            f"{what} {size} bytes which is larger than download warn size ({self._warnsize}) in "
            f"request {self._request}."
        )
        self._warnsize = 0  # once

    def _lost(self, body: bytes, error: errors.ServerClosedConnectionError) -> Response:
        """The response without the end of its body, or the error for it."""
        options = self._options
        fails = self._request.meta.get("download_fail_on_dataloss", options.fail_on_dataloss)
        if not fails:
            return self._make_response(body, ["dataloss"])
        if not options.has_warned_of_dataloss:
            logger.warning(
                f"Got data loss in {self._url}. If you want to process broken responses set the "
                "setting DOWNLOAD_FAIL_ON_DATALOSS = False -- This message won't be shown in "
                "further requests"
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

    def _send_signal(self, signal: object, **arguments: object) -> StopDownload | None:
        """Send a signal; the `StopDownload` that a handler of it raised."""
        crawler = self._crawler
        results = crawler.signals.send_catch_log(
            signal=signal, request=self._request, spider=crawler.spider, **arguments
        )
        for handler, result in results:
            if isinstance(result, Failure) and isinstance(result.value, StopDownload):
                name = getattr(handler, "__qualname__", handler)
                logger.debug(f"Download stopped for {self._request} from signal handler {name}")
                return result.value
        return None

    def _make_response(
        self, body: bytes, flags: list[str] | None = None, stop: StopDownload | None = None
    ) -> Response:
        response, url = self._response, self._url
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
        if stop is not None:
            made.flags.append("download_stopped")
            if stop.fail:
                stop.response = made
                raise stop
        return made
