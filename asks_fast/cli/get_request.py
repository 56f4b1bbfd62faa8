"""The request that the options of `asks-fast get` describe: URL, method and request arguments.

Everything here happens before a connection is made. Files named by `@FILE` and `-T FILE` are
opened here, so an unreadable file causes exit status 26 and no request.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import click

from asks_fast.auth import BasicAuth, BearerAuth, DigestAuth
from asks_fast.cli.exit_codes import CannotRead
from asks_fast.cli.values import pairs
from asks_fast.crawl.inputs import with_scheme
from asks_fast.crawl.options import default_user_agent

__all__ = ["Options", "hosts_of", "request_of"]

Options = dict[str, Any]  # the options of the command, by name
FORM = "application/x-www-form-urlencoded"


def request_of(url: str, given: Options) -> tuple[str, str, dict[str, Any]]:
    """Return method, URL and arguments of the request.

    Raises:
        CannotRead: a file cannot be read.
        click.UsageError: options exclude each other or have the wrong form.
    """
    arguments: dict[str, Any] = {
        "connection_timeout": given["connect_timeout"],
        "timeout": given["max_time"],
        "stream": True,
        "headers": {
            "User-Agent": given["user_agent"] or default_user_agent(),
            **({} if given["compressed"] else {"Accept-Encoding": "identity"}),
            **pairs(given["header"], ":", "a header"),
        },
    }
    url = with_scheme(url)
    bodies = {
        "data": given["data"],
        "json": given["json_text"] is not None,
        "multipart": given["form"],
        "upload": given["upload"] is not None,
    }
    if sum(map(bool, bodies.values())) > 1:
        raise click.UsageError("only one of -d, --json, -F and -T can be given")
    method = "GET"
    if given["data"] and given["as_query"]:
        url = _with_query(url, _form(given["data"]))
    elif given["data"]:
        method = "POST"
        arguments.update(data=_form(given["data"]), mimetype=FORM)
    elif given["json_text"] is not None:
        method = "POST"
        arguments["json"] = _json(given["json_text"])
    elif given["form"]:
        method = "POST"
        fields = pairs(given["form"], "=", "a field")
        arguments["multipart"] = {name: _path_or_text(value) for name, value in fields.items()}
    elif given["upload"] is not None:
        method = "PUT"
        url = _upload_url(url, given["upload"])
        arguments["data"] = _upload_body(given["upload"])
    if given["head"]:
        method = "HEAD"
    _add_rest(arguments, given)
    return given["method"] or method, url, arguments


def _add_rest(arguments: dict[str, Any], given: Options) -> None:
    """Add cookies, credentials and redirect options."""
    if given["cookie"]:
        arguments["cookies"] = pairs(given["cookie"], "=", "a cookie")
    if given["user"]:
        user, _, password = given["user"].partition(":")
        arguments["auth"] = (DigestAuth if given["digest"] else BasicAuth)((user, password))
    elif given["bearer"]:
        arguments["auth"] = BearerAuth(given["bearer"])
    if given["follow"] and given["max_redirects"]:
        arguments["max_redirects"] = given["max_redirects"]
    else:
        arguments["follow_redirects"] = False


def hosts_of(given: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the argument `hosts=` of a session from `--resolve HOST:PORT:ADDRESS[,ADDRESS]`."""
    found: dict[str, list[str]] = {}
    for entry in given:
        host, _, rest = entry.removeprefix("+").partition(":")
        port, colon, addresses = rest.partition(":")
        if not host or not colon or not addresses or not (port.isdigit() or port == "*"):
            raise click.UsageError(
                f"--resolve takes HOST:PORT:ADDRESS[,ADDRESS…], PORT may be *; found {entry!r}"
            )
        name = host if port == "*" else f"{host}:{int(port)}"
        found[name] = [address.strip().strip("[]") for address in addresses.split(",")]
    return found


# -- bodies


def read_file(name: str) -> bytes:
    """Return the content of a file; `-` is standard input.

    Raises:
        CannotRead: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CannotRead(f"cannot read {name}: {error.strerror or error}") from error


def _form(pieces: tuple[tuple[str, str], ...]) -> bytes:
    """Join the pieces of -d and related options, each with the name of its option."""
    return b"&".join(_FORM_PIECES[option](value) for option, value in pieces)


def _data(value: str) -> bytes:
    """Return a piece of `-d`; of a file, line ends and NULs are left out, as curl does."""
    if not value.startswith("@"):
        return value.encode()
    return read_file(value[1:]).translate(None, b"\r\n\0")


def _data_binary(value: str) -> bytes:
    return read_file(value[1:]) if value.startswith("@") else value.encode()


def _data_urlencode(value: str) -> bytes:
    """Return a piece of `--data-urlencode`: `text`, `=text`, `name=text`, `@file`, `name@file`."""
    name, equals, text = value.partition("=")
    if not equals:
        name, at, file = value.partition("@")
        if not at:
            return quote_plus(value).encode()
        text = read_file(file)  # type: ignore[assignment]
    return (f"{name}=" if name else "").encode() + quote_plus(text).encode()


_FORM_PIECES: dict[str, Callable[[str], bytes]] = {
    "data": _data,
    "data_raw": lambda value: value.encode(),
    "data_binary": _data_binary,
    "data_urlencode": _data_urlencode,
}


def _with_query(url: str, query: bytes) -> str:
    address, hash_sign, fragment = url.partition("#")
    sign = "&" if "?" in address else "?"
    text = query.decode("utf-8", "surrogateescape")
    return f"{address}{sign}{text}{hash_sign}{fragment}"


def _json(value: str) -> Any:
    text = _data_binary(value)
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--json: invalid JSON: {error}") from error


def _path_or_text(value: str) -> Any:
    if not value.startswith("@"):
        return value
    path = Path(value[1:])
    try:
        path.open("rb").close()
    except OSError as error:
        raise CannotRead(f"cannot read {path}: {error.strerror or error}") from error
    return path


def _upload_url(url: str, name: str) -> str:
    """Return the URL of an upload; a URL that ends with `/` gets the name of the file."""
    scheme, _, rest = url.partition("://")
    if name in ("-", ".") or not (rest.endswith("/") or "/" not in rest):
        return url
    slash = "" if rest.endswith("/") else "/"
    return f"{scheme}://{rest}{slash}{quote(os.path.basename(name))}"


def _upload_body(name: str) -> Any:
    """Return a path, or an iterator over standard input."""
    if name in ("-", "."):
        return iter(lambda: os.read(0, 1 << 16), b"")
    return _path_or_text("@" + name)
