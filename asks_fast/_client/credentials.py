"""Which defaults of a session with a base go to another origin.

The rules are those of redirects, which `_request/redirect.py` implements. An origin is scheme, host
and port.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._request.redirect import auth_may_leave, bound_fields
from .._sensitive import drop_sensitive_pairs
from ..urls import Url, encode_params

if TYPE_CHECKING:
    from .._config.options import RequestOptions

__all__ = ["auth_may_leave", "bound_fields", "defaults_off_origin"]


def defaults_off_origin(
    defaults: Mapping[str, Any], options: RequestOptions, base: Url, target: Url
) -> dict[str, Any]:
    """The defaults of a session with a base, for a request to another origin."""
    kept = {name: value for name, value in defaults.items() if name != "cookies"}
    if not auth_may_leave(options, base, target):
        kept.pop("auth", None)
    if kept.get("params") is not None:
        kept["params"] = drop_sensitive_pairs(encode_params(kept["params"]))
    return kept
