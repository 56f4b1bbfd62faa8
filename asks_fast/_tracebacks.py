"""Readable errors: tracebacks without the frames of this library, and notes with the remedy.

An error that leaves the library shows the user's own frames, the call that failed, and its causes;
what lies in between says nothing to a user. With the logger `asks_fast` at the level DEBUG all
frames stay. Notes are shown by Python 3.11 and later.

Implemented elsewhere: the exceptions and their texts (`errors`).
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Coroutine
from functools import lru_cache, wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from .errors import AsksException, ConnectionFailed, NameResolutionError, PoolTimeout, ProxyError

__all__ = ["shorten", "shortened"]

_log = logging.getLogger("asks_fast")
_MAX_CAUSES = 10
_E = TypeVar("_E", bound=AsksException)
_P = ParamSpec("_P")
_T = TypeVar("_T")

__tracebackhide__ = True  # pytest leaves out frames of this module


def shorten(error: _E) -> _E:
    """Return the error, without the library's frames in it and its causes; to be raised again.

    Frames of the user's code (a callback, a body, a resolver) stay where they are.
    """
    if not _log.isEnabledFor(logging.DEBUG):
        error.__traceback__ = _without_ours(error.__traceback__)
        cause, left = error.__cause__, _MAX_CAUSES
        while cause is not None and left:
            cause.__traceback__ = _without_ours(cause.__traceback__)
            cause, left = cause.__cause__, left - 1
    _add_remedy(error)
    return error


def shortened(
    function: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Decorate an async function: its errors leave it without the frames of the library."""

    @wraps(function)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await function(*args, **kwargs)
        except AsksException as error:
            failure = shorten(error)
        raise failure

    return call


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """Return the traceback with the frames of user code alone."""
    kept = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_our_paths()):
            kept.append(traceback)
        traceback = traceback.tb_next
    made: TracebackType | None = None
    for one in reversed(kept):
        made = TracebackType(made, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return made


@lru_cache(maxsize=1)
def _our_paths() -> tuple[str, ...]:
    """Return what the file names of frames begin with that are no user code.

    They are those of this library, of curio, and of the modules of Python that we call.
    """
    import curio

    folder = os.path.dirname(__file__) + os.sep
    python = os.path.dirname(os.__file__) + os.sep
    called = tuple(f"{python}{name}.py" for name in ("ssl", "socket", "selectors"))
    return (folder, "src_pyx/", os.path.dirname(curio.__file__) + os.sep, *called)


def _add_remedy(error: AsksException) -> None:
    """Add what to do about the error as a note, once."""
    text = _remedy(error)
    if text is not None and hasattr(error, "add_note") and not getattr(error, "__notes__", None):
        error.add_note(text)


def _remedy(error: AsksException) -> str | None:
    if isinstance(error, ProxyError):
        return "Check proxy=, and the variables http_proxy and https_proxy of the environment."
    if isinstance(error, NameResolutionError):
        return "Check the spelling of the host and the network; hosts= and resolver= set addresses."
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
