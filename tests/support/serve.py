"""Serve one application with granian, as a program: `python serve.py module:name ADDRESS`.

granian does not accept port 0, but sets SO_REUSEPORT: a bound socket that never listens reserves a
free port for it. Its embedded server does not support WSGI, so a WSGI application runs on
werkzeug's threaded server. The program prints one line of JSON {"port": n} when it is ready, and
ends when its standard input ends, so no server outlives the test run.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server


def hold_port(address: str) -> socket.socket:
    """Return a bound socket that never listens; it reserves its port for granian."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    holder = socket.socket(family, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((address, 0))
    return holder


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("app", help="module:name")
    parser.add_argument("address")
    parser.add_argument("--interface", default="rsgi")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    return parser.parse_args()


async def answers(address: str, port: int) -> None:
    """Wait until the server accepts connections."""
    while True:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


async def serve_rsgi(target: Any, options: argparse.Namespace) -> None:
    with hold_port(options.address) as holder:
        port = holder.getsockname()[1]
        server = Server(
            target,
            address=options.address,
            port=port,
            interface=Interfaces.RSGI,
            log_enabled=False,
            websockets=False,
            ssl_cert=Path(options.cert) if options.cert else None,
            ssl_key=Path(options.key) if options.key else None,
        )
        serving = asyncio.create_task(server.serve())
        ready = asyncio.create_task(answers(options.address, port))
        await asyncio.wait({serving, ready}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            announce(port)
        await serving


def serve_wsgi(target: Any, options: argparse.Namespace) -> None:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, type: str, message: str, *args: Any) -> None:
            """Log nothing."""

    server = make_server(options.address, 0, target, threaded=True, request_handler=Handler)
    announce(server.server_port)
    server.serve_forever()


def announce(port: int) -> None:
    print(json.dumps({"port": port, "pid": os.getpid()}), flush=True)


def exit_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    options = parse_arguments()
    module, _, name = options.app.partition(":")
    target: Any = getattr(importlib.import_module(module), name)
    threading.Thread(target=exit_with_parent, daemon=True).start()
    if options.interface == "wsgi":
        serve_wsgi(target, options)
    else:
        asyncio.run(serve_rsgi(target, options))


if __name__ == "__main__":
    main()
