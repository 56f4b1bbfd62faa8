"""Exit statuses of the commands: those of `asks-fast get` are numbered as in curl."""

from __future__ import annotations

import sys

from asks_fast import errors

__all__ = [
    "EXIT_BAD_RANGE",
    "EXIT_FAILED",
    "EXIT_HTTP_ERROR",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "CannotRead",
    "CannotResume",
    "CannotWrite",
    "exit_status",
]

EXIT_OK, EXIT_FAILED = 0, 1
EXIT_HTTP_ERROR, EXIT_BAD_RANGE, EXIT_INTERRUPTED = 22, 33, 130
EXIT_CERTIFICATE_ERROR, EXIT_TLS_ERROR = 60, 35


class CannotWrite(Exception):
    """The body cannot, or should not, be written to its destination."""


class CannotRead(Exception):
    """A file that belongs to the request cannot be read."""


class CannotResume(Exception):
    """The server does not send the rest of a body."""


# The first matching entry applies.
STATUSES: list[tuple[type[BaseException], int]] = [
    (CannotWrite, 23),
    (CannotRead, 26),
    (CannotResume, EXIT_BAD_RANGE),
    (errors.InvalidURL, 3),
    (errors.InvalidRequest, 2),
    (errors.ProxyError, 97),
    (errors.NameResolutionError, 6),
    (errors.ConnectionFailed, 7),
    (errors.RequestTimeout, 28),
    (errors.TooManyRedirects, 47),
    (errors.DecodingError, 61),
    (errors.ResponseTooLarge, 63),
    (errors.ServerClosedConnectionError, 52),
    (errors.BadHttpResponse, 8),
    (OSError, 56),
    (TypeError, 2),
]


def exit_status(error: BaseException) -> int:
    """Return curl's exit status for an error."""
    if "ssl" in sys.modules:
        import ssl

        if isinstance(error, ssl.SSLCertVerificationError):
            return EXIT_CERTIFICATE_ERROR
        if isinstance(error, ssl.SSLError):
            return EXIT_TLS_ERROR
    return next((number for kind, number in STATUSES if isinstance(error, kind)), 1)
