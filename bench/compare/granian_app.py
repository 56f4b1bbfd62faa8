"""The responses of the comparison as an RSGI application, for machines without nginx.

Same paths, same bodies as the nginx site in `servers.py`; run as `granian --interface rsgi`.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from ..clients.job import SMALL, gzipped_document

FILES = Path(os.environ.get("BENCH_FILES", "."))
FIELDS = [
    ("server", "granian"),
    ("cache-control", "no-cache"),
    ("vary", "Accept-Encoding"),
    ("x-request-id", "3b7f0c1e9a2d4f56"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
]
JSON = [*FIELDS, ("content-type", "application/json")]
BINARY = [*FIELDS, ("content-type", "application/octet-stream")]
GZIPPED = gzipped_document()
CHUNK = 16 * 1024


async def respond(scope: Any, protocol: Any) -> None:
    """Respond to one request."""
    path = scope.path
    if path == "/small":
        protocol.response_bytes(200, JSON, SMALL)
    elif path == "/varied":
        fields = [field for field in JSON if field[0] != "x-request-id"]
        fields.append(("x-request-id", uuid.uuid4().hex))
        protocol.response_bytes(200, fields, SMALL)
    elif path.startswith("/asks/test/"):
        protocol.response_bytes(200, JSON, b'{"n": %d}' % int(path[11:]))
    elif path in ("/post", "/upload"):
        size = 0
        async for piece in protocol:
            size += len(piece)
        protocol.response_bytes(200, JSON, b'{"received": %d}' % size)
    elif path == "/gzip":
        protocol.response_bytes(200, [*JSON, ("content-encoding", "gzip")], GZIPPED)
    elif path == "/chunked":
        transport = protocol.response_stream(200, BINARY)
        view = memoryview((FILES / "10m").read_bytes())
        for at in range(0, len(view), CHUNK):
            await transport.send_bytes(bytes(view[at : at + CHUNK]))
    elif path in ("/100k", "/10m", "/64m", "/1g"):
        protocol.response_file(200, BINARY, str(FILES / path[1:]))
    else:
        protocol.response_empty(404, FIELDS)


class App:
    """The application object of granian."""

    __rsgi__ = staticmethod(respond)


app = App()
