"""`autolog run -- COMMAND`: a command with autolog on in every Python process that it starts.

`torchrun`, `accelerate launch`, `mpirun` and shell scripts start the program in processes of their
own. The command takes the place of this process, so its output, its exit code and the signals it
gets are its own. What it inherits is `PYTHONPATH`, which names a folder with a `sitecustomize`, and
the settings given before the command, as `AUTOLOG_*`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from autolog.cli.launch import Options

__all__ = ["environment_for", "execute"]

_BOOT: Final = str(Path(__file__).resolve().parent.parent / "_boot")

_NOT_FOUND: Final = 127
_NOT_EXECUTABLE: Final = 126
"""Exit codes of a shell for a command that cannot be started."""


def execute(words: Sequence[str], options: Options) -> NoReturn:
    """Become the command."""
    environment = environment_for(options, os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if sys.platform == "win32":  # exec gives the console back at once there
            raise SystemExit(subprocess.call([*words], env=environment))  # noqa: S603
        os.execvpe(words[0], [*words], environment)  # noqa: S606
    except OSError as error:
        hint = ""
        if words[0].endswith(".py"):
            hint = "; a Python script stands without the --, or behind the name of a Python"
        sys.stderr.write(f"autolog run: {words[0]}: {error.strerror or error}{hint}\n")
        missing = isinstance(error, FileNotFoundError)
        raise SystemExit(_NOT_FOUND if missing else _NOT_EXECUTABLE) from None


def environment_for(options: Options, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the command.

    Raises:
        UsageError: a tag cannot be said in an environment variable.
        StoreError, SettingsError: the settings do not hold.
    """
    changed = dict(environment)
    before = changed.get("PYTHONPATH", "")
    if _BOOT not in before.split(os.pathsep):
        # An empty entry would be the working directory, which is not on the path of a script.
        changed["PYTHONPATH"] = os.pathsep.join([_BOOT, before]) if before else _BOOT
    if options.store is not None:
        from autolog.store.location import locate

        changed["AUTOLOG_STORE"] = locate(options.store).address
    if options.experiment is not None:
        changed["AUTOLOG_EXPERIMENT"] = options.experiment
    if options.name is not None:
        changed["AUTOLOG_RUN_NAME"] = options.name
    if options.tags:
        changed["AUTOLOG_TAGS"] = _tags(options.tags)
    if options.exclude:
        from autolog import settings

        names = dict.fromkeys([*settings.value("disabled"), *options.exclude])
        changed["AUTOLOG_DISABLED"] = ",".join(names)
    return changed


def _tags(tags: Mapping[str, str]) -> str:
    from autolog.errors import UsageError
    from autolog.settings import parse_tags

    text = ",".join(f"{key}={value}" for key, value in tags.items())
    read: dict[str, str] = {}
    with contextlib.suppress(ValueError):
        read = parse_tags(text)
    if read != tags:
        raise UsageError(
            f"tags {text!r} cannot be handed to a command: commas, and blanks around a name or a"
            " value, are not kept in AUTOLOG_TAGS"
        )
    return text
