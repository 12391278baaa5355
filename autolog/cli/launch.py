"""`autolog run`: an unmodified program with autolog on, otherwise as `python` runs it.

The program runs in this process and in its own `__main__`; the standard library is all that is
imported before it, besides what activation needs. It ends by itself: what it raises travels to
the top of the process, where CPython decides on message and exit code.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NoReturn

from autolog.cli.mainmodule import DEPENDENCIES, Program, find_file, find_module
from autolog.cli.uncaught import show_without_launcher

USAGE = """\
Usage: autolog run [OPTIONS] SCRIPT [ARGS]...
       autolog run [OPTIONS] -m MODULE [ARGS]...
       autolog run [OPTIONS] -- COMMAND [ARGS]...

Run a Python program with autolog on. SCRIPT is a file, or a folder or zip archive with a
__main__.py. Output, exceptions and exit code are those of `python SCRIPT ARGS`.

After -- stands a command that starts Python processes itself, such as
`autolog run -- torchrun --nproc-per-node 2 train.py`: it takes the place of this process, and
autolog is on in every Python process below it, through PYTHONPATH. Of ranks of a process group,
rank 0 records. `python -E` and `-I` ignore PYTHONPATH, and so does a Python without autolog.

Options, before the program:
  --experiment NAME     experiment of the runs (default: the script's name)
  --name RUN_NAME       name of the first run
  --store URI           store to write to (default: the nearest .autolog/)
  --tag KEY=VALUE       tag on every run; may be given several times
  --exclude FRAMEWORK   framework to leave alone; may be given several times
  --help                show this text

Options of Python itself come before autolog: python -O -m autolog run SCRIPT

Exit codes: those of the program; 2 if the options above make no sense or autolog cannot start;
126 or 127 if COMMAND cannot be started or is not found.
"""


Target = Literal["script", "module", "command"]


@dataclass(frozen=True, slots=True)
class Options:
    """What stands between `autolog run` and the program."""

    experiment: str | None = None
    name: str | None = None
    store: str | None = None
    tags: dict[str, str] = field(default_factory=dict[str, str])
    exclude: tuple[str, ...] = ()


def main(argv: Sequence[str]) -> None:
    """Run the program that `argv` (without `autolog run`) names."""
    options, target, words = parse(argv)
    if target == "command":
        _execute(words, options)
    program = (find_module if target == "module" else find_file)(words[0], words[1:])
    program.enter()
    _activate(options)
    if program.neighbours() & DEPENDENCIES:
        _load_recording()
    program.enter_path()
    _run(program)


def parse(argv: Sequence[str]) -> tuple[Options, Target, list[str]]:
    """Return the options, what the program is, and the program with its arguments."""
    options, words = Options(), list(argv)
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in ("--help", "-h"):
            sys.stdout.write(USAGE)
            raise SystemExit(0)
        if word.startswith("-m"):
            name = word[2:] or (words.pop(0) if words else _refuse("-m needs a module"))
            return options, "module", [name, *words]
        if word == "--":
            return options, "command", words or [_refuse("a command is missing after --")]
        if word == "-":
            _refuse("a program on standard input cannot be run; save it to a file first")
        option, equals, value = word.partition("=")
        if option not in ("--experiment", "--name", "--store", "--tag", "--exclude"):
            _refuse(f"unknown option {word}; options of Python come before: python -O -m autolog")
        if not equals:
            value = words.pop(0) if words else _refuse(f"{option} needs a value")
        options = _with_option(options, option, value)
    if not words:
        _refuse("a script or -m MODULE is missing")
    return options, "script", words


def _with_option(options: Options, option: str, value: str) -> Options:
    if option == "--tag":
        key, equals, text = value.partition("=")
        if not key or not equals:
            _refuse(f"--tag takes KEY=VALUE, not {value!r}")
        return replace(options, tags={**options.tags, key: text})
    if option == "--exclude":
        return replace(options, exclude=(*options.exclude, value))
    if option == "--experiment":
        return replace(options, experiment=value)
    if option == "--name":
        return replace(options, name=value)
    return replace(options, store=value)


def _refuse(problem: str) -> NoReturn:
    sys.stderr.write(f"autolog run: {problem}\nTry 'autolog run --help'.\n")
    raise SystemExit(2)


def _execute(words: Sequence[str], options: Options) -> NoReturn:
    """Become a command, after a look at whether autolog can be switched on as it is told to."""
    from autolog.cli.execute import execute
    from autolog.errors import AutologError

    _activate(options)
    try:
        execute(words, options)
    except AutologError as error:
        sys.stderr.write(f"autolog run: {error}\n")
        raise SystemExit(2) from None


def _activate(options: Options) -> None:
    """Switch autolog on as a first line `autolog()` in the program would."""
    from autolog import autolog
    from autolog.errors import AutologError

    try:
        _pass_run_name(options.name)
        autolog(
            exclude=options.exclude,
            store=options.store,
            experiment=options.experiment,
            tags=options.tags or None,
        )
    except AutologError as error:
        sys.stderr.write(f"autolog run: {error}\n")
        raise SystemExit(2) from None


def _load_recording() -> None:
    """Import what recording needs, before a file of the program's can stand in its place."""
    names = ("autolog.artifacts.staging", "autolog.capture.port", "autolog.compat.view")
    lazy = ("autolog.patching.proxy", "cloudpickle", "packaging.specifiers", "packaging.version")
    for name in (*names, *lazy):
        importlib.import_module(name)


def _pass_run_name(name: str | None) -> None:
    """Name the first run, without an environment variable that child processes would see."""
    if name is not None:
        from autolog import settings

        settings.assign("run_name", name, lasting=True)


def _run(program: Program) -> None:
    """Start the program; tell tracking how it ended; let CPython end the process."""
    process = os.getpid()
    try:
        program.start(*program.arguments)
    except SystemExit as stop:
        _report(process, _exit_code(stop.code), stop)
        raise
    except BaseException as error:
        # The first entry of the traceback is this frame; the program's own part follows.
        show_without_launcher(error, program.leave)
        _report(process, 130 if isinstance(error, KeyboardInterrupt) else 1, error)
        raise
    program.leave()
    _report(process, 0, None)


def _exit_code(code: object) -> int:
    """Return the exit code that CPython makes of `SystemExit.code`."""
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def _report(process: int, code: int, exception: BaseException | None) -> None:
    """Tell tracking the exit code, if this process (no fork of it) has tracked anything."""
    if os.getpid() != process or "autolog.tracking" not in sys.modules:
        return
    try:
        from autolog.tracking import lifecycle

        lifecycle.exit_known(code, exception)
    except Exception:
        import logging

        logging.getLogger("autolog").debug("the exit could not be recorded", exc_info=True)
