"""No HTTP client at all: a blocking socket, `send`, `recv` (or `recv_into` for long bodies).

The lower limit for one connection: the cost of Python's sockets without parsing. Only the length of
the first response is parsed; each later one must be as long.
"""

from __future__ import annotations

import socket

from job import Job, WrongResponse


def main() -> None:
    job = Job()
    host, port = job.base.rpartition("/")[2].split(":")
    request = f"GET {job.path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    with socket.create_connection((host, int(port))) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.send(request)
        first = sock.recv(65536)
        head = first.index(b"\r\n\r\n") + 4
        total = head + job.size
        buffer = bytearray(total)
        view = memoryview(buffer)
        buffer[: len(first)] = first
        got = len(first)
        while got < total:
            got += sock.recv_into(view[got:])
        job.good(200, bytes(view[head:]))
        if total <= 65536:
            small(job, sock, request, total)
        else:
            large(job, sock, request, view)
    job.report("bare")


def small(job: Job, sock: socket.socket, request: bytes, total: int) -> None:
    """Responses that arrive in one piece."""
    send, recv = sock.send, sock.recv
    with job.timed():
        for _ in job.numbers():
            send(request)
            if len(recv(65536)) != total:
                raise WrongResponse("a response of another length")


def large(job: Job, sock: socket.socket, request: bytes, view: memoryview) -> None:
    """Responses received into one buffer that is reused."""
    send, recv_into, total = sock.send, sock.recv_into, len(view)
    with job.timed():
        for _ in job.numbers():
            send(request)
            got = 0
            while got < total:
                got += recv_into(view[got:])
            if got != total:
                raise WrongResponse("a response of another length")


main()
