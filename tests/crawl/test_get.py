"""`asks-fast get`: one request, with options as in curl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.script_steps import OK, expect, send
from support.scripted_server import MakePeer
from support.servers import Server

import asks_fast
from asks_fast import errors

pytest.importorskip("click", reason="the extra cli is not installed")
pytest.importorskip("rich", reason="the extra cli is not installed")

ROOT = Path(asks_fast.__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def get(*args: Any, **options: Any) -> tuple[int, bytes, str]:
    done = subprocess.run(
        [sys.executable, "-c", "from asks_fast.cli import main; main()", "get", *map(str, args)],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=250,
        **options,
    )
    return done.returncode, done.stdout, done.stderr.decode()


def base(server: Server) -> str:
    return f"http://{server.host}:{server.port}"


def test_body(app_server: Server) -> None:
    """Only the body goes to standard output, decompressed, after redirects."""
    assert get(base(app_server) + "/asks/test/7") == (0, b"7", "")
    code, out, _ = get(f"{app_server.host}:{app_server.port}/redirect/2")
    assert (code, json.loads(out)["path"]) == (0, "/get")
    assert json.loads(get(base(app_server) + "/gzip")[1])["coding"] == "gzip"
    _, out, _ = get("--no-location", "-i", base(app_server) + "/redirect/1")
    assert out.startswith(b"HTTP/1.1 302")


def test_sending_bodies(app_server: Server, tmp_path: Path) -> None:
    """curl's options for bodies work."""
    file = tmp_path / "body"
    file.write_bytes(b"c=3")
    url = base(app_server) + "/anything"
    sent = json.loads(get("-d", "a=1", "-d", "b=2", "-d", f"@{file}", url)[1])
    assert (sent["method"], sent["form"]) == ("POST", {"a": "1", "b": "2", "c": "3"})
    sent = json.loads(get("--json", '{"x": [1]}', "-X", "PUT", url)[1])
    assert (sent["method"], sent["json"]) == ("PUT", {"x": [1]})
    sent = json.loads(get("-F", "a=1", "-F", f"f=@{file}", url)[1])
    assert "multipart/form-data" in sent["headers"]["content-type"]
    assert 'filename="body"' in sent["data"]


def test_sending_fields(app_server: Server) -> None:
    """curl's options for header fields, user agent and cookies work."""
    url = base(app_server) + "/anything"
    sent = json.loads(get("-H", "X-A: 1", "-A", "me/1", "-b", "k=v", url)[1])["headers"]
    assert (sent["x-a"], sent["user-agent"], sent["cookie"]) == ("1", "me/1", "k=v")


def test_sending_credentials(app_server: Server) -> None:
    """Basic and bearer credentials work; without them, -f exits with 22."""
    assert get("-f", base(app_server) + "/basic-auth/u/p")[0] == 22
    _, out, _ = get("-f", "-u", "u:p", base(app_server) + "/basic-auth/u/p")
    assert json.loads(out)["authenticated"]
    _, out, _ = get("-f", "--bearer", "tok", base(app_server) + "/bearer/tok")
    assert json.loads(out)["authenticated"]


def test_heads_and_timing(app_server: Server, tmp_path: Path) -> None:
    """-i and -I print the head, -v the steps, --timing the times; -o writes a file."""
    code, out, _ = get("-I", base(app_server) + "/json")
    assert out.startswith(b"HTTP/1.1 200")
    assert out.endswith(b"\r\n\r\n")
    code, out, err = get(
        "-v", "--timing", "-o", tmp_path / "o", base(app_server) + "/absolute-redirect/1"
    )
    assert (code, out) == (0, b"")
    assert "> GET /absolute-redirect/1 HTTP/1.1" in err
    assert "< HTTP/1.1 302" in err
    first, second, whole = [line for line in err.splitlines() if line[0] not in "<>*"]
    assert first.startswith(f"GET {base(app_server)}/absolute-redirect/1: wait ")
    for phase in ("lookup", "connect", "send", "first byte", "body", "total"):
        assert f", {phase} " in first
    assert second.startswith("GET http")
    assert whole.startswith("all ")
    assert whole.endswith(" bytes, 1 redirects")
    assert json.loads((tmp_path / "o").read_bytes())["path"] == "/get"


def test_timing_of_tls(tls_peer: MakePeer) -> None:
    """--timing shows name resolution, connection and TLS handshake separately."""
    server = tls_peer([expect(), send(OK)])
    code, out, err = get("-k", "--timing", f"https://localhost:{server.port}/x")
    assert (code, out) == (0, b"ok")
    (line,) = [line for line in err.splitlines() if line.startswith("GET ")]
    for phase in ("lookup", "connect", "tls", "send", "first byte", "body", "total"):
        assert f", {phase} " in line


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["-f", "{base}/status/404"], 22, "the server answered 404"),
        (["http://127.0.0.1:1/"], 7, "127.0.0.1"),
        (["ftp://a/"], 3, "ftp"),
        (["http://a b/"], 3, ""),
        (["--max-time", "0.2", "{base}/slow/5"], 28, ""),
        (["--max-redirects", "2", "{base}/redirect/5"], 47, ""),
        (["--max-filesize", "10", "{base}/bytes/100"], 63, "larger than 10 bytes"),
        (["-o", "/nowhere/at/all", "{base}/"], 23, "nowhere"),
    ],
)
def test_failures(app_server: Server, args: list[str], code: int, says: str) -> None:
    """Errors have curl's exit status and one line without traceback; -s prints nothing."""
    given = [arg.replace("{base}", base(app_server)) for arg in args]
    got, _, err = get(*given)
    assert got == code, err
    assert says in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1
    got, _, err = get("-s", *given)
    assert (got, err) == (code, "")


def test_every_error_has_a_status() -> None:
    """Every error of the library has an exit status other than 0."""
    from asks_fast.cli.exit_codes import exit_status

    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert exit_status(kind.__new__(kind)) > 0


def test_terminal_is_safe(peer: Any) -> None:
    """Control characters in a response head are escaped."""
    from asks_fast.cli.display import printable

    assert printable("a\x1b[31mb\r\n") == "a\\x1b[31mb\\x0d\\x0a"
