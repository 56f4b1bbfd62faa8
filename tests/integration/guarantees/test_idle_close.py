"""A server closes idle connections at the moment of their reuse, thousands of times.

Facts:  the server promises keep-alive, answers, and closes at once or a moment later: so its FIN
        comes before, while or after the next request goes out. `ASKS_FAST_ROUNDS=10000` makes the
        long run of it.
Rules:  what may be sent again is answered, each with its own answer, and the server saw it at most
        twice; a POST is answered or fails, and the server never saw it twice.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable

import curio
import pytest
from support.scripted_server import Peer, PeerConnection

from asks_fast import HSession
from asks_fast.errors import ServerClosedConnectionError

ROUNDS = int(os.environ.get("ASKS_FAST_ROUNDS", "600"))
TASKS = 3


class Closing:
    """The conduct of the server, and what it received."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.dice = random.Random(6)

    def __call__(self, connection: PeerConnection) -> None:
        """Send some responses, each with the target of its request, then close."""
        for _ in range(self.dice.choice((1, 1, 2, 5))):
            request = connection.take_head()
            connection.take_body(request)
            self.seen[request.target] += 1
            target = request.target.encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target)
            connection.put(head + target)
        time.sleep(self.dice.choice((0.0, 0.0, 0.0001, 0.0005)))
        connection.sock.close()


@pytest.mark.timeout(60 + ROUNDS // 10)
async def test_idle_close(peer: Callable[..., Peer]) -> None:
    """No repeatable request is lost, and no other request is sent twice."""
    closing = Closing()
    server = peer([closing], backlog=1024)
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []

    async def ask(session: HSession, number: int) -> None:
        method = "POST" if number % 3 == 0 else "GET"
        try:
            r = await session.request(
                method, path=f"/{number}", data=b"x" if number % 3 == 0 else None
            )
        except ServerClosedConnectionError as error:
            outcomes[f"{method} failed"] += 1
            if method == "GET" or not error.is_stale:
                wrong.append(f"{number}: {error!r}")
        else:
            outcomes[f"{method} answered"] += 1
            if r.text != f"/{number}":
                wrong.append(f"{number}: answered {r.text}")

    async def work(session: HSession, first: int) -> None:
        for number in range(first, ROUNDS, TASKS):
            await ask(session, number)

    async with HSession(server.url, connections=TASKS) as session:
        async with curio.TaskGroup() as group:
            for first in range(TASKS):
                await group.spawn(work, session, first)
        stats = session.pool_stats()
    print(ROUNDS, dict(outcomes), stats)
    assert wrong == []
    assert stats["in_use"] == stats["waiting"] == stats["opening"] == 0
    for number in range(ROUNDS):
        assert closing.seen[f"/{number}"] <= (1 if number % 3 == 0 else 2)
