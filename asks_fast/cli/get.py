"""`asks-fast get`: one request, its body to standard output; curl's letters, curl's exit statuses.

Rules:  the body goes to standard output or a file, everything else to standard error. The body
        is streamed, so its size does not matter.
Not here: many requests (`fetch`), load (`bench`).
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from asks_fast import errors
from asks_fast.cli.display import harmless
from asks_fast.cli.fetch import pairs
from asks_fast.crawl.inputs import with_scheme
from asks_fast.crawl.options import default_user_agent
from asks_fast.crawl.pages import header_pairs
from asks_fast.crawl.plan import run_in_kernel

__all__ = ["command", "exit_status"]

# The first that fits; numbers as curl uses them.
STATUSES: list[tuple[type[BaseException], int]] = [
    (errors.InvalidURL, 3),
    (errors.InvalidRequest, 2),
    (errors.ProxyError, 97),
    (errors.NameResolutionError, 6),
    (errors.ConnectionFailed, 7),
    (errors.RequestTimeout, 28),
    (errors.TooManyRedirects, 47),
    (errors.DecodingError, 61),
    (errors.ResponseTooLarge, 63),
    (errors.ServerClosedConnectionError, 52),
    (errors.BadHttpResponse, 8),
    (OSError, 56),
    (TypeError, 2),
]
FAILED_STATUS, CANNOT_WRITE, CERTIFICATE, TLS, INTERRUPTED = 22, 23, 60, 35, 130


@click.command("get")
@click.argument("url")
@click.option("-X", "--request", "method", help="Method; default GET, or POST with a body.")
@click.option("-H", "--header", multiple=True, metavar="'NAME: VALUE'", help="Further header.")
@click.option("-d", "--data", multiple=True, help="Body of a form; @FILE reads it from there.")
@click.option("--json", "json_text", help="Body of JSON; @FILE reads it from there.")
@click.option("-F", "--form", multiple=True, metavar="NAME=VALUE", help="Multipart field; @FILE.")
@click.option("-u", "--user", metavar="USER:PASSWORD", help="Credentials.")
@click.option("--digest", is_flag=True, help="Digest instead of Basic, with -u.")
@click.option("--bearer", metavar="TOKEN", help="Bearer token.")
@click.option("-A", "--user-agent", help="Who we are.")
@click.option("-b", "--cookie", multiple=True, metavar="NAME=VALUE", help="Cookie to send.")
@click.option("-o", "--output", metavar="FILE", help="Write the body there.")
@click.option("-i", "--include", is_flag=True, help="Head of the response before the body.")
@click.option("-I", "--head", is_flag=True, help="Ask for the head alone, and print it.")
@click.option("-v", "--verbose", is_flag=True, help="Each step and each head, on stderr.")
@click.option("--timing", is_flag=True, help="Where the time went, on stderr.")
@click.option(
    "-L/--no-location",
    "--location/ ",
    "follow",
    default=True,
    help="Follow redirects (the default).",
)
@click.option("-f", "--fail", is_flag=True, help="Status 22 and no body for a 4xx or 5xx.")
@click.option("-s", "--silent", is_flag=True, help="No messages.")
@click.option("-k", "--insecure", is_flag=True, help="No certificate checks.")
@click.option("-x", "--proxy", metavar="URL", help="http, https or socks5 proxy.")
@click.option("--unix-socket", metavar="PATH", help="Connect there.")
@click.option("-m", "--max-time", type=float, help="Seconds for everything.")
@click.option("--connect-timeout", type=float, default=60.0, help="Seconds to connect.")
@click.option("--max-redirects", type=click.IntRange(0), default=20, show_default=True)
@click.option("--max-filesize", type=click.IntRange(1), help="Bytes; a larger body is an error.")
def command(url: str, **given: Any) -> None:
    """Make one request and print the answer."""
    try:
        arguments = request_arguments(given)
        status = run_in_kernel(_get, with_scheme(url), given, arguments)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except click.ClickException:
        raise
    except Exception as error:
        fail(error, given["silent"])
    sys.exit(status)


def request_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the request that the options describe."""
    from asks_fast.auth import BasicAuth, BearerAuth, DigestAuth

    made: dict[str, Any] = {
        "connection_timeout": given["connect_timeout"],
        "timeout": given["max_time"],
        "stream": True,
    }
    made["headers"] = {
        "User-Agent": given["user_agent"] or default_user_agent(),
        **pairs(given["header"], ":", "a header"),
    }
    if given["data"]:
        made["data"] = b"&".join(_text_or_file(piece) for piece in given["data"])
        made["mimetype"] = "application/x-www-form-urlencoded"
    if given["json_text"] is not None:
        import json

        made["json"] = json.loads(_text_or_file(given["json_text"]))
    if given["form"]:
        fields = pairs(given["form"], "=", "a field")
        made["multipart"] = {k: _path_or_text(v) for k, v in fields.items()}
    if given["cookie"]:
        made["cookies"] = pairs(given["cookie"], "=", "a cookie")
    if given["user"]:
        user, _, password = given["user"].partition(":")
        made["auth"] = (DigestAuth if given["digest"] else BasicAuth)((user, password))
    elif given["bearer"]:
        made["auth"] = BearerAuth(given["bearer"])
    if given["follow"] and given["max_redirects"]:
        made["max_redirects"] = given["max_redirects"]
    else:
        made["follow_redirects"] = False
    return made


def _text_or_file(value: str) -> bytes:
    if not value.startswith("@"):
        return value.encode()
    with open(value[1:], "rb") as file:
        return file.read()


def _path_or_text(value: str) -> Any:
    from pathlib import Path

    return Path(value[1:]) if value.startswith("@") else value


async def _get(url: str, given: dict[str, Any], arguments: dict[str, Any]) -> int:
    """The request, its answer printed; the exit status."""
    from asks_fast.sessions import DSession

    has_body = any(name in arguments for name in ("data", "json", "multipart"))
    method = given["method"] or ("HEAD" if given["head"] else "POST" if has_body else "GET")
    say = _silent if given["silent"] or not given["verbose"] else _stderr
    say(f"> {method} {url}")
    proxy, unix_socket = given["proxy"], given["unix_socket"]
    async with DSession(
        connections=1,
        verify=not given["insecure"],
        proxy=proxy,
        unix_socket=unix_socket,
        trust_env=not (proxy or unix_socket),
    ) as session:
        response = await session.request(method, url, timings=given["timing"], **arguments)
        async with response.body:
            for earlier in response.history:
                say(f"< {earlier.status_code} {earlier.reason_phrase} from {earlier.url}")
            for line in head_lines(response):
                say(f"< {line}")
            failed = given["fail"] and response.status_code >= 400
            size = 0 if failed else await _print(response, given)
    if given["timing"]:
        for line in timing_lines(response, size):
            _stderr(line)
    if failed:
        if not given["silent"]:
            _stderr(
                f"asks-fast: the answer is {response.status_code} "
                f"{harmless(str(response.reason_phrase))}"
            )
        return FAILED_STATUS
    return 0


async def _print(response: Any, given: dict[str, Any]) -> int:
    """Head, if asked for, and body, to where they were asked for; the size of the body."""
    name = given["output"]
    fd = 1 if name in (None, "-") else os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        if given["include"] or given["head"]:
            _write(fd, "".join(f"{line}\r\n" for line in [*head_lines(response), ""]).encode())
        size = 0
        async for piece in response.body:
            if size == 0 and name is None and b"\0" in bytes(piece[:1024]) and os.isatty(fd):
                raise OutputRefused("this looks like no text; -o FILE saves it, -o - prints it")
            _write(fd, piece)
            size += len(piece)
            if given["max_filesize"] and size > given["max_filesize"]:
                raise errors.ResponseTooLarge(
                    f"the body is larger than {given['max_filesize']} bytes"
                )
        return size
    finally:
        if fd != 1:
            os.close(fd)


class OutputRefused(Exception):
    """The body cannot, or should not, be written to where it would go."""


def _write(fd: int, data: Any) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError as error:
        raise OutputRefused(f"cannot write the body: {error.strerror}") from error


def head_lines(response: Any) -> list[str]:
    """The head of the response, a line each, nothing in it obeyed by a terminal."""
    first = f"HTTP/{response.http_version} {response.status_code} {response.reason_phrase}"
    lines = [
        first.rstrip(),
        *(f"{name}: {value}" for name, value in header_pairs(response.headers)),
    ]
    return [harmless(line) for line in lines]


def timing_lines(response: Any, size: int) -> list[str]:
    """Where the time went: a line for each exchange, and what it came to."""
    hops = [*response.history, response]
    lines = [f"{hop.method} {hop.url}: {hop.timings}" for hop in hops]
    spent = [hop.timings.total for hop in hops]
    if None not in spent:
        lines.append(f"all {sum(spent):.6f} s; {size} bytes, {len(response.history)} redirects")
    return [harmless(line) for line in lines]


def _stderr(text: str) -> None:
    print(harmless(text), file=sys.stderr, flush=True)


def _silent(text: str) -> None:
    pass


def exit_status(error: BaseException) -> int:
    """curl's exit status for an error."""
    if isinstance(error, OutputRefused):
        return CANNOT_WRITE
    if "ssl" in sys.modules:
        import ssl

        if isinstance(error, ssl.SSLCertVerificationError):
            return CERTIFICATE
        if isinstance(error, ssl.SSLError):
            return TLS
    return next((number for kind, number in STATUSES if isinstance(error, kind)), 1)


def fail(error: Exception, silent: bool) -> NoReturn:
    """Say what went wrong and leave."""
    if not silent:
        _stderr(f"asks-fast: {harmless(str(error)) or type(error).__name__}")
    sys.exit(exit_status(error))
