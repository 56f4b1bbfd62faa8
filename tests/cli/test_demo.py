"""`asks-fast demo`: the documented program, in a process of its own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.script_steps import expect, stall
from support.scripted_server import MakePeer
from support.servers import Server

import asks_fast

PROGRAM = "from asks_fast.cli import main; main()"
EXIT_OK, EXIT_FAILED, WRONG_USE, EXIT_INTERRUPTED = 0, 1, 2, 130


@contextmanager
def demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, "demo", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*arguments: str) -> tuple[int, str]:
    with demo(*arguments) as process:
        output, _ = process.communicate(timeout=250)
        return process.returncode, output


def row(table: str, name: str) -> float:
    """The number in the row that begins with `name`."""
    found = re.search(rf"│ {re.escape(name)}[^│]*│ *([\d,.]+)", table)
    assert found is not None, table
    return float(found[1].replace(",", ""))


@pytest.mark.smoke
def test_hsession() -> None:
    """Every response is right, and the server never sees more connections than allowed."""
    pytest.importorskip("granian")
    status, table = run("--requests", "500", "--connections", "5")
    assert status == EXIT_OK, table
    assert row(table, "requests") == 500
    assert row(table, "failures") == 0
    assert row(table, "connections, counted by the server") <= 5
    assert row(table, "latency p50") <= row(table, "latency p99")
    text = " ".join(table.split())
    assert "wait for a connection: all 500 requests start at once and share 5 connections" in text
    assert re.search(r"CPU time per request: client \d+ µs, server \d+ µs. The (server|cli)", text)
    assert "asks-fast bench: compares clients against a faster server; installed here:" in text


def test_serve() -> None:
    """--serve starts the server of the documentation's programs, and Ctrl-C ends it."""
    pytest.importorskip("granian")
    with demo("--serve", "0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"serving (http://localhost:(\d+)) ", line)
        assert found is not None, line
        response = asks_fast.run(asks_fast.get, f"{found[1]}/anything?q=1")
        assert response.json()["args"] == {"q": "1"}
        status, text = run("--serve", found[2])
        assert (status, "cannot serve on port" in text) == (1, True), "the port is taken"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stdout.read() == ""


async def test_long_body_is_not_shown_whole(app_server: Server) -> None:
    """The response to an upload has the size of the body and its first MiB."""
    body = b"ab" * (1 << 20)
    async with asks_fast.HSession(app_server.url) as session:
        shown = (await session.put("/put", data=body)).json()
    assert (shown["size"], shown["data"]) == (len(body), body[: 1 << 20].decode())


async def test_index_page(app_server: Server) -> None:
    """`/` lists every resource, as HTML for a browser and as text; each example works."""
    from asks_fast.cli import demo_app

    listed = " ".join(path for path, _, _ in demo_app.PAGES)
    names = {path[1:].split("/")[0].split("?")[0] for path in listed.split()}
    assert names == {*demo_app.HANDLERS, *demo_app.STREAMERS, "slow", "delay"} - {""}
    async with asks_fast.HSession(app_server.url) as session:
        text = (await session.get("/")).text
        page = await session.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
        assert page.headers["content-type"].startswith("text/html")
        links = re.findall(r'href="([^"]*)"', page.text)
        assert len(links) == len(demo_app.PAGES) == len(text.splitlines()) - 2
        for path, description, _ in demo_app.PAGES:
            assert f"{path} " in text
            assert description in text
        expected = {"/status/404": 404, "/basic-auth/jo/secret": 401, "/bearer/token123": 401}
        expected |= {"/flaky/mine/2": 503, "/retry-after/1": 503}
        for link in links:
            if not link.startswith("/slow"):
                assert (await session.get(link)).status_code == expected.get(link, 200), link


def test_dsession() -> None:
    """Twenty origins share the connections of one DSession."""
    pytest.importorskip("granian")
    status, table = run("--requests", "200", "--connections", "20", "--dsession")
    assert status == EXIT_OK, table
    assert row(table, "requests") == 200
    if "unknown" not in table:
        assert row(table, "most open at once") <= 20


def test_connections_count_until_their_client_closes() -> None:
    """A connection counts from the client's connect to its close."""
    server = pytest.importorskip("asks_fast.cli.demo_server")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = listener.getsockname()
        try:
            assert server.open_connections({origin}) == set()
        except (OSError, AttributeError):
            pytest.skip("this system has no sock_diag")
        clients = [socket.create_connection(origin) for _ in range(3)]
        before = server.open_connections({origin})
        clients.pop().close()  # not accepted, so the server does not see its end
        clients.append(socket.create_connection(origin))
        after = server.open_connections({origin})
        other = server.open_connections({("127.0.0.2", origin[1]), (origin[0], origin[1] ^ 1)})
        for client in clients:
            client.close()
    assert (len(before), len(after), len(before & after), len(other)) == (3, 3, 2, 0)


def test_given_server(app_server: Server) -> None:
    """--url uses that server; its number of connections is unknown."""
    status, table = run("--requests", "50", "--url", app_server.url)
    assert status == EXIT_OK, table
    assert "unknown" in table


def test_failures_fail(app_server: Server) -> None:
    """Error responses give exit status 1 and are listed."""
    status, table = run("--requests", "20", "--url", app_server.url + "/nothing/here")
    assert status == EXIT_FAILED
    assert "20 x status 404" in table


def test_bad_url() -> None:
    """An invalid URL is rejected before anything starts."""
    status, text = run("--url", "gopher://h")
    assert status == WRONG_USE
    assert "Traceback" not in text
    assert "gopher" in text


def test_interrupt_shows_what_was_done(peer: MakePeer) -> None:
    """Ctrl-C ends the run with the table and exit status 130."""
    server = peer([expect(), stall()])
    with demo("--requests", "500", "--connections", "2", "--url", server.url) as process:
        server.wait(lambda: len(server.requests) == 2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=250)
    assert process.returncode == EXIT_INTERRUPTED, output
    assert "stopped by Ctrl-C" in output
    assert row(output, "requests") == 0
    assert "Traceback" not in output
    assert "never joined" not in output
