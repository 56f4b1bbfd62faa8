"""pycurl: one CurlMulti, one Curl handle per connection, each handle used again and again.

The loop is the fastest that its documentation shows for the number of connections: `perform` and
`select` up to a few hundred, `socket_action` on epoll above (`select` ends at descriptor 1,023).
Bodies go through WRITEFUNCTION into a buffer. Headers are not looked at (HEADERFUNCTION unset),
which is less than the other clients do. `--easy` makes blocking calls with one handle.
"""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO

import pycurl
from job import Job

SELECT_UP_TO = 300


class Loop:
    """libcurl's multi interface on epoll: what an event loop does for it."""

    def __init__(self) -> None:
        self.multi = pycurl.CurlMulti()
        self.epoll = select.epoll()
        self.watched: set[int] = set()
        self.deadline: float | None = None
        self.started = False
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self.on_socket)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self.on_timer)

    def on_socket(self, event: int, fd: int, multi: object, data: object) -> None:
        """Called by libcurl to watch a descriptor, or to stop."""
        if event == pycurl.POLL_REMOVE:
            if fd in self.watched:
                self.watched.discard(fd)
                with contextlib.suppress(OSError):  # libcurl closed it before it told us
                    self.epoll.unregister(fd)
            return
        mask = 0
        if event & pycurl.POLL_IN:
            mask |= select.EPOLLIN
        if event & pycurl.POLL_OUT:
            mask |= select.EPOLLOUT
        if fd in self.watched:
            self.epoll.modify(fd, mask)
        else:
            self.watched.add(fd)
            self.epoll.register(fd, mask)

    def on_timer(self, milliseconds: int) -> None:
        """Called by libcurl to set its timer (-1: none)."""
        self.deadline = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def run_once(self) -> None:
        """Wait for an event, and let libcurl handle it."""
        wait = -1.0 if self.deadline is None else max(0.0, self.deadline - time.monotonic())
        events = self.epoll.poll(wait)
        if not events or (self.deadline is not None and self.deadline <= time.monotonic()):
            self.deadline = None
            self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        for fd, mask in events:
            bits = 0
            if mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                bits |= pycurl.CSELECT_IN
            if mask & select.EPOLLOUT:
                bits |= pycurl.CSELECT_OUT
            self.multi.socket_action(fd, bits)


class ShortLoop:
    """libcurl's multi interface with its own `select`: `retriever-multi.py` of its examples."""

    def __init__(self) -> None:
        self.multi = pycurl.CurlMulti()
        self.started = False

    def run_once(self) -> None:
        """Wait for an event, and let libcurl handle it."""
        if self.started:
            self.multi.select(1.0)
        self.started = True
        self.multi.perform()


def run(
    loop: Loop | ShortLoop, handles: list[pycurl.Curl], again: Callable[[pycurl.Curl], bool]
) -> None:
    """Run `handles`; when one is done, `again` says whether it makes another request."""
    multi, run_once, info = loop.multi, loop.run_once, loop.multi.info_read
    busy = len(handles)
    for handle in handles:
        multi.add_handle(handle)
    loop.started = False
    while busy:
        run_once()
        left = 1
        while left:
            left, done, failed = info()
            for _, code, message in failed:
                raise OSError(f"libcurl error {code}: {message}")
            for handle in done:
                multi.remove_handle(handle)
                if again(handle):
                    loop.started = False
                    multi.add_handle(handle)
                else:
                    busy -= 1


def make_handle(job: Job, k: int) -> pycurl.Curl:
    """A handle with all constant options."""
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, job.origin(k) + job.path)
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.buffer = BytesIO()
    handle.setopt(pycurl.WRITEFUNCTION, handle.buffer.write)
    if job.cafile:
        handle.setopt(pycurl.CAINFO, job.cafile)
    if job.kind == "json":
        handle.setopt(pycurl.ACCEPT_ENCODING, "gzip")
    if job.kind == "post":
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, job.upload)
        handle.setopt(pycurl.HTTPHEADER, ["Expect:", "Content-Type: application/octet-stream"])
    return handle


def crowd(
    job: Job, loop: Loop | ShortLoop | None, handles: list[pycurl.Curl], numbers: Iterator[int]
) -> None:
    """Every handle makes requests as long as there are numbers; without a loop, in turn."""

    def start(handle: pycurl.Curl) -> bool:
        n = next(numbers, None)
        if n is None:
            return False
        handle.n = n
        if job.kind == "example":
            handle.setopt(pycurl.URL, f"{job.url}/{n}")
        elif job.kind == "stream":
            handle.file = open(job.file, "wb")  # noqa: SIM115
            handle.setopt(pycurl.WRITEDATA, handle.file)
        return True

    def again(handle: pycurl.Curl) -> bool:
        status = handle.getinfo(pycurl.RESPONSE_CODE)
        if job.kind == "stream":
            handle.file.close()
            job.check_file(status)
            return start(handle)
        buffer = handle.buffer
        body = buffer.getvalue()
        if job.kind == "json":
            import json

            job.check_json(status, json.loads(body))
        elif job.kind == "example":
            job.check_echo(handle.n, status, body)
        else:
            job.good(status, body)
        buffer.seek(0)
        buffer.truncate()
        return start(handle)

    started = [handle for handle in handles if start(handle)]
    if loop is not None:
        run(loop, started, again)
        return
    for handle in started:
        handle.perform()
        while again(handle):
            handle.perform()


def main() -> None:
    is_easy = "--easy" in sys.argv
    job = Job([argument for argument in sys.argv[1:] if argument != "--easy"])
    loop: Loop | ShortLoop | None = None
    if not is_easy:
        loop = ShortLoop() if job.connections <= SELECT_UP_TO else Loop()
        loop.multi.setopt(pycurl.M_MAXCONNECTS, job.connections)
    handles = [make_handle(job, k) for k in range(job.connections)]
    if job.kind != "example":
        crowd(job, loop, handles, job.warm_up())
    with job.timed():
        crowd(job, loop, handles, job.numbers())
    client = "pycurl_easy" if is_easy else "pycurl"
    job.report(client, "pycurl", libcurl=pycurl.version_info()[1])


main()
