"""requests: threads with a Session each, since a Session is not documented as thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import requests
from job import Job

local = threading.local()


def session(job: Job) -> requests.Session:
    """The session of this thread."""
    try:
        return local.session
    except AttributeError:
        local.session = requests.Session()
        if job.cafile:
            local.session.verify = job.cafile
        return local.session


def work(job: Job, numbers: Iterator[int], k: int, ready: threading.Barrier) -> None:
    """One thread that requests as long as there are numbers."""
    ready.wait()
    s, url, good = session(job), job.origin(k) + job.path, job.good
    if job.kind == "json":
        for _ in numbers:
            r = s.get(url)
            job.check_json(r.status_code, r.json())
    elif job.kind == "post":
        for _ in numbers:
            r = s.post(url, data=job.upload)
            good(r.status_code, r.content)
    elif job.kind == "stream":
        for _ in numbers:
            with s.get(url, stream=True) as r, open(job.file, "wb") as file:
                for chunk in r.iter_content(65536):
                    file.write(chunk)
            job.check_file(r.status_code)
    else:
        for _ in numbers:
            r = s.get(url)
            good(r.status_code, r.content)


def run(job: Job) -> None:
    if job.kind == "example":

        def one(n: int) -> None:
            r = session(job).get(f"{job.url}/{n}")
            job.check_echo(n, r.status_code, r.content)

        with job.timed(), ThreadPoolExecutor(job.connections) as pool:
            list(pool.map(one, job.numbers()))
        return
    # The barrier makes each pass use every thread once, so that all have their connection.
    ready = threading.Barrier(job.connections)
    with ThreadPoolExecutor(job.connections) as pool:

        def crowd(numbers: Iterator[int]) -> None:
            tasks = [pool.submit(work, job, numbers, k, ready) for k in range(job.connections)]
            for task in tasks:
                task.result()

        crowd(job.warm_up())
        with job.timed():
            crowd(job.numbers())


def main() -> None:
    job = Job()
    run(job)
    job.report("requests", "requests", "urllib3")


main()
