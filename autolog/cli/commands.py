"""The group of all commands but `run`: their names, and what an error looks like.

A command's module is imported when the command is used, so `autolog --help` imports none.

Exit codes: 0 all is well; 1 a problem, said as `Error: ...` on stderr; 2 the command line makes
no sense.
"""

from __future__ import annotations

import importlib
import keyword
import sys
from dataclasses import dataclass
from typing import Any, Final

import click

import autolog
from autolog.errors import AutologError, UsageError

__all__ = ["cli"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A command as `--help` lists it: its group, a line and an example."""

    group: str
    summary: str
    example: str


_ENTRIES: Final = {
    "run": _Entry("Record", "Run a program with autolog on.", "autolog run train.py"),
    "demo": _Entry("Record", "Record a real training and look at it.", "autolog demo"),
    "ls": _Entry("Look", "List runs, newest first.", "autolog ls --tree"),
    "query": _Entry("Look", "Find runs by a filter.", "autolog query 'depth = 0'"),
    "show": _Entry("Look", "Show everything of one run.", "autolog show SVC-k3fa"),
    "sync": _Entry("Keep", "Take journals to their store.", "autolog sync --to URI"),
    "export": _Entry("Keep", "Write runs to a bundle of files.", "autolog export runs.zip"),
    "import": _Entry("Keep", "Take in the runs of a bundle.", "autolog import runs.zip"),
    "gc": _Entry("Keep", "Remove for good what nobody needs.", "autolog gc --dry-run"),
    "store": _Entry("Keep", "Say how large the store is.", "autolog store"),
    "status": _Entry("Check", "Say what the store holds.", "autolog status"),
    "journal": _Entry("Check", "Look at journals, and repair one.", "autolog journal verify"),
    "doctor": _Entry("Check", "Check the installation.", "autolog doctor --probe"),
    "compat": _Entry("Check", "Show what was tested.", "autolog compat outdated"),
}


class _Refused(click.ClickException):
    """What was asked makes no sense; the message says why, so no usage stands above it."""

    exit_code = 2


class _Commands(click.Group):
    """Finds commands by name, imports one when it is used, and prints our errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _ENTRIES:
            return None
        if cmd_name == "run":
            return _run
        module = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        return importlib.import_module(f"autolog.cli.{module}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        if args and args[0] not in _ENTRIES and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], _ENTRIES, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        summaries = max(len(entry.summary) for entry in _ENTRIES.values())
        for group in dict.fromkeys(entry.group for entry in _ENTRIES.values()):
            rows = [
                (name, f"{entry.summary:{summaries}}  {entry.example}")
                for name, entry in _ENTRIES.items()
                if entry.group == group
            ]
            with formatter.section(group):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            raise _Refused(str(error)) from error
        except AutologError as error:
            raise click.ClickException(str(error)) from error


@click.command("run", add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def _run(words: tuple[str, ...]) -> None:
    """Run a program; `autolog.cli.main` comes here only if it was not the first word."""
    from autolog.cli import launch

    launch.main(words)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"autolog {autolog.__version__}")
        ctx.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all is well, 1 a problem was found, 2 the command line makes no sense."
    " Every command but run has --json; `autolog COMMAND --help` says more.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version of autolog.",
)
def cli() -> None:
    """Record every training with one line, or none, and look at what was recorded."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding cannot show must not end the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
