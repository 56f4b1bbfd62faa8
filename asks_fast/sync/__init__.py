"""Blocking requests, for programs without an event loop.

    from asks_fast import sync

    with sync.HSession("https://example.org", connections=10) as session:
        print(session.get(path="/").text)
        for result in session.map(f"/items/{n}" for n in range(1000)):
            print(result.key, result.response)

Sessions, functions and arguments are those of `asks_fast`. Each call returns what the coroutine of
the same name returns, and raises the same errors.

Facts:  each thread has its own kernel, which runs only during a call. Between two calls nothing
        happens: idle connections are not closed, and `map` makes no progress.
Rules:  a session belongs to one thread (`WrongThread`). In a thread with a running event loop a
        call raises RuntimeError.
Implemented elsewhere: sessions (`_sessions`), one-shot functions (`_functions`), streamed responses
and iterators (`_streams`), the kernel of a thread (`_guest.blocking`).
"""

from __future__ import annotations

from ..response_objects import Response
from ._functions import delete, get, head, options, patch, post, put, request
from ._sessions import DSession, HSession, Session
from ._streams import Body, Events, Results, StreamResponse

__all__ = [
    "Body",
    "DSession",
    "Events",
    "HSession",
    "Response",
    "Results",
    "Session",
    "StreamResponse",
    "delete",
    "get",
    "head",
    "options",
    "patch",
    "post",
    "put",
    "request",
]

for _name in set(__all__) - {"Response"}:  # `repr` and pickles name the module that programs import
    globals()[_name].__module__ = __name__
