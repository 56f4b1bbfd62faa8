"""Values on the command line: rates, sizes, pairs, and the file of URLs.

Each function takes the text of an option and raises `click.UsageError` if it is invalid.
"""

from __future__ import annotations

import os
import re
import shlex

import click

__all__ = ["check_source", "pairs", "rate", "size"]


def rate(text: str) -> float:
    """Return a rate per second from 5, 0.5, 100/m or 1000/h."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(?:/([smh]))?", text)
    if not found or not float(found[1]):
        raise click.BadParameter(f"a rate is like 5, 0.5, 100/m or 1000/h, found {text!r}")
    return float(found[1]) / {None: 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def size(text: str) -> int:
    """Return a number of bytes from 500000, 500k, 50M or 2G; 0 means no limit."""
    found = re.fullmatch(r"(\d+)([kKmMgG]?)(?:i?[bB])?", text)
    if not found:
        raise click.BadParameter(f"a size is like 500000, 500k, 50M or 2G, found {text!r}")
    unit: int = 1024 ** " kmg".index(found[2].lower() or " ")
    return int(found[1]) * unit


_LOOKS_LIKE_URL = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+)(:\d+)?(/.*)?")


def check_source(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Return the name of the input file; raise an error with a hint if it does not exist."""
    if value != "-" and not os.path.exists(value):
        text = f"file {value!r} does not exist"
        if "://" in value or _LOOKS_LIKE_URL.fullmatch(value):
            url = shlex.quote(value)
            text += (
                f". To fetch this one URL: asks-fast get {url}; to pass URLs on standard input: "
                f"echo {url} | asks-fast fetch -"
            )
        raise click.BadParameter(text)
    if value != "-" and os.path.isdir(value):
        raise click.BadParameter(f"{value!r} is a directory")
    return value


def pairs(values: tuple[str, ...], sign: str, what: str) -> dict[str, str]:
    """Return names and values from `Name: value` or `name=value`."""
    made = {}
    for value in values:
        name, found, rest = value.partition(sign)
        if not found or not name.strip():
            raise click.UsageError(f"{what} is like {what[0].upper()}{sign} …, found {value!r}")
        made[name.strip()] = rest.strip()
    return made
