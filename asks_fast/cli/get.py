"""`asks-fast get`: make one request and print the response; option names and exit statuses of curl.

The body goes to standard output or a file, everything else to standard error. The body is
streamed, so its size does not matter.

Implemented elsewhere: the request (`get_request`), what is printed (`get_output`), exit statuses
(`exit_codes`), many requests (`fetch`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from asks_fast.cli.display import printable
from asks_fast.cli.exit_codes import EXIT_HTTP_ERROR, EXIT_INTERRUPTED, exit_status
from asks_fast.cli.get_output import Output, Verbose, head_lines, say, timing_lines, write_out
from asks_fast.cli.get_request import Options, hosts_of, request_of
from asks_fast.crawl.fetch_config import run_in_kernel

__all__ = ["command"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _add_data(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> None:
    """Collect the values of -d and related options, each with the name of its option."""
    given = ctx.params.setdefault("data", ())
    ctx.params["data"] = (*given, *((param.name, value) for value in values))


def _offset(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"-|\d+", value):
        raise click.BadParameter(
            f"expected a number of bytes, or - for the size of FILE, found {value!r}"
        )
    return value


def _data_option(*names: str, help: str) -> Callable[[_F], _F]:
    return click.option(
        *names, multiple=True, metavar="TEXT", help=help, callback=_add_data, expose_value=False
    )


@click.command("get")
@click.argument("url")
@click.option("-X", "--request", "method", help="Request method [default: GET; POST with a body].")
@click.option("-H", "--header", multiple=True, metavar="'NAME: VALUE'", help="Add a header field.")
@_data_option("-d", "--data", help="Send form data; @FILE reads it from a file, without line ends.")
@_data_option("--data-raw", help="Like --data, but @ has no special meaning.")
@_data_option("--data-binary", help="Like --data, but a file is sent unchanged.")
@_data_option("--data-urlencode", help="Like --data, percent-encoded: TEXT, NAME=TEXT, NAME@FILE.")
@click.option("-G", "--get", "as_query", is_flag=True, help="Put the data of -d into the query.")
@click.option("--json", "json_text", metavar="JSON", help="Send a JSON body; @FILE reads a file.")
@click.option(
    "-F",
    "--form",
    multiple=True,
    metavar="NAME=VALUE",
    help="Send a multipart field; NAME=@FILE uploads a file.",
)
@click.option(
    "-T",
    "--upload-file",
    "upload",
    metavar="FILE",
    help="Send the file with PUT; - reads standard input.",
)
@click.option("-u", "--user", metavar="USER:PASSWORD", help="Send these credentials.")
@click.option("--digest", is_flag=True, help="Use Digest instead of Basic authentication with -u.")
@click.option("--bearer", metavar="TOKEN", help="Send a bearer token.")
@click.option("-A", "--user-agent", metavar="TEXT", help="Value of the User-Agent field.")
@click.option("-b", "--cookie", multiple=True, metavar="NAME=VALUE", help="Send a cookie.")
@click.option("-o", "--output", metavar="FILE", help="Write the body to FILE; - is stdout.")
@click.option(
    "-O", "--remote-name", is_flag=True, help="Write the body to a file named as in the URL."
)
@click.option(
    "-C",
    "--continue-at",
    metavar="OFFSET",
    callback=_offset,
    help="Fetch the body from this byte on; - continues the file of -o or -O.",
)
@click.option("-i", "--include", is_flag=True, help="Print the response head before the body.")
@click.option("-I", "--head", is_flag=True, help="Send a HEAD request and print the response head.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Show each step and all heads on stderr, secrets masked.",
)
@click.option(
    "-w",
    "--write-out",
    metavar="FORMAT",
    help="Print this text at the end, with variables such as %{http_code}.",
)
@click.option("--timing", is_flag=True, help="Show on stderr how long each phase took.")
@click.option(
    "-L/--no-location", "--location/ ", "follow", default=True, help="Follow redirects [default]."
)
@click.option(
    "--compressed/--no-compressed",
    default=None,
    help="Accept compressed bodies and decompress them [default].",
)
@click.option("-f", "--fail", is_flag=True, help="Exit with status 22 on a 4xx or 5xx response.")
@click.option("-s", "--silent", is_flag=True, help="Show no errors and no progress.")
@click.option("-S", "--show-error", is_flag=True, help="Show errors even with -s.")
@click.option("-k", "--insecure", is_flag=True, help="Do not verify certificates.")
@click.option("-x", "--proxy", metavar="URL", help="Use this http, https or socks5 proxy.")
@click.option(
    "--resolve",
    multiple=True,
    metavar="HOST:PORT:ADDRESS",
    help="Connect to this address for that host and port.",
)
@click.option("--unix-socket", metavar="PATH", help="Connect to this Unix domain socket.")
@click.option(
    "-m", "--max-time", type=float, metavar="SECONDS", help="Limit for the whole request."
)
@click.option(
    "--connect-timeout",
    type=float,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Limit for connecting.",
)
@click.option("--max-redirects", type=click.IntRange(0), default=20, show_default=True)
@click.option(
    "--max-filesize", type=click.IntRange(1), metavar="BYTES", help="Refuse a larger body."
)
def command(url: str, **given: Any) -> None:
    """Make one request and print the response."""
    if given["output"] is not None and given["remote_name"]:
        raise click.UsageError("only one of -o and -O can be given")
    given["quiet"] = given["silent"] and not given["show_error"]
    if given["compressed"] is None:  # parts of a compressed body cannot be joined
        given["compressed"] = given["continue_at"] is None
    sys.exit(run(url, given))


def run(url: str, given: Options) -> int:
    """Make the request, print the output, and return the exit status."""
    get_run = GetRun(given)
    message = ""
    try:
        method, url, arguments = request_of(url, given)
        status: int = run_in_kernel(get_run.run, method, url, arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except click.ClickException:
        raise
    except Exception as error:
        message = printable(str(error)) or type(error).__name__
        status = exit_status(error)
    else:
        if status == EXIT_HTTP_ERROR:
            reason = printable(str(get_run.response.reason_phrase or ""))
            message = f"the server answered {get_run.response.status_code} {reason}".rstrip()
    if message and not given["quiet"]:
        say(f"asks-fast: {message}")
    if given["write_out"] is not None:
        try:
            write_out(given["write_out"], get_run.response, get_run.output, url, message)
        except Exception as error:
            say(f"asks-fast: {error}")
            status = status or exit_status(error)
    return status


class GetRun:
    """One run of the command, with the response and output so far."""

    def __init__(self, given: Options) -> None:
        self.given = given
        self.response: Any = None
        self.output: Output | None = None

    async def run(self, method: str, url: str, arguments: dict[str, Any]) -> int:
        """Make the request and write the response; return the exit status."""
        from asks_fast.sessions import DSession

        given = self.given
        output = self.output = Output(given, url)
        if given["continue_at"] is not None and output.offset:
            arguments["headers"]["Range"] = f"bytes={output.offset}-"
        if given["verbose"]:
            arguments["on_event"] = Verbose()
        proxy, unix_socket = given["proxy"], given["unix_socket"]
        async with DSession(
            connections=1,
            verify=not given["insecure"],
            proxy=proxy,
            unix_socket=unix_socket,
            hosts=hosts_of(given["resolve"]),
            trust_env=not (proxy or unix_socket),
        ) as session:
            response = self.response = await session.request(
                method, url, timings=given["timing"] or given["write_out"] is not None, **arguments
            )
            async with response.body:
                response.body.decompress_data = given["compressed"]
                failed = given["fail"] and response.status_code >= 400
                if not failed and output.accepts(response):
                    await output.write(response, self._head())
                elif failed and response.status_code == 416 and not output.accepts(response):
                    failed = False  # the file is complete
        if given["timing"]:
            for line in timing_lines(response, output.size):
                say(line)
        return EXIT_HTTP_ERROR if failed else 0

    def _head(self) -> str:
        if not (self.given["include"] or self.given["head"]):
            return ""
        return "".join(f"{line}\r\n" for line in [*head_lines(self.response), ""])
