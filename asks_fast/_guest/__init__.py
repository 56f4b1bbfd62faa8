"""Run the public coroutines in curio, asyncio and trio.

`hosted` makes a coroutine function of the public API work in all three. In asyncio and trio it
runs in a guest kernel. Each call finds out the library when it is first awaited.

Facts:  each event loop of a host has one guest kernel, made by the first call in it.
Rules:  a coroutine that is made in a curio kernel is awaited there directly.
Implemented elsewhere: running hosted tasks (src_pyx/kernel/guest.pyx), the hosts (`asyncio_host`,
        `trio_host`), calls without an event loop (`blocking`).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine
from functools import wraps
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .._curio import curio_running

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")

__all__ = ["call", "compiled_call", "hosted", "internal_task", "internal_tasks"]

internal_tasks: set[CodeType] = set()  # code objects of coroutines that run no user code


def internal_task(function: T) -> T:
    """Mark a coroutine function whose tasks run in a guest kernel without a task of the host."""
    internal_tasks.add(function.__code__)  # type: ignore[attr-defined]
    return function


def call(coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """Return a coroutine that runs this one in the library that awaits it."""
    return compiled_call()(coroutine)


def compiled_call() -> Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]]:
    """Load the kernel and return what `call` is from now on."""
    from .._kernel import hosted_call, set_host_factories
    from .asyncio_host import make_host

    set_host_factories(make_host, _load_trio_host, internal_tasks)
    globals()["call"] = hosted_call
    return hosted_call


def _load_trio_host() -> ModuleType:
    """Import the host for trio. Called only if trio is loaded."""
    from . import trio_host

    return trio_host


def hosted(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a coroutine function that can be awaited in curio, asyncio and trio."""

    @wraps(function)
    def start(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        coroutine = function(*args, **kwargs)
        return coroutine if curio_running() else call(coroutine)

    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(start)
    return cast("Callable[P, Coroutine[Any, Any, T]]", start)
