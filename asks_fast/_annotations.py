"""Type aliases for values that only the user's program knows: the public uses of `Any`.

mypy checks the modules that users import with `disallow_any_explicit` (pyproject.toml), so a public
signature that needs `Any` uses one of these names, which say why.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

__all__ = [
    "AnyArgument",
    "AnyFunction",
    "AnyHeaderValue",
    "AsyncCall",
    "Json",
    "JsonObject",
    "Unchecked",
]

T = TypeVar("T")

# A JSON document. Programs index into it without checks, as into the result of `json.loads`.
Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Any]

# An object that a function of the user's takes or returns, and that this library only passes on.
AnyArgument: TypeAlias = Any

# An attribute whose class belongs to a higher layer, or whose type depends on another attribute.
Unchecked: TypeAlias = Any

# The value of a header field: one text, or for `Set-Cookie` a list.
AnyHeaderValue: TypeAlias = Any

# A function with any parameters, for decorators and for functions that check their own arguments.
AnyFunction: TypeAlias = Callable[..., T]

# What an `async def` function returns. The event loop defines what it yields and is sent.
AsyncCall: TypeAlias = Coroutine[Any, Any, T]
