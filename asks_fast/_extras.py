"""Messages about optional packages that are not installed."""

from __future__ import annotations


def missing_extra(what: str, package: str, extra: str) -> str:
    """Return a sentence that names the missing package and the command that installs it.

    Args:
        what: the feature that needs the package.
        package: name of the package.
        extra: extra of asks-fast that installs it.
    """
    return f'{what} needs the package {package}: pip install "asks-fast[{extra}]"'
