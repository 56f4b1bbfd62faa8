"""Errors of asks_fast as the exceptions that Scrapy documents for download handlers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
)

from ... import errors

__all__ = ["scrapy_errors"]

# The exception that an error becomes; the first that matches decides. A TLS error is not a refused
# connection, as in the handler of Scrapy: the server accepted the connection.
ERRORS: list[tuple[type[errors.AsksException], type[Exception]]] = [
    (errors.NameResolutionError, CannotResolveHostError),
    (errors.DnsTimeout, CannotResolveHostError),
    (errors.TlsError, DownloadFailedError),
    (errors.ConnectionFailed, DownloadConnectionRefusedError),
    (errors.AsksException, DownloadFailedError),
]


@contextmanager
def scrapy_errors(url: str, timeout: float) -> Iterator[None]:
    """Raise the errors of asks_fast as those of Scrapy.

    `InvalidRequest` passes unchanged: to send the request again would not help.

    Args:
        url: the URL of the request.
        timeout: its time limit in seconds.
    """
    try:
        yield
    except errors.InvalidRequest:
        raise
    except errors.AsksException as error:
        if isinstance(error, errors.RequestTimeout) and not isinstance(error, errors.DnsTimeout):
            raise DownloadTimeoutError(
                f"Getting {url} took longer than {timeout} seconds."
            ) from error
        theirs = next(theirs for ours, theirs in ERRORS if isinstance(error, ours))
        raise theirs(str(error)) from error
