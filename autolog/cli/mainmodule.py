"""How CPython starts a program: the module `__main__`, `sys.argv` and `sys.path`.

What `pymain_run_python` and `_PyRun_SimpleFile` do in C is repeated here for a program that is
started inside a running interpreter. `python -m` and folders need no copy: CPython itself hands
them to `runpy._run_module_as_main`, and so does this module.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import machinery
from types import CodeType, ModuleType
from typing import Any, NoReturn

DEPENDENCIES = frozenset({"cloudpickle", "msgspec", "packaging", "typing_extensions", "wrapt"})
"""What recording imports while the program runs: files of these names must not be taken for it."""

_STARTUP = frozenset(
    {
        *("__main__", "_collections_abc", "_sitebuiltins", "abc", "codecs", "encodings"),
        *("genericpath", "io", "ntpath", "os", "posixpath", "site", "stat", "zipimport"),
        *sys.builtin_module_names,
    }
)
"""Modules that CPython has loaded before it looks at the program: no file beside it is asked."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program ready to start with `start(*arguments)`, and what it sees of itself.

    Args:
        start: `exec` or runpy's entry: called directly, so that no other frame of ours exists.
        arguments: of `start`.
        main: its `__main__`.
        argv: its `sys.argv`.
        path: the first entry of its `sys.path`; None if it gets none (`python -P`).
        is_file: run by file name: CPython removes `__file__` once the program has ended.
    """

    start: Callable[..., object]
    arguments: tuple[object, ...]
    main: ModuleType
    argv: list[str]
    path: str | None
    is_file: bool

    def enter(self) -> None:
        """Make this the process's program, all but `sys.path`."""
        sys.modules["__main__"] = self.main
        sys.argv = self.argv

    def enter_path(self) -> None:
        """Put the program's folder first on `sys.path`, and let go of what it shadows.

        A file `platform.py` beside a script is what the script's `import platform` finds under
        plain Python, so the standard library's module, loaded by now for our own use, has to
        leave `sys.modules`; so has a dependency of ours.
        """
        if self.path is None:
            return
        sys.path.insert(0, self.path)
        for name in self.neighbours() & ((sys.stdlib_module_names - _STARTUP) | DEPENDENCIES):
            for loaded in [m for m in sys.modules if m == name or m.startswith(name + ".")]:
                if not _is_below(sys.modules[loaded], self.path):
                    del sys.modules[loaded]

    def neighbours(self) -> set[str]:
        """Return the names of the modules that may lie in the program's folder."""
        try:
            found = os.listdir(self.path) if self.path is not None else []  # noqa: PTH208
        except OSError:
            return set()
        return {name.partition(".")[0] for name in found}

    def leave(self) -> None:
        """Remove what CPython removes after the last line of a script."""
        if self.is_file:
            self.main.__dict__.pop("__file__", None)
            self.main.__dict__.pop("__cached__", None)


def find_module(name: str, arguments: list[str]) -> Program:
    """Prepare `python -m name arguments`; whether the module exists is runpy's to say."""
    path = os.getcwd() if _has_path0() else None  # noqa: PTH109
    return Program(_runpy_entry(), (name, True), _fresh_main(), ["-m", *arguments], path, False)


def find_file(name: str, arguments: list[str]) -> Program:
    """Prepare `python name arguments`: a script, its bytecode, a folder or a zip archive.

    A file that cannot be read or compiled is handed to Python itself, in place of this process:
    nothing of it has run, and the message and exit code are Python's own.
    """
    path = _absolute(name)
    argv = [name, *arguments]
    if _is_importable(path):
        return Program(_runpy_entry(), ("__main__", False), _fresh_main(), argv, path, False)
    main = _fresh_main()
    try:
        code = _load(path, main)
    except (OSError, SyntaxError, ValueError, ImportError, EOFError):
        _exec_python(argv)
    folder = os.path.dirname(os.path.realpath(path)) if _has_path0() else None  # noqa: PTH120
    return Program(exec, (code, main.__dict__), main, argv, folder, True)


def _runpy_entry() -> Callable[..., object]:
    """Return what CPython itself calls for `-m`, so that messages and tracebacks agree."""
    import runpy

    entry: Any = vars(runpy)["_run_module_as_main"]
    return entry


def _load(path: str, main: ModuleType) -> CodeType:
    """Compile the file, and tell `main` where it came from."""
    code: CodeType | None
    if path.endswith(".pyc"):
        bytecode = machinery.SourcelessFileLoader("__main__", path)
        main.__loader__, code = bytecode, bytecode.get_code("__main__")
        assert code is not None
    else:
        main.__loader__ = machinery.SourceFileLoader("__main__", path)
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
    main.__file__ = path
    main.__dict__["__cached__"] = None
    return code


def _fresh_main() -> ModuleType:
    """Return a module `__main__` as CPython makes it, before a program is known."""
    main = ModuleType("__main__")
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    main.__dict__["__builtins__"] = builtins
    main.__loader__ = machinery.BuiltinImporter  # type: ignore[assignment]
    return main


def _has_path0() -> bool:
    """Whether this interpreter puts the program's folder first on `sys.path`."""
    return not getattr(sys.flags, "safe_path", sys.flags.isolated)


def _absolute(name: str) -> str:
    """Return `name` below the working directory, not normalised: CPython's `_Py_abspath`."""
    if os.path.isabs(name):  # noqa: PTH117
        return name
    if name == "." and sys.version_info >= (3, 11):
        return os.getcwd()  # noqa: PTH109
    return os.path.join(os.getcwd(), name)  # noqa: PTH109, PTH118


def _is_importable(path: str) -> bool:
    """Whether `path` can stand on `sys.path`: a folder, or a zip archive."""
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def _is_below(module: ModuleType, folder: str) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.startswith(os.path.join(folder, ""))  # noqa: PTH118


def _exec_python(argv: list[str]) -> NoReturn:
    """Replace this process by plain Python with the same interpreter options."""
    import subprocess

    flags: Any = vars(subprocess)["_args_from_interpreter_flags"]
    command: list[str] = [sys.executable, *flags(), *argv]
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execv(sys.executable, command)  # noqa: S606
    raise SystemExit(subprocess.run(command, check=False).returncode)  # noqa: S603
