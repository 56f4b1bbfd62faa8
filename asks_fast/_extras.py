"""Messages about optional packages that are not installed."""

from __future__ import annotations


def missing_extra(what: str, package: str, extra: str) -> str:
    """Return a sentence that names the missing packages and the command that installs them.

    The command works however asks_fast was installed, from a clone too.

    Args:
        what: the feature that needs the packages.
        package: name of the package, or names separated by spaces.
        extra: extra of asks-fast that contains it.
    """
    plural = "s" if " " in package else ""
    return (
        f"{what} needs the package{plural} {package.replace(' ', ' and ')}: "
        f"pip install {package} (extra {extra} of asks-fast)"
    )
