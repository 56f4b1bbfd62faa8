"""A program that runs out of descriptors: `python few_descriptors.py URL`, for test_faults."""

from __future__ import annotations

import os
import resource
import sys
from collections import Counter

import curio

from asks_fast import DSession
from asks_fast.errors import ConnectionFailed

ROOM = 12  # descriptors that a session of 40 connections is left


async def ask(session: DSession, url: str, body: bytes | None) -> str:
    try:
        r = await session.post(url, data=body) if body else await session.get(url)
    except ConnectionFailed:
        return "refused"
    return str(r.status_code)


async def crowd(session: DSession, url: str, body: bytes | None = None) -> Counter[str]:
    async with curio.TaskGroup() as group:
        for _ in range(80):
            await group.spawn(ask, session, url, body)
    return Counter(group.results)


async def main(url: str) -> None:
    big = bytes(4_000_000)
    async with DSession(connections=40) as session:
        await ask(session, url, big)  # what is loaded when first used is loaded
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + ROOM, hard))
        few = await crowd(session, url)
        few_uploads = await crowd(session, url, big)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        many = await crowd(session, url)
        stats = session.pool_stats()
    assert set(few) | set(few_uploads) <= {"200", "refused"}, (few, few_uploads)
    assert few["200"], few
    assert few["refused"], few
    assert few_uploads["200"], few_uploads
    assert many == {"200": 80}, many
    assert stats["in_use"] == stats["waiting"] == stats["opening"] == 0, stats
    print("fine", dict(few), dict(few_uploads))


if __name__ == "__main__":
    curio.run(main, sys.argv[1])
