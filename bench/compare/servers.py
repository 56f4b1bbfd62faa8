"""The server: one nginx (else granian) with all responses prepared, on its own core.

Facts:  nginx listens on 0.0.0.0, so each 127.0.x.y is an origin of its own; three ports: plain,
        TLS kept alive, TLS closed after each response. Nothing is logged or computed per request.
        Bodies are files. Long ones are read 256 KiB at a time, which costs nginx least (2.7 ms
        for 10 MiB; two buffers of 32 KiB cost 3.1, sendfile 6.5). The gzip document is compressed
        beforehand. POST bodies are read to the end before the response: small ones with the
        head, large ones by a proxy on a Unix socket, because nginx would respond at once.
Rules:  all files are in one temporary folder; leaving the context stops the server.
Implemented elsewhere: clients, pinning of clients.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..clients.job import KIB, MIB, SMALL, gzipped_document, pattern

NGINX = """
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {root}/nginx.pid;
error_log {root}/error.log crit;
events {{ worker_connections {slots}; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  client_max_body_size 0;
  client_body_buffer_size 16m;
  client_header_buffer_size 4k;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  open_file_cache max=100;
  ssl_certificate {root}/server.pem;
  ssl_certificate_key {root}/server.key;
  ssl_session_cache shared:bench:16m;
  ssl_protocols TLSv1.2 TLSv1.3;
  upstream answer {{ server unix:{root}/answer.sock; keepalive 64; }}
  server {{ listen unix:{root}/answer.sock;
    default_type application/json;
    location / {{ return 200 '{{"received": $http_x_received}}'; }} }}
  server {{ listen 0.0.0.0:{http} backlog=4096; include {root}/site.conf; }}
  server {{ listen 0.0.0.0:{tls} ssl backlog=4096; include {root}/site.conf; }}
  server {{ listen 0.0.0.0:{tlsnew} ssl backlog=4096; keepalive_timeout 0;
    include {root}/site.conf; }}
}}
"""

SITE = """
add_header Cache-Control "no-cache";
add_header Vary "Accept-Encoding";
add_header X-Request-Id "3b7f0c1e9a2d4f56";
add_header X-Content-Type-Options "nosniff";
add_header X-Frame-Options "DENY";
root {root}/files;
location = /small {{ default_type application/json; return 200 '{small}'; }}
location = /varied {{
  default_type application/json;
  add_header Cache-Control "no-cache";
  add_header Vary "Accept-Encoding";
  add_header X-Request-Id $request_id;
  add_header X-Content-Type-Options "nosniff";
  add_header X-Frame-Options "DENY";
  return 200 '{small}';
}}
location ~ ^/asks/test/(\\d+)$ {{ default_type application/json; return 200 '{{"n": $1}}'; }}
location = /post {{ default_type application/json; return 200 '{{"received": $content_length}}'; }}
location = /upload {{
  proxy_pass http://answer;
  proxy_http_version 1.1;
  proxy_pass_request_body off;
  proxy_set_header Connection "";
  proxy_set_header Content-Length "";
  proxy_set_header X-Received $content_length;
}}
location ~ ^/(10m|64m|1g)$ {{ sendfile off; output_buffers 1 256k; }}
location = /gzip {{ default_type application/json; gzip_static always; }}
location = /chunked {{
  alias {root}/files/10m;
  sendfile off;
  output_buffers 2 16k;
  add_after_body /nothing;
  addition_types *;
}}
location = /redirect {{ return 302 /small; }}
location = /cookie {{
  default_type application/json;
  add_header Set-Cookie "session=$request_id; Path=/";
  return 200 '{small}';
}}
location = /digest {{
  default_type application/json;
  add_header WWW-Authenticate 'Digest realm="bench", nonce="bench", qop="auth"' always;
  if ($http_authorization = "") {{ return 401; }}
  return 200 '{small}';
}}
location = /page {{ default_type "text/html; charset=utf-8"; gzip_static always; }}
location = /resumed {{ return 200 '$ssl_session_reused'; }}
location = /nothing {{ return 200 ''; }}
"""

BODIES = {"100k": 100 * KIB, "10m": 10 * MIB, "64m": 64 * MIB}


@dataclass(frozen=True)
class Server:
    """The address of the running server. `ports` by name: http, tls, tlsnew."""

    name: str
    version: str
    root: Path
    ports: dict[str, int]
    pid: int

    def url(self, port: str) -> str:
        """Scheme and authority of one of the three ports, on the first origin."""
        return f"{'http' if port == 'http' else 'https'}://127.0.0.1:{self.ports[port]}"

    @property
    def cafile(self) -> Path:
        """The certificate authority of the server's certificate."""
        return self.root / "ca.pem"


def free_ports(count: int) -> list[int]:
    """Free ports (all held at once, so that they differ)."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in held:
            sock.bind(("0.0.0.0", 0))
        return [sock.getsockname()[1] for sock in held]


def prepare(root: Path, *, long_bodies: bool = True) -> None:
    """Write certificate and bodies into `root`."""
    import trustme

    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issued = authority.issue_cert("127.0.0.1", "localhost", key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(root / "ca.pem")
    issued.private_key_pem.write_to_path(root / "server.key")
    (root / "server.pem").write_bytes(b"".join(p.bytes() for p in issued.cert_chain_pems))
    files = root / "files"
    files.mkdir()
    for name, size in BODIES.items() if long_bodies else ():
        (files / name).write_bytes(pattern(size))
    (files / "gzip.gz").write_bytes(gzipped_document())
    with open(files / "1g", "wb") as file:
        file.truncate(1024 * MIB)


def wait_until_open(port: int, process: subprocess.Popen[bytes], seconds: float = 15.0) -> None:
    """Return once `port` accepts; RuntimeError if the process ends or time runs out."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"no server on port {port} after {seconds:g} s")


def pinned(core: int | None) -> Callable[[], None] | None:
    """A function for a child process that pins it to one core, if possible."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        return None
    return lambda: os.sched_setaffinity(0, {core})


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a child process: by SIGTERM, after five seconds by SIGKILL."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def nginx(root: Path, core: int | None) -> Iterator[Server]:
    """Run nginx from `root` on `core`."""
    import resource

    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    ports = dict(zip(("http", "tls", "tlsnew"), free_ports(3), strict=True))
    slots = min(files - 100, 32_000)
    (root / "nginx.conf").write_text(NGINX.format(root=root, files=files, slots=slots, **ports))
    (root / "site.conf").write_text(SITE.format(root=root, small=SMALL.decode()))
    shown = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr
    os.chmod(root, 0o755)  # the worker runs as another user when we are root
    command = [
        binary,
        "-p",
        str(root),
        "-c",
        str(root / "nginx.conf"),
        "-e",
        str(root / "error.log"),
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=pinned(core))
    try:
        wait_until_open(ports["http"], process)
        yield Server("nginx", shown.strip().rpartition("/")[2], root, ports, process.pid)
    finally:
        stop(process)


@contextlib.contextmanager
def granian(root: Path, core: int | None) -> Iterator[Server]:
    """Run three granian processes (one per port) on `core`, where there is no nginx."""
    from importlib.metadata import version

    ports = dict(zip(("http", "tls", "tlsnew"), free_ports(3), strict=True))
    with contextlib.ExitStack() as stack:
        for name, port in ports.items():
            secure = (
                []
                if name == "http"
                else [
                    "--ssl-certificate",
                    str(root / "server.pem"),
                    "--ssl-keyfile",
                    str(root / "server.key"),
                ]
            )
            single = ["--no-http1-keep-alive"] if name == "tlsnew" else []
            command = [
                sys.executable,
                "-m",
                "granian",
                "--interface",
                "rsgi",
                "--host",
                "0.0.0.0",
                "--port",
                str(port),
                "--no-ws",
                "--http",
                "1",
                "--no-access-log",
                "--log-level",
                "error",
                "--backlog",
                "4096",
                *secure,
                *single,
                "bench.compare.granian_app:app",
            ]
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                preexec_fn=pinned(core),
                env={**os.environ, "BENCH_FILES": str(root / "files")},
            )
            stack.callback(stop, process)
            wait_until_open(port, process)
            if name == "http":
                pid = process.pid
        yield Server("granian", version("granian"), root, ports, pid)


@contextlib.contextmanager
def best(root: Path, core: int | None) -> Iterator[Server]:
    """nginx where it is installed, else granian. `root` must exist and be empty."""
    prepare(root)
    use = nginx if shutil.which("nginx") or os.path.exists("/usr/sbin/nginx") else granian
    with use(root, core) as server:
        yield server
