"""Real servers on loopback, each in a process of its own.

A server is ready when its function returns. It ends with the `with` block and, if the test run is
killed, with the pipe to it. A missing program raises `NotInstalled`; fixtures skip the test then.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


class NotInstalled(Exception):
    """The server is not installed; the text says how to install it."""


@dataclass(frozen=True)
class Server:
    """The address of a server. `url` has no slash at its end."""

    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@contextmanager
def application(
    app: str,
    *,
    address: str = "127.0.0.1",
    interface: str = "rsgi",
    tls_files: tuple[str, str] | None = None,
    needs: Sequence[str] = ("granian",),
) -> Iterator[Server]:
    """Serve `app` ("module:name", importable from tests/) with granian, WSGI with werkzeug."""
    for module in needs:
        if importlib.util.find_spec(module) is None:
            raise NotInstalled(f"{module} is not installed: pip install {module}")
    command = [sys.executable, str(TESTS / "support" / "serve.py"), app, address]
    command += ["--interface", interface]
    if tls_files is not None:
        command += ["--cert", tls_files[0], "--key", tls_files[1]]
    path = os.pathsep.join([str(TESTS), *filter(None, [os.getenv("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=TESTS
    )
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{app} did not start: exit status {process.wait(10)}")
        port = json.loads(line)["port"]
        yield Server(address, port, "https" if tls_files else "http")
    finally:
        stop_process(process)


@contextmanager
def nginx(directory: Path, locations: str = "") -> Iterator[Server]:
    """Run nginx with further `location` blocks. It serves /small (100 bytes) and /status."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise NotInstalled("nginx is not installed: apt-get install nginx-light")
    port = free_port()
    (directory / "nginx.conf").write_text(
        _NGINX.format(dir=directory, port=port, small="a" * 88, more=locations)
    )
    command = [program, "-p", str(directory), "-c", str(directory / "nginx.conf")]
    process = subprocess.Popen([*command, "-e", str(directory / "error.log")])
    try:
        wait_for_port("127.0.0.1", port, process)
        yield Server("127.0.0.1", port)
    finally:
        stop_process(process)


_NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; default_type application/json;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{
    listen 127.0.0.1:{port}; root {dir};
    location = /small {{ return 200 '{{"data": "{small}"}}'; }}
    location = /status {{ stub_status; }}
    {more}
  }}
}}
"""


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(
    address: str, port: int, process: subprocess.Popen[bytes], seconds: float = 20.0
) -> None:
    """Wait until `address:port` accepts. Raises `RuntimeError` if `process` ends or on time-out."""
    deadline = time.monotonic() + seconds
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            socket.create_connection((address, port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nothing answers at {address}:{port}") from None
            time.sleep(0.01)
        else:
            return


def stop_process(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
