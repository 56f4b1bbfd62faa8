"""Measure what each kind of request costs, relative to a plain `get` of the same run.

Facts:  the figure is the CPU time of this process per request, on kept connections, with as many
        tasks as connections. nginx runs on another core and answers from memory.
Rules:  the kinds take turns, so a busy moment of the machine meets all of them. A ratio is
        the median over the rounds of (kind / plain `get` of the same round). Every status is
        checked.
Implemented elsewhere: other clients (bench.compare).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import curio

import asks_fast

from .compare.servers import Server, nginx, prepare

Call = Callable[[Any], Awaitable[Any]]
CONNECTIONS = 50


def get(**options: Any) -> Call:
    """A GET of the small document with these options."""
    return lambda session: session.get(path="/small", **options)


def get_path(path: str) -> Call:
    """A plain GET of another document."""
    return lambda session: session.get(path=path)


async def get_json(session: Any) -> Any:
    """Parse the small document."""
    response = await session.get(path="/small")
    response.json()
    return response


async def get_text(session: Any) -> Any:
    """Decompress and decode a page."""
    response = await session.get(path="/page")
    assert len(response.text) > 10_000
    return response


async def get_stream(session: Any) -> Any:
    """Read a streamed body to its end."""
    response = await session.get(path="/small", stream=True)
    async for _ in response.body:
        pass
    return response


def ignore_event(event: Any) -> None:
    """Take an event and do nothing."""


@dataclass(frozen=True)
class Kind:
    """One kind of request: its goal, how to call it, and how its session differs."""

    name: str
    goal: float | None
    call: Call | None  # None: `session.map`
    session: dict[str, Any] = field(default_factory=dict)
    port: str = "http"
    cookies: int = 0
    log: bool = False
    proxy: bool = False


KINDS = (
    Kind("plain get", None, get()),
    Kind("headers=", 1.3, get(headers={"X-Call": "1"})),
    Kind("params=", 1.3, get(params={"q": "1"})),
    Kind("timeout=", 1.1, get(timeout=60)),
    Kind("retries=", 1.1, get(retries=1)),
    Kind("max_body=", 1.1, get(max_body=1 << 20)),
    Kind("decompress=", 1.1, get(decompress=True)),
    Kind("encoding=", 1.1, get(encoding="utf-8")),
    Kind("a default spelled out", 1.1, get(max_redirects=20)),
    Kind("follow_redirects=False", 1.1, get(follow_redirects=False)),
    Kind("Basic auth of the session", 1.15, get(), {"auth": ("user", "password")}),
    Kind("Basic auth of the call", 1.15, get(auth=("user", "password"))),
    Kind("Bearer auth of the session", 1.15, get(), {"auth": asks_fast.BearerAuth("token")}),
    Kind(
        "Digest, known nonce", 2.5, get_path("/digest"), {"auth": asks_fast.DigestAuth(("u", "p"))}
    ),
    Kind("cookie jar, empty", 1.1, get(), {"persist_cookies": True}),
    Kind("cookie jar, 3 cookies", 1.4, get(), {"persist_cookies": True}, cookies=3),
    Kind("cookie jar, every answer sets", 2.5, get_path("/cookie"), {"persist_cookies": True}),
    Kind("cookies=", 1.4, get(cookies={"session": "abc"})),
    Kind("one redirect", 2.6, get_path("/redirect")),
    Kind("stream=True", 1.7, get_stream),
    Kind("on_event=", 2.0, get(on_event=ignore_event)),
    Kind("DEBUG logging", 2.0, get(), log=True),
    Kind("POST json=", 1.7, lambda session: session.post(path="/post", json={"a": 1, "b": "two"})),
    Kind("POST form", 1.7, lambda session: session.post(path="/post", data={"a": 1, "b": "two"})),
    Kind("small body, .json()", 1.4, get_json),
    Kind("13 KB page in gzip, .text", 2.5, get_text),
    Kind("session.map", 1.25, None),
    Kind("forward proxy", 1.5, get(), proxy=True),
    Kind("HTTPS", 1.6, get(), port="tls"),
)


class Discard(logging.Handler):
    """Take records and do nothing, so that only their making is measured."""

    def emit(self, record: logging.LogRecord) -> None:
        """Drop the record."""


async def crowd(session: Any, call: Call, requests: int) -> None:
    """Send the requests from as many tasks as there are connections."""
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            response = await call(session)
            assert response.status_code == 200, response

    async with curio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            await group.spawn(worker)
    for error in group.exceptions:
        if error is not None:
            raise error


async def send_all(session: Any, kind: Kind, requests: int) -> None:
    """Send the requests of one kind."""
    if kind.call is not None:
        await crowd(session, kind.call, requests)
        return
    async for result in session.map("/small" for _ in range(requests)):
        assert result.response.status_code == 200


def make_session(kind: Kind, server: Server) -> Any:
    """The session that a kind needs."""
    options = dict(kind.session)
    if kind.port == "tls":
        options["verify"] = str(server.cafile)
    if kind.proxy:
        options["proxy"] = server.url("http")
    session = asks_fast.HSession(server.url(kind.port), connections=CONNECTIONS, **options)
    for n in range(kind.cookies):
        session.cookie_tracker_obj.set(f"name{n}", f"value-{n}", domain="127.0.0.1")
    return session


async def measure(
    server: Server, kinds: tuple[Kind, ...], rounds: int, requests: int
) -> dict[str, list[float]]:
    """Microseconds of CPU time per request, by kind: one figure per round."""
    sessions = {kind.name: make_session(kind, server) for kind in kinds}
    figures: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    logger = logging.getLogger("asks_fast")
    try:
        for number in range(-1, rounds):
            for kind in kinds:
                logger.setLevel(logging.DEBUG if kind.log else logging.WARNING)
                session = sessions[kind.name]
                await send_all(session, kind, min(requests, 2 * CONNECTIONS))
                count = requests if number >= 0 else CONNECTIONS
                before = time.process_time()
                await send_all(session, kind, count)
                if number >= 0:
                    figures[kind.name].append((time.process_time() - before) / count * 1e6)
    finally:
        logger.setLevel(logging.NOTSET)
        for session in sessions.values():
            await session.close()
    return figures


def table(figures: dict[str, list[float]], kinds: tuple[Kind, ...]) -> str:
    """The figures as a Markdown table."""
    plain = figures[KINDS[0].name]
    lines = [
        f"Plain get: {statistics.median(plain):.1f} µs of CPU time per request",
        "",
        "| kind | relative to plain get | spread | goal | |",
        "|---|--:|--:|--:|---|",
    ]
    for kind in kinds:
        ratios = [one / base for one, base in zip(figures[kind.name], plain, strict=True)]
        middle = statistics.median(ratios)
        goal = "" if kind.goal is None else f"{kind.goal:g}"
        verdict = "" if kind.goal is None else "ok" if middle <= kind.goal else "missed"
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        lines.append(f"| {kind.name} | {middle:.2f} | {spread} | {goal} | {verdict} |")
    return "\n".join(lines)


def chosen(words: str) -> tuple[Kind, ...]:
    """The kinds whose name has one of the words; the plain get is always one of them."""
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    return tuple(
        kind
        for kind in KINDS
        if kind is KINDS[0] or not wanted or any(word in kind.name for word in wanted)
    )


def write_pages(root: Path) -> None:
    """The compressed page that nginx serves."""
    import gzip
    import random

    dice = random.Random(3)
    words = ["request", "answer", "pool", "socket", "header", "cookie", "kernel", "task"]
    text = "".join(f"<p>{dice.choice(words)} {dice.getrandbits(32):x}</p>\n" for _ in range(620))
    (root / "files" / "page.gz").write_bytes(gzip.compress(text.encode()[: 13 * 1024]))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.request_kinds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3000, help="per kind and round")
    parser.add_argument("--kinds", default="", help="parts of names, separated by commas")
    parser.add_argument("--curio", action="store_true", help="on curio.run, not asks_fast.run")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args(arguments)
    kinds = chosen(given.kinds)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    log = logging.getLogger("asks_fast")
    log.addHandler(Discard())
    log.propagate = False
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepare(root, long_bodies=False)
        write_pages(root)
        with nginx(root, cores[-1] if len(cores) > 1 else None) as server:
            if len(cores) > 1:
                os.sched_setaffinity(0, {cores[0]})
            run = curio.run if given.curio else asks_fast.run
            figures = run(measure, server, kinds, given.rounds, given.requests)
    print(table(figures, kinds))
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
