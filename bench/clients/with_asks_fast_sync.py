"""asks_fast.sync: blocking calls in one thread, or one session in each of several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from job import Job

import asks_fast
from asks_fast import sync

local = threading.local()


def session(job: Job) -> sync.DSession:
    """The session of this thread."""
    if not hasattr(local, "session"):
        options: dict[str, Any] = {}
        if job.cafile:
            import ssl

            options["ssl_context"] = ssl.create_default_context(cafile=job.cafile)
        local.session = sync.DSession(connections=1, **options)
    return local.session  # type: ignore[no-any-return]


def work(job: Job, numbers: Iterator[int], k: int, ready: threading.Barrier) -> None:
    """One thread that requests as long as there are numbers."""
    ready.wait()
    s, url, good = session(job), job.origin(k) + job.path, job.good
    for _ in numbers:
        if job.kind == "json":
            r = s.get(url)
            job.check_json(r.status_code, r.json())
        elif job.kind == "post":
            r = s.post(url, data=job.upload)
            good(r.status_code, r.content)
        elif job.kind == "stream":
            with s.get(url, stream=True) as streamed, open(job.file, "wb") as file:
                for chunk in streamed.body:
                    file.write(chunk)
            job.check_file(streamed.status_code)
        else:
            r = s.get(url)
            good(r.status_code, r.content)


def close() -> None:
    """End the session of this thread."""
    if hasattr(local, "session"):
        local.session.close()


def run(job: Job) -> None:
    """Each pass uses every thread once, so that all have their connection."""
    ready = threading.Barrier(job.connections)
    with ThreadPoolExecutor(job.connections) as pool:

        def crowd(numbers: Iterator[int]) -> None:
            list(pool.map(lambda k: work(job, numbers, k, ready), range(job.connections)))

        crowd(job.warm_up())
        with job.timed():
            crowd(job.numbers())

        def leave(_k: int) -> None:
            ready.wait()
            close()

        list(pool.map(leave, range(job.connections)))


def main() -> None:
    job = Job()
    run(job)
    job.report("asks_fast_sync", "httptools", version=asks_fast.__version__)


main()
