"""Tracebacks without the frames of this library, and notes that name a remedy.

The traceback of an error that leaves the library contains the frames of the program, the call that
failed, and its causes. The frames between them do not help a user. At the level DEBUG of the logger
`asks_fast` all frames are kept. Python 3.11 and later show the notes.

Implemented elsewhere: the exceptions and their texts (`errors`).
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from functools import lru_cache, wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from .errors import (
    AsksException,
    ConnectionFailed,
    DnsTimeout,
    NameResolutionError,
    PoolTimeout,
    ProxyError,
)

__all__ = ["shorten", "shortened"]

_log = logging.getLogger("asks_fast")
_MAX_CAUSES = 10
_E = TypeVar("_E", bound=AsksException)
_P = ParamSpec("_P")
_T = TypeVar("_T")

__tracebackhide__ = True  # pytest leaves out frames of this module


def shorten(error: _E) -> _E:
    """Remove the frames of the library from an error and its causes.

    Frames of the user's code (a callback, a body, a resolver) are kept.

    Returns:
        The error, which the caller raises.
    """
    if not _log.isEnabledFor(logging.DEBUG):
        error.__traceback__ = _without_library_frames(error.__traceback__)
        cause, remaining = error.__cause__, _MAX_CAUSES
        while cause is not None and remaining:
            cause.__traceback__ = _without_library_frames(cause.__traceback__)
            cause, remaining = cause.__cause__, remaining - 1
    _add_remedy(error)
    return error


def shortened(
    function: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Decorate a coroutine function so that its errors leave it without library frames."""

    @wraps(function)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await function(*args, **kwargs)
        except AsksException as error:
            failure = shorten(error)
        raise failure

    return call


def _without_library_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Return the traceback with only the frames of user code."""
    kept = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_library_paths()):
            kept.append(traceback)
        traceback = traceback.tb_next
    result: TracebackType | None = None
    for entry in reversed(kept):
        result = TracebackType(result, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return result


@lru_cache(maxsize=1)
def _library_paths() -> tuple[str, ...]:
    """Return the path prefixes of frames that are not user code.

    These are this library, curio, and the modules of Python that the library calls.
    """
    import curio

    folder = os.path.dirname(__file__) + os.sep
    python = os.path.dirname(os.__file__) + os.sep
    modules = tuple(f"{python}{name}.py" for name in ("ssl", "socket", "selectors"))
    return (folder, "src_pyx/", os.path.dirname(str(curio.__file__)) + os.sep, *modules)


def _add_remedy(error: AsksException) -> None:
    """Add a note with the remedy to the error, unless it has notes already."""
    text = _remedy(error)
    if sys.version_info >= (3, 11) and text and not getattr(error, "__notes__", None):
        error.add_note(text)


def _remedy(error: AsksException) -> str | None:
    if isinstance(error, ProxyError):
        return "Check proxy=, and the variables http_proxy and https_proxy of the environment."
    if isinstance(error, NameResolutionError):
        return "Check the spelling of the host and the network; hosts= and resolver= set addresses."
    if isinstance(error, DnsTimeout):
        return "Raise dns_timeout=, or check the name servers; hosts= and resolver= set addresses."
    if isinstance(error, PoolTimeout):
        return "Raise connections= or pool_timeout=; close streamed responses that are not read."
    if isinstance(error, ConnectionFailed) and isinstance(error.__cause__, OSError):
        return _SYSTEM_REMEDIES.get(error.__cause__.errno or 0)
    return None


_SYSTEM_REMEDIES = {
    errno.ECONNREFUSED: "No program listens at that address and port: is the server running?",
    errno.EMFILE: "Too many open files: raise the limit (ulimit -n) or lower connections=.",
    errno.ENETUNREACH: "There is no route to that address: check the network.",
    errno.EHOSTUNREACH: "There is no route to that address: check the network.",
}
