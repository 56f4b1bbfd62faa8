"""Encode the object of `json=` as `json.dumps` does, with an encoder that is made once.

Facts:  `json.dumps` makes an encoder in C for each call, which costs more than encoding a small
        object.
Invariants:
        The bytes and the errors are those of `json.dumps(value).encode()`. The encoder here does
        not look for circular references, so `json.dumps` is asked after any error.
"""

from __future__ import annotations

import json
from json import encoder as json_encoder
from typing import Any

__all__ = ["encode_json"]


def _make_encoder() -> Any:
    make = getattr(json_encoder, "c_make_encoder", None)
    if make is None:
        return None
    plain = json.JSONEncoder()
    return make(
        None,  # no dict of the objects that are being encoded
        plain.default,
        json_encoder.encode_basestring_ascii,
        None,
        plain.key_separator,
        plain.item_separator,
        plain.sort_keys,
        plain.skipkeys,
        plain.allow_nan,
    )


_encode = _make_encoder()


def encode_json(value: Any) -> bytes:
    """Return a JSON document in ASCII.

    Raises:
        TypeError, ValueError, RecursionError: as `json.dumps`.
    """
    if _encode is not None:
        try:
            return "".join(_encode(value, 0)).encode("ascii")
        except (TypeError, ValueError, RecursionError):
            pass
    return json.dumps(value).encode("ascii")
