"""The command line: `autolog COMMAND ...`, also as `python -m autolog COMMAND ...`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that `sys.argv` names.

    `run` starts a user's program in this very process, so it goes its own way first: nothing of
    the other commands (click, rich, a database) is imported into that program.
    """
    if sys.version_info < (3, 10):  # noqa: UP036  where pip's check was overruled
        sys.exit(
            "Error: autolog needs Python 3.10 or newer, and this is "
            + sys.version.split()[0]
            + ": the frameworks that it supports have no releases for it any more"
        )
    if sys.argv[1:2] == ["run"]:
        if not getattr(sys.flags, "safe_path", sys.flags.isolated):
            # The folder of this command, or the working directory: not for what comes now (a
            # `logging.py` may lie there); the program gets its own first entry.
            del sys.path[0]
        from autolog.cli import launch

        launch.main(sys.argv[2:])
        return
    from autolog.cli.commands import cli

    cli(prog_name="autolog")
