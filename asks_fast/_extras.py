"""Messages about optional packages that are not installed."""

from __future__ import annotations


def missing_extra(what: str, package: str, extra: str) -> str:
    """One sentence: what needs which package, and the command that installs it."""
    return f'{what} needs the package {package}: pip install "asks-fast[{extra}]"'
