"""Imports frameworks with autolog on and reports every site: `doctor --probe` starts this.

`python -m autolog.cli.probe FILE NAME...` writes its answer to FILE, because frameworks print
what they like. It runs in a process of its own: a framework may end the process it is imported
into, and cannot be unloaded.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Probed", "Site", "probe"]

_TIMEOUT = 300


class Site(msgspec.Struct, frozen=True):
    """A place in a framework, and what has become of it."""

    place: str
    state: str
    reason: str | None = None


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of importing one framework; `error` says why it could not be imported."""

    integration: str
    sites: list[Site] = []
    error: str | None = None

    @property
    def problems(self) -> list[str]:
        """What keeps parts of this framework from being recorded."""
        lost = [site for site in self.sites if site.state in ("missing", "faulted", "replaced")]
        found = [
            f"{site.place} is {site.state}: {site.reason or 'no reason known'}" for site in lost
        ]
        return [self.error, *found] if self.error else found


def probe(names: Sequence[str]) -> list[Probed]:
    """Import the frameworks of these integrations, each in a fresh process."""
    return [_probe_one(name) for name in names]


def _probe_one(name: str) -> Probed:
    with tempfile.TemporaryDirectory(prefix="autolog-") as folder:
        answer = Path(folder, "answer.json")
        command = [sys.executable, "-m", "autolog.cli.probe", str(answer), name]
        env = {**os.environ, "AUTOLOG_STORE": folder, "AUTOLOG_DISABLED": ""}
        try:
            done = subprocess.run(  # noqa: S603  our own module
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                env=env,
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Probed(integration=name, error=f"importing {name} took more than {_TIMEOUT} s")
        if not answer.exists():
            last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            error = f"importing {name} ended the process (exit code {done.returncode}): {last}"
            return Probed(integration=name, error=error)
        return msgspec.json.decode(answer.read_bytes(), type=Probed)


def _answer(name: str) -> dict[str, Any]:
    """Import one framework in this process and return its sites."""
    from autolog import autolog
    from autolog.discovery import discover

    integration = discover().integrations[name]
    error = None
    with autolog(silent=True):
        modules = [site.module for site in (*integration.sites, *integration.bridges)]
        for module in dict.fromkeys((*integration.modules, *modules)):
            try:
                importlib.import_module(module)
            except BaseException as exc:  # frameworks exit, too
                absent = isinstance(exc, ModuleNotFoundError) and exc.name == module
                if absent and module in integration.modules and _installed(integration.modules):
                    continue  # one of two names that the framework has
                if module not in integration.modules and isinstance(exc, ImportError):
                    continue  # a part that needs more than is installed: its sites wait
                error = f"import {module} failed: {type(exc).__name__}: {exc}"
                break
        mine = [site for site in autolog.status().sites if site.integration == name]
    sites = [{"place": one.place, "state": one.state, "reason": one.reason} for one in mine]
    return {"integration": name, "sites": sites, "error": error}


def _installed(modules: Sequence[str]) -> bool:
    return any(importlib.util.find_spec(one) is not None for one in modules)


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        _found = _answer(sys.argv[2])
    Path(sys.argv[1]).write_text(json.dumps(_found), encoding="utf-8")
