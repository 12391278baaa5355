"""Makes the environment of a row with uv, and keeps it for the next time.

An environment is good for as long as what was asked for is the same: the row's Python and pins, and
autolog's own pyproject.toml. uv takes packages from its cache, and as hard links where it can.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from autolog.compat.rows import Row
from autolog.errors import AutologError

__all__ = ["FOLDER", "InstallError", "make", "plain_environ"]

FOLDER = ".matrix"
"""Where environments and logs lie, below the root."""

_TESTS_NEED = ("pytest>=8.2", "hypothesis>=6.100")
_KEPT = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TZ", "CI"),
    *("TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "COMSPEC"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("REQUESTS_CA_BUNDLE", "NETRC", "PYENV_ROOT", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"),
}
_KEPT_PREFIX = ("LC_", "UV_", "PIP_", "XDG_")

_TIMEOUT = 1800
"""Seconds for one command of uv: a torch with CUDA is 3 GB."""


class InstallError(AutologError):
    """An environment could not be made; the message has uv's last lines."""


Call = Callable[[Sequence[str], Mapping[str, str], IO[bytes], float], "int | None"]
"""Runs a command to its end: its words, environment, output and time limit in seconds."""


def make(row: Row, root: Path, call: Call, *, fresh: bool = False) -> tuple[Path, bool]:
    """Return the interpreter of the row's environment, and whether it had to be made.

    Args:
        row: the row.
        root: the checkout; the environment lies in `.matrix/` below it.
        call: runs uv; returns its exit code, or None if it took too long.
        fresh: make it anew in any case.

    Raises:
        InstallError: uv is missing, or could not find or install something.
    """
    place = root / FOLDER / "environments" / row.id
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = place / "made-from.json"
    wanted = _made_from(row, root)
    if not fresh and python.exists() and _read(stamp) == wanted:
        return python, False
    shutil.rmtree(place, ignore_errors=True)
    extra = f"[{row.framework}]" if row.framework else ""
    log = root / FOLDER / "logs" / f"{row.id}.uv.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    _uv(call, log, "venv", "--quiet", "--python", _interpreter(row.python), str(place))
    _uv(
        call,
        log,
        *("pip", "install", "--quiet", "--python", str(python)),
        *("--editable", f"{root}{extra}", *_TESTS_NEED, *row.requirements),
    )
    stamp.write_text(wanted)
    return python, True


def plain_environ() -> dict[str, str]:
    """Return of this process's environment what finds programs, files and packages.

    Nothing that a framework, pytest or autolog reads. What uv and pip are told stays, and with it
    constraints on what they install.
    """
    kept = {key: value for key, value in os.environ.items() if key.upper().startswith(_KEPT_PREFIX)}
    return kept | {key: value for key, value in os.environ.items() if key.upper() in _KEPT}


def _read(stamp: Path) -> str | None:
    try:
        return stamp.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # as good as none: the environment is made anew
        return None


def _made_from(row: Row, root: Path) -> str:
    project = hashlib.sha256((root / "pyproject.toml").read_bytes()).hexdigest()
    return json.dumps([row.python, row.requirements, _TESTS_NEED, project])


def _uv(call: Call, log: Path, *words: str) -> None:
    with open(log, "wb") as out:
        code = call([*_command(), *words], _uv_environ(), out, _TIMEOUT)
    if code is None:
        raise InstallError(f"uv {' '.join(words[:2])} took more than {_TIMEOUT} s")
    if code != 0:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-6:]
        last = " | ".join(line.strip() for line in said)
        raise InstallError(f"uv {' '.join(words[:2])} failed: {last}")


def _command() -> list[str]:
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    if found is None:
        raise InstallError("the matrix is run with uv, which is not installed: pip install uv")
    return [found]


def _uv_environ() -> dict[str, str]:
    """Tell uv what pip knows: folders of wheels and the index."""
    env = plain_environ()
    for ours, theirs in (("UV_FIND_LINKS", "PIP_FIND_LINKS"), ("UV_INDEX_URL", "PIP_INDEX_URL")):
        if theirs in env:
            env.setdefault(ours, env[theirs])
    return env


def _interpreter(version: str) -> str:
    """Return an interpreter of that version that starts, else the version for uv to find.

    pyenv's shims are on the path for versions that are not switched on, and fail.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)
    for candidate in (shutil.which(f"python{version}"), *map(str, installed)):
        if candidate is None:
            continue
        answer = subprocess.run(  # noqa: S603  an interpreter, asked for its version
            [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            env=plain_environ(),  # as uv will start it
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.stdout.strip() == version:
            return candidate
    return version
