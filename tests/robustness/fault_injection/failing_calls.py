"""A program whose system calls fail: `python failing_calls.py URL KERNEL [CA]`, for test_faults.

failing_calls.c, loaded by LD_PRELOAD, makes every n-th call on TCP sockets fail. Interrupted calls,
spurious readiness and partial reads and writes are legal, so every request must succeed all the
same. Without memory or descriptors a request may fail. A response is correct to the last byte, or
the request ends with a `ConnectivityError`. Nothing hangs, and afterwards nothing is left open.
"""

from __future__ import annotations

import ctypes
import errno
import os
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import curio

import asks_fast
from asks_fast.cli.demo_app import pattern
from asks_fast.errors import ConnectivityError
from asks_fast.testing import Routes, serve

SHORT = -1
KINDS, ROUNDS, TASKS = 7, 2, 5  # each task makes so many rounds of each kind of request
LONG = 300_000  # bytes
TIMEOUT = 60.0  # seconds: nothing here takes so long, if it does not hang

# The system may do this to anybody at any time: call, error, of how many calls, how many.
HARMLESS = {
    "interrupted recv": [("recv", errno.EINTR, 2, 1)],
    "interrupted send": [("send", errno.EINTR, 2, 1)],
    "interrupted connect": [("connect", errno.EINTR, 2, 1)],
    "interrupted wait": [("epoll_wait", errno.EINTR, 2, 1)],
    "nothing there after all": [("recv", errno.EAGAIN, 5, 3)],
    "no room after all": [("send", errno.EAGAIN, 5, 3)],
    "short recv": [("recv", SHORT, 1, 1)],
    "short send": [("send", SHORT, 1, 1)],
    "all of these": [
        ("recv", errno.EINTR, 7, 1),
        ("recv", errno.EAGAIN, 5, 2),
        ("recv", SHORT, 1, 1),
        ("send", errno.EINTR, 7, 1),
        ("send", errno.EAGAIN, 5, 2),
        ("send", SHORT, 1, 1),
        ("connect", errno.EINTR, 2, 1),
        ("epoll_wait", errno.EINTR, 3, 1),
    ],
}
# And this when it is short of something.
HARMFUL = {
    f"{call} {errno.errorcode[code]}": [(call, code, every, 1)]
    for call, code, every in (
        ("send", errno.ENOBUFS, 17),
        ("send", errno.ENOMEM, 17),
        ("send", errno.EPIPE, 17),
        ("recv", errno.ENOMEM, 17),
        ("recv", errno.ENOBUFS, 17),
        ("recv", errno.ECONNRESET, 17),
        ("socket", errno.EMFILE, 2),
        ("socket", errno.ENFILE, 2),
        ("socket", errno.ENOBUFS, 2),
        ("socket", errno.ENOMEM, 2),
        ("connect", errno.ENOBUFS, 3),
        ("connect", errno.EADDRNOTAVAIL, 3),
        ("connect", errno.EAGAIN, 3),
    )
}
# Ours survives this, curio's own kernel ends by it.
UNWATCHED = {
    "epoll_ctl ENOMEM": [("epoll_ctl", errno.ENOMEM, 5, 1)],
    "epoll_ctl ENOSPC": [("epoll_ctl", errno.ENOSPC, 5, 1)],
}

shim = ctypes.CDLL(None)


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 30_000):
        yield data[start : start + 30_000]


async def read_all(response: Any) -> bytes:
    async with response.body as body:
        return b"".join([piece async for piece in body])


class Trial:
    """One session, and the outcomes of its requests."""

    def __init__(self, session: Any, url: str) -> None:
        self.session, self.url = session, url
        self.right: list[bytes] = []  # the answers to the kinds of requests, when nothing fails
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def ask(self, kind: int) -> bytes:
        """The response to one request."""
        get, post, url = self.session.get, self.session.post, self.url
        long = pattern(LONG)
        if kind == 0:
            r = await get(f"{url}/bytes/100")
        elif kind == 1:
            r = await get(f"{url}/bytes/{LONG}", timeout=TIMEOUT)
        elif kind == 2:
            r = await get(f"{url}/chunked?n=40&size=5000", headers={"A": "b"})
        elif kind == 3:
            r = await post(f"{url}/echo", data=long[:5000])
        elif kind == 4:
            r = await post(f"{url}/echo", data=long)
        elif kind == 5:
            r = await post(f"{url}/echo", data=in_pieces(long))
        else:
            return await read_all(await get(f"{url}/bytes/{LONG}", stream=True))
        return bytes(r.content)

    async def on_response(self) -> None:
        self.right = [await self.ask(kind) for kind in range(KINDS)]
        assert self.right[5] == self.right[6] == pattern(LONG)

    async def work(self, what: str) -> None:
        for kind in list(range(KINDS)) * ROUNDS:
            try:
                found = await self.ask(kind)
            except ConnectivityError as error:
                self.outcomes[type(error).__name__] += 1
                if isinstance(error, TimeoutError):
                    self.wrong.append(f"{what}: {error}")
            except Exception as error:
                self.wrong.append(f"{what}: kind {kind}: {error!r}")
            else:
                self.outcomes["answered"] += 1
                if found != self.right[kind]:
                    self.wrong.append(f"{what}: kind {kind}: {len(found)} bytes")

    async def run(self, what: str, faults: list[tuple[str, int, int, int]]) -> None:
        """Send all requests while these faults happen, then check for leaks."""
        self.outcomes.clear()
        for call, code, every, burst in faults:
            shim.fault(call.encode(), code, every, burst)
        try:
            async with curio.TaskGroup() as group:
                for _ in range(TASKS):
                    await group.spawn(self.work, what)
        finally:
            made = shim.no_faults()
        print(f"{what}: {made} calls, {dict(self.outcomes)}", flush=True)
        if made == 0:
            self.wrong.append(f"{what}: no call failed")
        if self.outcomes["answered"] == 0 or (what in HARMLESS and len(self.outcomes) > 1):
            self.wrong.append(f"{what}: {dict(self.outcomes)}")
        stats = self.session.pool_stats()
        if stats["in_use"] or stats["waiting"] or stats["opening"]:
            self.wrong.append(f"{what}: {stats}")


async def accepted(trial: Trial, code: int) -> None:
    """Whether the server of `asks_fast.testing` survived connections that it could not accept."""
    routes = Routes()
    routes.get("/", "ok")
    with serve(routes) as server:
        shim.fault(b"accept", code, 2, 1)
        async with asks_fast.DSession(max_requests_per_connection=1) as session:
            for _ in range(10):
                answer = await session.get(server.url, read_timeout=TIMEOUT)
                if answer.text != "ok":
                    trial.wrong.append(f"accept {code}: {answer.text}")
        if shim.no_faults() == 0:
            trial.wrong.append(f"accept {code}: no call failed")


async def main(url: str, more: dict[str, Any], context: ssl.SSLContext | None) -> list[str]:
    # Few requests to a connection, so that many connections are made.
    session = asks_fast.DSession(
        connections=3,
        max_requests_per_connection=5,
        ssl_context=context,
        read_timeout=TIMEOUT,
        write_timeout=TIMEOUT,
    )
    async with session:
        trial = Trial(session, url)
        await trial.on_response()
        before = len(os.listdir("/proc/self/fd")) - session.pool_stats()["open"]
        for what, faults in {**HARMLESS, **HARMFUL, **more}.items():
            await trial.run(what, faults)
        await trial.on_response()
        after = len(os.listdir("/proc/self/fd")) - session.pool_stats()["open"]
    for code in (errno.EINTR, errno.EMFILE, errno.ECONNABORTED, errno.ENOMEM):
        await accepted(trial, code)
    if after > before:
        trial.wrong.append(f"{before} descriptors before, {after} after")
    return trial.wrong


if __name__ == "__main__":
    context = ssl.create_default_context(cafile=sys.argv[3]) if len(sys.argv) > 3 else None
    run, more = (asks_fast.run, UNWATCHED) if sys.argv[2] == "own" else (curio.run, {})
    wrong = run(main, sys.argv[1], more, context)
    for one in wrong[:40]:
        print("WRONG", one)
    print("bad" if wrong else "fine")
