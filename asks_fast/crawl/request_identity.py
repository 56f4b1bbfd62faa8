"""The identity of a request in a bulk run, and which requests share one fetch.

Two requests with the same identity are one: repeated in the input, reported once. Two URLs that
differ only in the fragment have different identities and are fetched once: a fragment is never
sent.

Invariants: no input raises; what cannot be a request becomes one that fails. A finished request
        takes the memory of one `Uint64Set` entry, an unfinished one that of a dict entry.

Implemented elsewhere: reading the input (`inputs`), sending (`map`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InvalidRequest, printable, truncated_repr
from .checkpoint import Uint64Set, key_of

__all__ = ["RequestIdentity", "SharedFetches", "identify_request", "identity_text", "url_of"]

MAX_SHOWN = 2_000  # characters shown of an item that is not a request
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class RequestIdentity(NamedTuple):
    """The keys that identify one request of the input, and what is reported of it."""

    key: int  # of the request, in the checkpoint file
    fetch_key: int  # of what is sent: equal for URLs that differ only in the fragment
    user_key: Any
    url: str


def url_of(request: Any) -> str:
    """Return the URL of a request as given, or an empty string if it has none."""
    if isinstance(request, str):
        return request
    return str(request.get("url") or "") if isinstance(request, Mapping) else ""


def identify_request(request: Any) -> tuple[RequestIdentity, Any]:
    """Return the identity of a request and the request for `map`, or the error that it ends in."""
    try:
        return _read(request)
    except Exception as e:
        shown = printable(repr(request), MAX_SHOWN)
        error = e if isinstance(e, InvalidRequest) else InvalidRequest(f"not a request: {e}")
        key = key_of(f"unusable {request!r}")
        return RequestIdentity(key, key, None, shown), error


def _read(request: Any) -> tuple[RequestIdentity, Any]:
    if not isinstance(request, (str, Mapping)):
        raise InvalidRequest(
            "a request must be a URL or a dict of request arguments, found "
            f"{type(request).__name__} {truncated_repr(repr(request))}"
        )
    url, user_key = url_of(request), None
    key = fetch_key = key_of(identity_text(request))
    if isinstance(request, Mapping):
        user_key = request.get("key")
        request = {name: value for name, value in request.items() if name != "key"}
    if "#" in url and user_key is None:
        sent = url.partition("#")[0]
        fetch_key = key_of(
            identity_text(sent if isinstance(request, str) else {**request, "url": sent})
        )
    identity = RequestIdentity(key, fetch_key, user_key, url or str(user_key))
    for name, value in (("url", url), ("key", user_key)):
        if value is not None and _NO_TEXT.search(_text(value)):
            problem = (
                f"the {name} has a NUL character or half a surrogate pair: {truncated_repr(value)}"
            )
            return identity, InvalidRequest(problem)
    return identity, request


def identity_text(request: Any) -> str:
    """Return a text that is equal for equal requests: the user's key, else method, URL and body."""
    if isinstance(request, str):
        return request
    if request.get("key") is not None:
        return f"key {request['key']}"
    method = str(request.get("method", "GET")).upper()
    rest = {k: v for k, v in request.items() if k not in ("url", "method")}
    if method == "GET" and not rest:
        return str(request["url"])
    return f"{method} {request['url']} {json.dumps(rest, sort_keys=True, default=str)}"


def _text(value: Any) -> str:
    """Return the characters of a value: the string itself, or its JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str).replace("\\u0000", "\0")


class SharedFetches:
    """Record which fetches have started and ended, so that requests can share one."""

    def __init__(self) -> None:
        self._waiting: dict[
            int, list[RequestIdentity]
        ] = {}  # fetch under way → who waits for its end
        self._fetched = Uint64Set()
        self._dropped = Uint64Set()  # by a filter

    def begin(self, identity: RequestIdentity) -> str:
        """Return what to do with a request: "fetch", "wait", "fetched" or "dropped".

        "wait": a fetch under way will answer it. "fetched" or "dropped": an earlier fetch ended so.
        """
        key = identity.fetch_key
        if key in self._fetched:
            return "fetched"
        if key in self._dropped:
            return "dropped"
        waiting = self._waiting.setdefault(key, [])
        if not waiting:
            waiting.append(identity)
            return "fetch"
        waiting.append(identity)
        return "wait"

    def end(self, identity: RequestIdentity, outcome: str) -> list[RequestIdentity]:
        """Note that a fetch ended as "fetched", "dropped" or "failed".

        Returns the other requests that it answers.
        """
        if outcome == "fetched":
            self._fetched.add(identity.fetch_key)
        elif outcome == "dropped":
            self._dropped.add(identity.fetch_key)
        return self._waiting.pop(identity.fetch_key, [identity])[1:]
