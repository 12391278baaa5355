"""Where the runs of this process come from: user, host, script, arguments, commit, versions.

Taken once, at the first run, without starting a process or a thread and without importing a
framework. What takes longer (whether the work tree is dirty, the installed packages) is added
when the program ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from autolog import settings
from autolog.journal.lease import this_process
from autolog.journal.records import Process
from autolog.tracking.git import Checkout, find_checkout, is_dirty
from autolog.tracking.values import well_formed

__all__ = [
    "Source",
    "at_exit",
    "at_start",
    "find_source",
    "process_start_us",
    "redact",
    "user_name",
]

_SECRETS: Final = ("token", "secret", "passwd", "password", "apikey", "credential")

_PAIR: Final = re.compile(r"([?&][^=&]*=)[^&]*")

_MODULES: Final = 2000
_MODULE_BYTES: Final = 1 << 20
"""More files, or longer ones, are no program that was written by hand."""


class Source(msgspec.Struct, frozen=True):
    """What is running: a `script`, `module`, `notebook` or `interactive` session.

    `name` is what a reader knows it by (a path, a dotted name), `stem` what an experiment is
    called after it, `path` the file if there is one.
    """

    kind: str
    name: str
    stem: str
    path: Path | None


def find_source() -> Source:
    """Find out what this process runs."""
    notebook = _notebook()
    if notebook is not None:
        return notebook
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    path = Path(file).absolute() if isinstance(file, str) else None
    if spec is not None and getattr(spec, "name", None):
        name = str(spec.name).removesuffix(".__main__")
        return Source("module", name, name.rpartition(".")[2], path)
    if path is not None:
        return Source("script", str(path), path.stem, path)
    return Source("interactive", "interactive", "interactive", None)


def user_name() -> str | None:
    """Return the user that runs belong to: AUTOLOG_USER, else the login name."""
    given = settings.value("user")
    if given:
        return str(given)
    for variable in ("LOGNAME", "USER", "USERNAME"):
        if os.environ.get(variable):
            return os.environ[variable]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):  # no such database, or no entry for this uid (containers)
        return None


def process_start_us() -> int | None:
    """Return when this process began (us since the epoch), to a hundredth of a second.

    A process that began while a training was open in its parent is the training's worker.
    """
    start = this_process().process.start
    if not start or not sys.platform.startswith("linux"):
        return start or None
    ticks: int = os.sysconf("SC_CLK_TCK")
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - start / ticks
    return None if age < 0 else time.time_ns() // 1000 - round(age * 1e6)


def redact(arguments: Iterable[str]) -> list[str]:
    """Replace values that look like secrets: `--api-key X`, `TOKEN=X`, `https://user:X@host`."""
    cleaned: list[str] = []
    hide_next = False
    for argument in arguments:
        name, sign, _ = argument.partition("=")
        if hide_next and not argument.startswith("-"):
            cleaned.append("***")
            hide_next = False
            continue
        hide_next = False
        if sign and _is_secret(name):
            cleaned.append(f"{name}=***")
            continue
        hide_next = argument.startswith("-") and _is_secret(argument)
        cleaned.append(_without_credentials(argument))
    return cleaned


def _is_secret(name: str) -> bool:
    word = name.lower().replace("-", "").replace("_", "")
    return any(secret in word for secret in _SECRETS)


def _without_credentials(argument: str) -> str:
    """Mask the user and password of an address, and what its query says of passwords."""
    scheme, sign, rest = argument.partition("://")
    if not sign:
        return argument
    host, slash, path = rest.partition("/")
    port = host.rpartition(":")[2]
    if "@" in host:
        rest = f"***@{host.rpartition('@')[2]}{slash}{path}"
    elif "@" in path and ":" in host and not port.isdigit():  # a slash in the password
        rest = f"***@{path.rpartition('@')[2]}"
    return f"{scheme}://{_PAIR.sub(_masked_pair, rest)}"


def _masked_pair(pair: re.Match[str]) -> str:
    return f"{pair[1]}***" if _is_secret(pair[1]) else pair[0]


def at_start(source: Source, versions: dict[str, str], details: dict[str, Any]) -> Process:
    """Describe this process. `versions` are those of the frameworks that are loaded."""
    checkout = _checkout(source)
    return Process(
        user=user_name(),
        source=well_formed(source.name),
        source_type=source.kind,
        argv=[well_formed(argument) for argument in redact(sys.argv)],
        cwd=_working_directory(),
        commit=checkout.commit if checkout else None,
        branch=checkout.branch if checkout else None,
        python=sys.version.split()[0],
        packages=versions,
        details=details,
    )


def at_exit(source: Source, versions: dict[str, str], timeout: float) -> Process:
    """Describe what only the end of the program has time for; other fields stay None."""
    checkout = _checkout(source)
    dirty = is_dirty(checkout.root, timeout) if checkout and checkout.commit else None
    details: dict[str, Any] = {}
    root = checkout.root if checkout else source.path and source.path.parent
    if root is not None and dirty is not False:  # else the commit says it all
        details["modules"] = _modules(root)
    return Process(dirty=dirty, packages={**_installed(), **versions}, details=details)


def _modules(root: Path) -> dict[str, str]:
    """Return the sha256 of the source of each loaded module of the project, by relative path."""
    found: dict[str, str] = {}
    for module in list(sys.modules.values()):
        # Not by getattr, which makes a lazy module import itself.
        file = module.__dict__.get("__file__") if isinstance(module, ModuleType) else None  # type: ignore[reportUnnecessaryIsInstance]
        if not isinstance(file, str) or len(found) == _MODULES:
            continue
        path = Path(file)
        if "site-packages" in path.parts or not path.is_relative_to(root):
            continue
        with contextlib.suppress(OSError):
            if path.suffix == ".py" and path.stat().st_size <= _MODULE_BYTES:
                name = well_formed(path.relative_to(root).as_posix())
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return dict(sorted(found.items()))


def _checkout(source: Source) -> Checkout | None:
    start = source.path.parent if source.path else None
    if start is None:
        working = _working_directory()
        start = Path(working) if working else None
    return find_checkout(start) if start else None


def _working_directory() -> str | None:
    try:
        return well_formed(os.getcwd())  # noqa: PTH109
    except OSError:
        return None


def _notebook() -> Source | None:
    shell = sys.modules.get("IPython")
    get = getattr(shell, "get_ipython", None)
    session = get() if get else None
    if session is None:
        return None
    given = os.environ.get("JPY_SESSION_NAME") or session.user_ns.get("__vsc_ipynb_file__")
    if given:
        path = Path(str(given))
        return Source("notebook", str(given), path.stem, path if path.is_absolute() else None)
    kind = "notebook" if getattr(session, "kernel", None) is not None else "interactive"
    return Source(kind, kind, kind, None)


def _installed() -> dict[str, str]:
    """List installed distributions by the names of their metadata folders, which is one listing."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info"):
                distribution, _, version = name.removesuffix(".dist-info").rpartition("-")
                if distribution:
                    found.setdefault(distribution.lower().replace("_", "-"), version)
    return dict(sorted(found.items()))
