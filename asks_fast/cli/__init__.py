"""The command `asks-fast`.

Invariants: nothing is imported before it is needed: click and rich are extras, and the module of a
        command is imported when the command is called.

Implemented elsewhere: the commands (`group.COMMANDS` names their modules).
"""

from __future__ import annotations

import sys

from asks_fast._extras import missing_extra

__all__ = ["main"]

NEEDED = ("click", "rich")


def main() -> None:
    """Run the command line; exit with status 1 if the extra `cli` is not installed."""
    try:
        for name in NEEDED:
            __import__(name)
    except ImportError:
        sys.exit(missing_extra("the command line", " ".join(NEEDED), "cli"))
    from asks_fast.cli.group import group

    group(prog_name="asks-fast")
