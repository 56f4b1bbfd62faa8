"""Where a call of ours runs: in curio, or in asyncio or trio by way of a guest kernel.

`hosted` makes a coroutine function of the public API work in all of them. The library is found
for each call, when it is first awaited.

Facts:  each event loop of a host has one guest kernel, made by the first call in it.
Rules:  a coroutine that asks_fast makes in a curio kernel is awaited there, and is left as it is.
Not here: how a hosted task is stepped (src_pyx/kernel/guest.pyx), the kernel itself (`kernel`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from curio.meta import curio_running

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")

__all__ = ["call", "hosted", "internal_task", "internal_tasks"]

internal_tasks: set[Any] = set()  # code objects of coroutines that run no code of the user


def internal_task(function: T) -> T:
    """Mark a coroutine function: spawned in a guest kernel, it runs in no task of the host."""
    internal_tasks.add(function.__code__)  # type: ignore[attr-defined]
    return function


def call(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None
) -> Coroutine[Any, Any, Any]:
    """A coroutine that runs `function(*args, **kwargs)` in whatever library awaits it."""
    from .._kernel import hosted_call, use_hosts
    from .asyncio_host import make_host

    use_hosts(make_host, _find_trio_host, internal_tasks)
    globals()["call"] = hosted_call
    return hosted_call(function, args, kwargs)


def _find_trio_host() -> Any:
    """Called where trio is loaded."""
    from .trio_host import find_host

    return find_host()


def hosted(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let a coroutine function be awaited in curio, asyncio and trio."""

    @wraps(function)
    def start(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        if curio_running():
            return function(*args, **kwargs)
        return call(function, args, kwargs or None)

    if hasattr(inspect, "markcoroutinefunction"):  # Python 3.12
        inspect.markcoroutinefunction(start)
    return cast("Callable[P, Coroutine[Any, Any, T]]", start)
