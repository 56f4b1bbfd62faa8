"""Standing in for asks: `init` for programs of asks 1.x, `install_as_asks` for libraries."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module

__all__ = ["init", "install_as_asks"]

MODULES = (
    "auth",
    "base_funcs",
    "cookie_utils",
    "errors",
    "http_utils",
    "multipart",
    "req_structs",
    "request_object",
    "response_objects",
    "sessions",
)

LIBRARIES = ("asyncio", "curio", "trio")


def init(library: object = "curio") -> None:
    """Accept the choice of an event loop that asks 1.x to 3.x wanted; it is found by itself.

    Args:
        library: "asyncio", "trio" or "curio", or the module.

    Raises: ValueError for any other library.
    """
    name = library if isinstance(library, str) else getattr(library, "__name__", repr(library))
    if name not in LIBRARIES:
        raise ValueError(f"asks_fast runs on {', '.join(LIBRARIES)}, not on {name!r}")
    warnings.warn(
        "asks_fast.init() is not needed: asks_fast finds the event loop that runs",
        DeprecationWarning,
        stacklevel=2,
    )


def install_as_asks() -> None:
    """Make `import asks` find this package, for libraries written for asks."""
    package = sys.modules[__name__.rpartition(".")[0]]
    sys.modules["asks"] = package
    for name in MODULES:
        sys.modules[f"asks.{name}"] = import_module(f"{package.__name__}.{name}")
