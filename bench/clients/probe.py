"""Single measurements of asks_fast that are not rates: memory, TLS resumption.

Run as `probe.py NAME --url URL [--cafile FILE]`; prints one line of JSON with the figure.

Facts:  memory is what the process gained (resident pages), read before and after.
Implemented elsewhere: time.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import curio

import asks_fast

COUNT = 10_000
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of this process in memory now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def idle(url: str, cafile: str | None) -> float:
    """KiB that one of 10,000 idle pooled connections costs.

    Each is to an origin of its own and opened after the one before: nothing else is made on
    the way that would be counted, or would leave room that is not.
    """
    before_host, after_host = url.split("127.0.0.1")
    async with asks_fast.DSession(connections=COUNT + 10, idle_timeout=None) as session:
        await session.get(f"{url}/small")
        before = resident()
        for n in range(COUNT):
            host = f"127.1.{n // 250}.{n % 250}"
            await session.get(f"{before_host}{host}{after_host}/small")
        gained = resident() - before
        open_now = len(os.listdir("/proc/self/fd"))
        assert open_now >= COUNT, f"{open_now} descriptors open"
    return gained / 1024 / COUNT


async def crowd(one: Callable[[], Awaitable[object]]) -> tuple[list[curio.Task], float]:
    """Spawn tasks that wait; KiB that each of them took."""
    before = resident()
    tasks = [await curio.spawn(one) for _ in range(COUNT)]
    await curio.sleep(0.2)
    return tasks, (resident() - before) / 1024 / COUNT


async def plain(url: str, cafile: str | None) -> float:
    """KiB of a curio task that waits for an event, to compare with `waiting`."""
    event = curio.Event()

    async def wait() -> None:
        await event.wait()

    tasks, each = await crowd(wait)
    await event.set()
    for task in tasks:
        await task.join()
    return each


async def line(url: str, cafile: str | None) -> float:
    """KiB of a curio task whose request waits in line."""
    async with asks_fast.HSession(url, connections=1) as session:

        async def request() -> None:
            await session.get(path="/small")

        await request()
        held = await session.get(path="/small", stream=True)
        tasks, each = await crowd(request)
        async for _ in held.body:
            pass
        for task in tasks:
            await task.join()
    return each


async def stream(url: str, cafile: str | None) -> float:
    """The largest growth of the process in MiB while 1 GiB is streamed."""
    async with asks_fast.HSession(url, connections=1) as session:
        await session.get(path="/small")
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        total = 0
        async for chunk in (await session.get(path="/1g", stream=True)).body:
            total += len(chunk)
        assert total == 1 << 30, total
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


async def resumed(url: str, cafile: str | None) -> float:
    """The share of later TLS connections to one origin that resumed a session."""
    context = ssl.create_default_context(cafile=cafile)
    count = 20
    async with asks_fast.HSession(url, connections=1, ssl_context=context) as session:
        await session.get(path="/resumed")
        answers = [(await session.get(path="/resumed")).content for _ in range(count)]
    return answers.count(b"r") / count


PROBES = {
    "idle_kib": idle,
    "plain_kib": plain,
    "line_kib": line,
    "stream_mib": stream,
    "resumed": resumed,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("probe", choices=sorted(PROBES))
    parser.add_argument("--url", required=True)
    parser.add_argument("--cafile")
    args = parser.parse_args()
    print(json.dumps({args.probe: curio.run(PROBES[args.probe], args.url, args.cafile)}))


main()
