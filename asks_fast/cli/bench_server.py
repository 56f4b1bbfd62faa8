"""The server of `asks-fast bench`: nginx where it is installed, else a short asyncio program.

    python -m asks_fast.cli.bench_server    prints its port; ends when its standard input ends

Facts:  nginx does not accept port 0, so a free port is chosen just before. The Python server sends
        the same bytes for every request head and does not support request bodies. It is slower
        than nginx and then limits the measurement.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from asks_fast._subprocess import exit_with_parent, python_command

DOCUMENT = (
    '{"id": 1234567, "name": "asks", "tags": ["curio", "cython", "http"], "ok": true, '
    '"score": 98.6, "n": 42}'
)
RESPONSE = (
    "HTTP/1.1 200 OK\r\nServer: asks-fast-bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    "Content-Type: application/json\r\nCache-Control: no-cache\r\nVary: Accept-Encoding\r\n"
    "X-Request-Id: 3b7f0c1e9a2d4f56\r\nX-Content-Type-Options: nosniff\r\n"
    f"Connection: keep-alive\r\nContent-Length: {len(DOCUMENT)}\r\n\r\n{DOCUMENT}"
).encode()
NGINX = """
worker_processes 1; daemon off; pid {root}/pid; error_log {root}/log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; tcp_nodelay on;
  client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
  uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
  default_type application/json;
  add_header Cache-Control "no-cache"; add_header Vary "Accept-Encoding";
  add_header X-Request-Id "3b7f0c1e9a2d4f56"; add_header X-Content-Type-Options "nosniff";
  server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 '{document}'; }} }}
}}
"""


class ServerProtocol(asyncio.Protocol):
    """One connection of the Python server."""

    def __init__(self) -> None:
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        heads = (self.rest + data).split(b"\r\n\r\n")
        self.rest = heads.pop()
        self.transport.write(RESPONSE * len(heads))


async def serve() -> None:
    """Listen on a free port, print it, and serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(
        ServerProtocol, "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def pin_to_core(core: int | None) -> Callable[[], None] | None:
    """Return a function that pins a child process to a core; None where that is not possible."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        return None
    return lambda: os.sched_setaffinity(0, {core})


@contextmanager
def run_server(core: int | None) -> Iterator[tuple[str, str]]:
    """Run a server on `core`; yield its name and origin, and end it afterwards.

    Raises:
        RuntimeError: it does not start within ten seconds.
    """
    port = 0
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    with tempfile.TemporaryDirectory(prefix="asks-fast-bench-") as root:
        if found is not None:
            os.chmod(root, 0o755)  # nginx runs its worker as another user when root starts it
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                port = sock.getsockname()[1]
            file = Path(root, "nginx.conf")
            file.write_text(NGINX.format(root=root, port=port, document=DOCUMENT))
            command = [found, "-p", root, "-c", str(file), "-e", f"{root}/log"]
            name = "nginx"
        else:
            command = python_command("asks_fast.cli.bench_server")
            name = "a server in Python (nginx is not installed)"
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            preexec_fn=pin_to_core(core),
            start_new_session=True,
        ) as process:
            try:
                if found is None:
                    assert process.stdout is not None
                    port = int(process.stdout.readline() or 0)
                wait_until_open(port, process)
                yield name, f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until `port` accepts connections."""
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("the server of the benchmark did not start")


if __name__ == "__main__":
    exit_with_parent()
    asyncio.run(serve())
