"""One workload for one client process: what to request, what is correct, how it is timed.

Shared by the harness and by every client script, so that all of them do the same work and are
measured in the same way. Standard library only: it is imported in environments with one
rival and nothing else.

Facts:  a script is `with_X.py --workload NAME --url URL --connections N --requests N` and prints
        one line of JSON. Connections are opened and warmed before the clock starts, except in
        the workload `example`, where the wall time of the whole program is measured.
Rules:  every response is checked: status and length always, each byte of the small ones; with
        `--check` each byte of all of them. A wrong response ends the script with an error.
Implemented elsewhere: making requests; the list of clients; rounds, medians, goals.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

SMALL = (
    b'{"id": 1234567, "name": "asks", "tags": ["curio", "cython", "http"], "ok": true, '
    b'"score": 98.6, "n": 42}'
)
KIB, MIB = 1024, 1024 * 1024
COMPARED = 4 * KIB  # bodies up to this size are compared byte by byte while the clock runs


def pattern(size: int) -> bytes:
    """`size` bytes with a period that is no power of two, so that a lost or repeated part shows."""
    unit = bytes((i * 7 + 13) % 251 for i in range(251))
    return unit * (size // 251) + unit[: size % 251]


def document() -> bytes:
    """A JSON document of about 10 KiB: a list of forty-six objects."""
    dice = random.Random(7)
    rows = [
        {
            "id": f"{dice.getrandbits(64):016x}",
            "name": f"item number {i}",
            "price": round(dice.random() * 1000, 2),
            "tags": [dice.choice(["alpha", "beta", "gamma", "delta"]), f"tag-{i % 7}"],
            "active": i % 3 == 0,
            "size": [dice.randrange(500), dice.randrange(500)],
            "note": "The quick brown fox jumps over the lazy dog, again and again.",
        }
        for i in range(46)
    ]
    return json.dumps({"total": len(rows), "items": rows}).encode()


@dataclass(frozen=True)
class Workload:
    """One kind of work. `size` is the body's length in bytes as the user gets it."""

    name: str
    title: str
    path: str
    size: int
    kind: str = "get"  # get, json, post, example, stream
    port: str = "http"  # http, tls (kept alive), tlsnew (the server closes after each answer)
    connections: int = 50
    origins: int = 0
    upload: int = 0

    @property
    def expected(self) -> bytes | None:
        """The right body, or None if it depends on the request (`example`)."""
        if self.kind == "example":
            return None
        if self.kind == "json":
            return document()
        if self.kind == "post":
            return b'{"received": %d}' % self.upload
        return SMALL if self.path in ("/small", "/varied") else pattern(self.size)


def _small(connections: int) -> Workload:
    plural = "s" if connections > 1 else ""
    return Workload(
        f"small-{connections}",
        f"small JSON, {connections:,} connection{plural}",
        "/small",
        len(SMALL),
        connections=connections,
    )


WORKLOADS = {
    w.name: w
    for w in (
        *(_small(n) for n in (1, 10, 50, 200, 1000, 10_000)),
        Workload("varied-50", "small JSON, a different head each time", "/varied", len(SMALL)),
        Workload(
            "origins-20", "small JSON, 20 origins, 50 connections", "/small", len(SMALL), origins=20
        ),
        Workload(
            "origins-200",
            "small JSON, 200 origins",
            "/small",
            len(SMALL),
            connections=200,
            origins=200,
        ),
        Workload(
            "origins-1000",
            "small JSON, 1,000 origins",
            "/small",
            len(SMALL),
            connections=1000,
            origins=1000,
        ),
        Workload("body-100k", "100 KiB bodies, 50 connections", "/100k", 100 * KIB),
        Workload("body-10m", "10 MiB bodies, 1 connection", "/10m", 10 * MIB, connections=1),
        Workload(
            "chunked-10m",
            "10 MiB in chunks of 16 KiB, 1 connection",
            "/chunked",
            10 * MIB,
            connections=1,
        ),
        Workload(
            "gzip-json", "gzip JSON of 10 KiB, 50 connections", "/gzip", len(document()), "json"
        ),
        Workload(
            "tls", "small JSON, TLS kept alive, 50 connections", "/small", len(SMALL), port="tls"
        ),
        Workload(
            "tls-new",
            "small JSON, a new TLS connection each, 10 at a time",
            "/small",
            len(SMALL),
            port="tlsnew",
            connections=10,
        ),
        Workload("post-1k", "POST of 1 KiB, 50 connections", "/post", 0, "post", upload=KIB),
        Workload(
            "post-10m",
            "POST of 10 MiB, 1 connection",
            "/upload",
            0,
            "post",
            connections=1,
            upload=10 * MIB,
        ),
        Workload(
            "example",
            "the documented example: 10,000 tasks, 50 connections",
            "/asks/test",
            0,
            "example",
        ),
        Workload(
            "stream",
            "64 MiB streamed to disk, 1 connection",
            "/64m",
            64 * MIB,
            "stream",
            connections=1,
        ),
    )
}


class WrongResponse(Exception):
    """A response was wrong, so the figure would be worthless."""


class Job:
    """The work of this process, from its command line.

    `url` is the first URL; `base` its scheme and authority, `path` the rest. Origins are
    numbered upwards from 127.0.0.1 on the port of the URL.
    """

    def __init__(self, argv: list[str] | None = None) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--workload", required=True, choices=sorted(WORKLOADS))
        parser.add_argument("--url", required=True, help="scheme and authority of the server")
        parser.add_argument("--connections", type=int)
        parser.add_argument("--requests", type=int, required=True)
        parser.add_argument("--cafile", help="certificate authority to trust, PEM")
        parser.add_argument("--scratch", default=".", help="folder for files written")
        parser.add_argument("--check", action="store_true", help="compare each byte")
        args = parser.parse_args(argv)
        self.work = WORKLOADS[args.workload]
        self.base: str = args.url.rstrip("/")
        self.path = self.work.path
        self.url = self.base + self.path
        self.kind = self.work.kind
        self.connections: int = args.connections or self.work.connections
        self.requests: int = args.requests
        self.cafile: str | None = args.cafile
        self.file = os.path.join(args.scratch, f"bench-{os.getpid()}.bin")
        self.upload = pattern(self.work.upload)
        self.size = self.work.size
        if self.kind == "post":
            self.size = len(self.work.expected or b"")
        # A long right answer is only made to be compared: it would spoil the memory figure.
        self.expected = self.work.expected if args.check or self.size <= COMPARED else None
        self.checking: bool = args.check
        if args.check or self.size <= COMPARED:
            self.good = self._good_bytes
        else:
            self.good = self._good_size
        self._figures: dict[str, object] = {}

    def origin(self, n: int) -> str:
        """Scheme and authority of the n-th origin (the same for all n without origins)."""
        if not self.work.origins:
            return self.base
        n %= self.work.origins
        return self.base.replace("127.0.0.1", f"127.0.{n // 250}.{n % 250 + 1}")

    def _good_size(self, status: int, body: bytes) -> None:
        if status != 200 or len(body) != self.size:
            raise WrongResponse(f"status {status}, {len(body)} bytes, expected 200, {self.size}")

    def _good_bytes(self, status: int, body: bytes) -> None:
        if status != 200 or body != self.expected:
            raise WrongResponse(f"status {status}, {len(body)} bytes: {bytes(body[:80])!r}")

    def check_echo(self, n: int, status: int, body: bytes) -> None:
        """Check the response to request `n` of the example: it must contain that number."""
        if status != 200 or body != b'{"n": %d}' % n:
            raise WrongResponse(f"status {status} for number {n}: {bytes(body[:80])!r}")

    def check_json(self, status: int, document: dict[str, object]) -> None:
        """Check a parsed JSON document (all of it with `--check`)."""
        if status != 200 or document["total"] != 46:
            raise WrongResponse(f"status {status}, not the document")
        if self.checking and document != json.loads(self.expected or b""):
            raise WrongResponse("not the document")

    def check_file(self, status: int) -> None:
        """Check the file that was streamed to disk."""
        size = os.path.getsize(self.file)
        if status != 200 or size != self.size:
            raise WrongResponse(f"status {status}, {size} bytes on disk, expected {self.size}")
        if self.checking:
            with open(self.file, "rb") as file:
                if file.read() != self.expected:
                    raise WrongResponse("the file on disk differs from the body")

    def warm_up(self) -> Iterator[int]:
        """Numbers for a first, untimed pass that opens every connection."""
        return iter(range(max(self.connections, 2)))

    def numbers(self) -> Iterator[int]:
        """Numbers of the timed requests, shared by all workers."""
        return iter(range(self.requests))

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Wall clock and CPU time (all threads) of the block."""
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF)
        self._figures = {
            "seconds": seconds,
            "cpu_user": after.ru_utime - before.ru_utime,
            "cpu_system": after.ru_stime - before.ru_stime,
        }

    def report(self, client: str, *distributions: str, **more: object) -> None:
        """Print the line of JSON. `distributions` are named with the versions installed."""
        from importlib.metadata import version

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with contextlib.suppress(OSError):
            os.unlink(self.file)
        print(
            json.dumps(
                {
                    "client": client,
                    "workload": self.work.name,
                    "connections": self.connections,
                    "requests": self.requests,
                    **self._figures,
                    "peak_rss_kib": peak if sys.platform == "linux" else peak // 1024,
                    "versions": {name: version(name) for name in distributions},
                    "python": sys.version.split()[0],
                    **more,
                }
            )
        )


def gzipped_document() -> bytes:
    """The document as the server sends it."""
    return gzip.compress(document(), 6, mtime=0)
