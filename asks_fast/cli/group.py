"""The group of subcommands, each imported when it is called.

Invariants: a command is a module `asks_fast.cli.<name>` with a click command named `command`. Its
        help line is here, so `asks-fast --help` imports none of the modules.
"""

from __future__ import annotations

import importlib
import shlex
from importlib.util import find_spec
from typing import Any

import click

from asks_fast._extras import missing_extra

EXIT_INTERRUPTED = 130  # as in `exit_codes`, which imports more than `--help` needs

COMMANDS = {
    "get": "Make one request and print the response.",
    "fetch": "Fetch many URLs into a file, with limits for each host.",
    "crawl": "Follow the links of web sites, and write each page into a file.",
    "bench": "Load a server and show its latencies, or compare installed clients.",
    "demo": "Make ten thousand requests to a local server, or start that server.",
}


class LazyGroup(click.Group):
    """A group that finds a subcommand by name in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if find_spec(f"asks_fast.cli.{name}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            module = importlib.import_module(f"asks_fast.cli.{cmd_name}")
        except ModuleNotFoundError as error:
            if error.name and error.name.startswith("asks_fast"):
                raise
            name = error.name or "?"
            raise click.ClickException(
                missing_extra(f"asks-fast {cmd_name}", name, "cli")
            ) from error
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; the error for an unknown one names what was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            if args[0] in COMMANDS or args[0].startswith("-"):
                raise
            text = f"no such command {args[0]!r}. {_suggestion(args[0])}"
            raise click.UsageError(text, ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; Ctrl-C outside its own handling ends it with status 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


def _suggestion(name: str) -> str:
    """Return what to say about an unknown command."""
    if "://" in name or "." in name:
        return f"To request a URL: asks-fast get {shlex.quote(name)}"
    from difflib import get_close_matches  # only needed after a mistake

    near = get_close_matches(name.lower(), COMMANDS, n=1)
    return f"Did you mean {near[0]}?" if near else f"Commands: {', '.join(COMMANDS)}"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="asks-fast")
def group() -> None:
    """Make HTTP requests: one, or very many."""
