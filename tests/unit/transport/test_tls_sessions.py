"""When a TLS session is stored, resumed and replaced, without a network."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from asks_fast._transport import tls
from asks_fast._transport.tls import SessionCache


@dataclass(eq=False)
class Session:
    """A session as a server may send it."""

    has_ticket: bool = True
    id: bytes = b""


@dataclass(eq=False)
class Connection:
    """A connection that ends, which counts how often its session is copied."""

    session_reused: bool
    _session: Session | None = field(default_factory=Session)
    copies: int = 0

    @property
    def session(self) -> Session | None:
        """A copy."""
        self.copies += 1
        return self._session


@pytest.fixture
def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Clock:
    """The time that the cache sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(tls.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def connect(
    sessions: SessionCache, context: ssl.SSLContext, *, is_accepted: bool = True
) -> Connection:
    """A connection from beginning to end; the server accepts the offered session, or not."""
    offered = sessions.find("route", context)
    connection = Connection(offered is not None and is_accepted)
    sessions.save("route", context, offered, cast(Any, connection))
    return connection


def test_a_resumed_session_is_kept_for_some_seconds(context: ssl.SSLContext, clock: Clock) -> None:
    """A session is copied once, resumed again and again, and replaced when its time is over."""
    sessions = SessionCache(renew_after=10.0)
    assert connect(sessions, context).copies == 1
    first = sessions.find("route", context)
    assert first is not None
    clock.now += 9.9
    assert [connect(sessions, context).copies for _ in range(5)] == [0] * 5
    assert sessions.find("route", context) is first
    clock.now += 0.2
    assert [connect(sessions, context).copies for _ in range(3)] == [1, 0, 0]
    assert sessions.find("route", context) is not first


def test_a_rejected_session_is_replaced(context: ssl.SSLContext, clock: Clock) -> None:
    """A server that does not know a session any more gets the session it sent instead."""
    sessions = SessionCache()
    connect(sessions, context)
    first = sessions.find("route", context)
    assert connect(sessions, context, is_accepted=False).copies == 1
    assert sessions.find("route", context) is not first
    assert connect(sessions, context).copies == 0


def test_a_server_that_accepts_each_session_once(context: ssl.SSLContext, clock: Clock) -> None:
    """After it rejected a session that it had accepted, each connection brings a new one."""
    sessions = SessionCache()
    accepted = set[Any]()
    resumed = []
    for _ in range(8):
        offered = sessions.find("route", context)
        is_accepted = offered not in accepted
        accepted.add(offered)
        resumed.append(connect(sessions, context, is_accepted=is_accepted).session_reused)
    assert resumed == [False, True, False, True, True, True, True, True]


def test_an_old_session_may_be_rejected(context: ssl.SSLContext, clock: Clock) -> None:
    """A server that has started again rejects an old session; that says nothing of new ones."""
    sessions = SessionCache(renew_after=10.0)
    assert [connect(sessions, context).copies for _ in range(3)] == [1, 0, 0]
    clock.now += 10.1
    assert connect(sessions, context, is_accepted=False).copies == 1
    assert [connect(sessions, context).copies for _ in range(3)] == [0, 0, 0]


def test_the_session_of_another_context_is_replaced(context: ssl.SSLContext, clock: Clock) -> None:
    """A session is never offered by another context than its own, and does not protect itself."""
    sessions = SessionCache()
    connect(sessions, context)
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert sessions.find("route", other) is None
    assert connect(sessions, other).copies == 1
    assert sessions.find("route", context) is None
    assert sessions.find("route", other) is not None


def test_the_oldest_session_is_removed(context: ssl.SSLContext) -> None:
    """No more than `size` sessions are kept, and none without a ticket or an identifier."""
    sessions = SessionCache(size=2)
    for key in ("a", "b", "c"):
        sessions.save(key, context, None, cast(Any, Connection(False)))
    assert [sessions.find(key, context) is not None for key in ("a", "b", "c")] == [0, 1, 1]
    for worthless in (None, Session(has_ticket=False)):
        sessions.save("d", context, None, cast(Any, Connection(False, worthless)))
    assert sessions.find("d", context) is None
    assert len(sessions) == 2
