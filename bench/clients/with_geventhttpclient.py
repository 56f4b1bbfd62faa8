"""geventhttpclient: its HTTPClient with as many connections as greenlets.

Long bodies are read with a block size of 64 KiB: the default of 4 KiB would be unfair to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import gevent.pool
from geventhttpclient import HTTPClient
from job import MIB, Job


def client_for(job: Job, k: int, concurrency: int) -> HTTPClient:
    options: dict[str, Any] = {"ssl_options": {"ca_certs": job.cafile}} if job.cafile else {}
    if job.size >= MIB:
        options["block_size"] = 65536
    return HTTPClient.from_url(
        job.origin(k), concurrency=concurrency, connection_timeout=60, network_timeout=60, **options
    )


def work(job: Job, client: HTTPClient, numbers: Iterator[int]) -> None:
    """One greenlet that requests as long as there are numbers."""
    path, good = job.path, job.good
    if job.kind == "json":
        import gzip
        import json

        for _ in numbers:
            r = client.get(path, headers={"Accept-Encoding": "gzip"})
            job.check_json(r.status_code, json.loads(gzip.decompress(r.read())))
    elif job.kind == "post":
        for _ in numbers:
            r = client.post(path, body=job.upload)
            good(r.status_code, r.read())
    elif job.kind == "stream":
        for _ in numbers:
            r = client.get(path)
            with open(job.file, "wb") as file:
                while chunk := r.read(65536):
                    file.write(chunk)
            job.check_file(r.status_code)
    else:
        for _ in numbers:
            r = client.get(path)
            good(r.status_code, r.read())


def run(job: Job) -> None:
    if job.kind == "example":
        client = client_for(job, 0, job.connections)

        def one(n: int) -> None:
            r = client.get(f"{job.path}/{n}")
            job.check_echo(n, r.status_code, r.read())

        with job.timed():
            gevent.joinall([gevent.spawn(one, n) for n in job.numbers()], raise_error=True)
        return
    origins = job.work.origins or 1
    clients = [client_for(job, k, -(-job.connections // origins)) for k in range(origins)]

    def crowd(numbers: Iterator[int]) -> None:
        gevent.joinall(
            [
                gevent.spawn(work, job, clients[k % origins], numbers)
                for k in range(job.connections)
            ],
            raise_error=True,
        )

    crowd(job.warm_up())
    with job.timed():
        crowd(job.numbers())


def main() -> None:
    job = Job()
    run(job)
    job.report("geventhttpclient", "geventhttpclient", "gevent")


main()
