"""`asks-fast get`: options and exit statuses that behave as curl's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.script_steps import OK, close, expect, send
from support.scripted_server import MakePeer
from support.servers import Server

pytest.importorskip("click", reason="the extra cli is not installed")
pytest.importorskip("rich", reason="the extra cli is not installed")


def get(*args: Any, **options: Any) -> tuple[int, bytes, str]:
    """Run the command as `python -m asks_fast get`; exit status, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "asks_fast", "get", *map(str, args)],
        capture_output=True,
        timeout=250,
        **options,
    )
    return done.returncode, done.stdout, done.stderr.decode()


def test_verbose_shows_every_hop_with_secrets_masked(app_server: Server) -> None:
    """-v: request line, fields and response head of each hop; no credential, cookie or token."""
    url = f"{app_server.url}/cookies/set?session=opensesame"
    code, _, err = get(
        "-v", "-u", "me:hunter2", "-b", "a=swordfish", "-H", "X-Api-Key: k3y", f"{url}&token=t0k"
    )
    assert code == 0
    lines = err.splitlines()
    assert "> GET /cookies/set?session=***&token=*** HTTP/1.1" in lines
    assert "> GET /cookies HTTP/1.1" in lines
    assert "> Authorization: ***" in lines
    assert "> X-Api-Key: ***" in lines
    assert f"> Host: {app_server.host}:{app_server.port}" in lines
    assert any(line.startswith("< HTTP/1.1 302") for line in lines)
    assert any(line.startswith("< HTTP/1.1 200") for line in lines)
    assert any(line.startswith("< location: /cookies") for line in map(str.lower, lines))
    for secret in ("hunter2", "swordfish", "k3y", "opensesame", "t0k", "bWU6"):
        assert secret not in err


def test_verbose_escapes_control_characters(peer: MakePeer) -> None:
    """Escape sequences in a reason phrase or field are escaped."""
    server = peer(
        [
            expect(),
            send(
                b"HTTP/1.1 302 \x1b[31mred\r\nLocation: /next\r\nX: \xc2\x9b1m\r\n"
                b"Content-Length: 0\r\n\r\n"
            ),
            expect(),
            send(OK),
        ]
    )
    _, _, err = get("-v", server.url)
    assert "\x1b" not in err
    assert "\x9b" not in err
    assert "< HTTP/1.1 302 \\x1b[31mred" in err


def test_verbose_shows_a_request_without_response(peer: MakePeer) -> None:
    """-v shows what was sent also when the server closes the connection."""
    server = peer([expect(), close()], [expect(), close()])
    code, _, err = get("-v", server.url + "/x")
    assert code == 52
    assert "> GET /x HTTP/1.1" in err


@pytest.mark.parametrize(
    ("args", "says"), [(["-s"], ""), (["-sS"], "404"), (["-fsSL"], "404"), (["-fs"], "")]
)
def test_silent_and_show_error(app_server: Server, args: list[str], says: str) -> None:
    """-s shows no error, -sS does; short options can be joined."""
    code, out, err = get(*args, "-f", app_server.url + "/status/404")
    assert (code, out) == (22, b"")
    assert says in err
    assert bool(err) == bool(says)


def test_remote_name(app_server: Server, tmp_path: Path) -> None:
    """-O names the file as the URL does, escapes decoded; a URL without a name is an error."""
    code, out, err = get("-sSO", app_server.url + "/anything/a%20b.json?x=1", cwd=tmp_path)
    assert (code, out) == (0, b""), err
    assert json.loads((tmp_path / "a b.json").read_bytes())["args"] == {"x": "1"}
    assert get("-O", app_server.url + "/")[0] == 23
    assert get("-O", app_server.url + "/a/..%2fb", cwd=tmp_path)[0] == 23


def test_write_out(app_server: Server, tmp_path: Path) -> None:
    """-w prints variables after the body, also when the request failed."""
    form = r"%{http_code} %{size_download} %{num_redirects} %{content_type} %{method}\n%%"
    code, out, _ = get("-s", "-o", tmp_path / "o", "-w", form, app_server.url + "/redirect/2")
    size = (tmp_path / "o").stat().st_size
    assert (code, out.decode()) == (0, f"200 {size} 2 application/json GET\n%")
    code, out, _ = get("-s", "-w", "%{http_code} %{url_effective}", "http://127.0.0.1:1/")
    assert (code, out) == (7, b"000 http://127.0.0.1:1/")
    _, out, _ = get("-s", "-w", " %{time_total}", app_server.url + "/asks/test/1")
    assert float(out.split()[1]) > 0
    _, out, err = get("-w", "%{stderr}%{nonsense}x", app_server.url + "/asks/test/1")
    assert (out, "nonsense" in err, err.endswith("x")) == (b"1", True, True)


def ranged(part: bytes, begin: int, size: int) -> bytes:
    return (
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (begin, size - 1, size, len(part), part)
    )


@pytest.mark.parametrize("option", [["-C", "-"], ["-C", "4"]])
def test_continue(peer: MakePeer, tmp_path: Path, option: list[str]) -> None:
    """-C - fetches the missing part without compression and appends it."""
    file = tmp_path / "f"
    file.write_bytes(b"0123")
    server = peer([expect(), send(ranged(b"456789", 4, 10))])
    code, _, err = get(*option, "-o", file, server.url)
    assert (code, file.read_bytes()) == (0, b"0123456789"), err
    head = server.requests[0].raw.lower()
    assert b"range: bytes=4-" in head
    assert b"accept-encoding: identity" in head


def test_continue_from_nothing(peer: MakePeer, tmp_path: Path) -> None:
    """-C - without a file fetches all of the body."""
    server = peer([expect(), send(OK)])
    assert get("-C", "-", "-o", tmp_path / "f", server.url)[0] == 0
    assert b"range" not in server.requests[0].raw.lower()
    assert (tmp_path / "f").read_bytes() == b"ok"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (OK, 33),  # no ranges here: the file must not be cut or mixed
        (ranged(b"56", 5, 7), 33),  # another part than asked for
        (b"HTTP/1.1 416 X\r\nContent-Range: bytes */4\r\nContent-Length: 0\r\n\r\n", 0),
        (b"HTTP/1.1 416 X\r\nContent-Range: bytes */2\r\nContent-Length: 0\r\n\r\n", 33),
    ],
)
@pytest.mark.parametrize("fail", [[], ["-f"]])
def test_continue_is_not_possible(
    peer: MakePeer, tmp_path: Path, answer: bytes, code: int, fail: list[str]
) -> None:
    """A file is left as it was if its rest is not sent; 416 with its size means complete."""
    file = tmp_path / "f"
    file.write_bytes(b"0123")
    server = peer([expect(), send(answer)])
    got, _, err = get(*fail, "-C", "-", "-o", file, server.url)
    assert (got, file.read_bytes()) == (code, b"0123"), err


def test_compressed(app_server: Server) -> None:
    """--compressed is the default; --no-compressed requests the plain body."""
    plain = get(app_server.url + "/gzip")[1]
    assert get("--compressed", app_server.url + "/gzip")[1] == plain
    sent = json.loads(get("--no-compressed", app_server.url + "/anything")[1])
    assert sent["headers"]["accept-encoding"] == "identity"
    assert get("--no-compressed", app_server.url + "/gzip")[1][:2] == b"\x1f\x8b"


def test_resolve(app_server: Server) -> None:
    """--resolve HOST:PORT:ADDRESS applies to that port, * to all; other forms are rejected."""
    name, port = "nowhere.invalid", app_server.port
    for entry in (f"{name}:{port}:127.0.0.1", f"{name}:*:127.0.0.1,127.0.0.2"):
        code, out, err = get("--resolve", entry, f"http://{name}:{port}/asks/test/3")
        assert (code, out) == (0, b"3"), err
    assert get("--resolve", f"{name}:1:127.0.0.1", f"http://{name}:{port}/")[0] == 6
    assert get("--resolve", "nonsense", app_server.url)[0] == 2


def test_data_as_query(app_server: Server) -> None:
    """-G appends the data to the query."""
    url = app_server.url + "/anything?a=1#part"
    sent = json.loads(get("-G", "-d", "b=2", "--data-urlencode", "c=x y&z", url)[1])
    assert (sent["method"], sent["args"]) == ("GET", {"a": "1", "b": "2", "c": "x y&z"})


def test_variants_of_data(app_server: Server, tmp_path: Path) -> None:
    """-d @FILE loses line ends, --data-binary keeps them, --data-raw takes @ literally."""
    file = tmp_path / "data"
    file.write_bytes(b"a=1\r\nb\n")
    url = app_server.url + "/anything"
    assert json.loads(get("-d", f"@{file}", url)[1])["data"] == "a=1b"
    assert json.loads(get("--data-binary", f"@{file}", url)[1])["data"] == "a=1\r\nb\n"
    assert json.loads(get("--data-raw", "@x", url)[1])["data"] == "@x"
    assert json.loads(get("-d", "@-", url, input=b"from\nstdin")[1])["data"] == "fromstdin"


def test_upload(app_server: Server, tmp_path: Path) -> None:
    """-T sends a file with PUT, under its own name where the URL ends with a slash."""
    file = tmp_path / "up load.bin"
    file.write_bytes(bytes(200_000))
    sent = json.loads(get("-T", file, app_server.url + "/anything/")[1])
    assert (sent["method"], sent["size"]) == ("PUT", 200_000)
    assert sent["path"] in ("/anything/up load.bin", "/anything/up%20load.bin")
    sent = json.loads(get("-T", "-", app_server.url + "/anything/x", input=b"piped")[1])
    assert (sent["method"], sent["path"], sent["data"]) == ("PUT", "/anything/x", "piped")


@pytest.mark.parametrize("option", ["-T", "-d@", "--data-binary=@", "--json=@", "-Ff=@"])
def test_unreadable_file(peer: MakePeer, tmp_path: Path, option: str) -> None:
    """A file that cannot be read: exit status 26, and no request."""
    server = peer([expect(), send(OK)])
    missing = str(tmp_path / "missing")
    args = [option, missing] if option == "-T" else [option + missing]
    code, _, err = get(*args, server.url)
    assert code == 26, err
    assert missing in err
    assert server.requests == []


def test_unwritable_file(app_server: Server, tmp_path: Path) -> None:
    """A file that cannot be written: exit status 23; so is a full disk."""
    code, _, err = get("-o", tmp_path / "no" / "file", app_server.url)
    assert (code, "cannot write to" in err) == (23, True)
    if Path("/dev/full").exists():
        assert get("-o", "/dev/full", app_server.url)[0] == 23


def test_options_that_exclude_each_other(app_server: Server) -> None:
    """Two bodies, or two names for the output, are rejected with status 2."""
    assert get("-d", "a", "--json", "1", app_server.url)[0] == 2
    assert get("-o", "x", "-O", app_server.url + "/x")[0] == 2


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_progress_of_a_long_body(peer: MakePeer, tmp_path: Path, size: int) -> None:
    """-o on a terminal shows progress for a long body, none for a short one."""
    body = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    server = peer([expect(), send(body)])
    ours, theirs = os.openpty()
    shown = bytearray()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "asks_fast", "get", "-o", tmp_path / "f", server.url],
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        ) as process:
            os.close(theirs)
            while True:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                if not piece:
                    break
                shown += piece
        assert process.returncode == 0
    finally:
        os.close(ours)
    assert (b"100 %" in shown and b"3.1/3.1 MB" in shown) == (size > 1 << 20)
    assert (tmp_path / "f").stat().st_size == size
