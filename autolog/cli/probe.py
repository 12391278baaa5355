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
from typing import Any, Final

import msgspec

__all__ = ["Probed", "Site", "probe"]

_TIMEOUT: Final = 300
"""Seconds; on a slow disk TensorFlow takes a minute for its first import."""

_LEFT_OUT: Final = ("AUTOLOG_DISABLED", "AUTOLOG_STRICT", "AUTOLOG_UNGUARD")
"""Variables that would change what is looked at."""


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
    def lost(self) -> list[Site]:
        """The places that should be watched and are not."""
        return [site for site in self.sites if site.state in ("missing", "faulted", "replaced")]

    @property
    def unusable(self) -> bool:
        """Whether it could not be imported and nothing of it is watched."""
        return self.error is not None and all(site.state != "applied" for site in self.sites)

    @property
    def problems(self) -> list[str]:
        """What keeps parts of this framework from being recorded."""
        found = [
            f"{site.place} is {site.state}: {site.reason or 'no reason known'}"
            for site in self.lost
        ]
        return [self.error, *found] if self.error else found


def probe(names: Sequence[str], *, timeout: float = _TIMEOUT) -> list[Probed]:
    """Import the frameworks of these integrations, each in a fresh process.

    Args:
        names: of the integrations.
        timeout: seconds that each may take.
    """
    return [_probe_one(name, timeout) for name in names]


def _probe_one(name: str, timeout: float) -> Probed:
    with tempfile.TemporaryDirectory(prefix="autolog-", ignore_cleanup_errors=True) as folder:
        answer, printed = Path(folder, "answer.json"), Path(folder, "printed")
        command = [sys.executable, "-m", "autolog.cli.probe", str(answer), name]
        env = {key: text for key, text in os.environ.items() if key not in _LEFT_OUT}
        try:
            # A file takes what it prints: a process that it leaves behind would hold a pipe open.
            with printed.open("wb") as output:
                done = subprocess.run(  # noqa: S603  our own module
                    command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env={**env, "AUTOLOG_STORE": folder},
                    timeout=timeout,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            return Probed(
                integration=name, error=f"importing {name} took more than {timeout:.0f} s"
            )
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(answer.read_bytes(), type=Probed)
        last = printed.read_text(errors="replace").strip().rpartition("\n")[2]
        error = f"importing {name} ended the process (exit code {done.returncode}): {last}"
        return Probed(integration=name, error=error)


def _answer(name: str) -> dict[str, Any]:
    """Import one framework in this process and return its sites."""
    from autolog import autolog
    from autolog.discovery import discover

    integration = discover().integrations[name]
    failed: dict[str, str] = {}
    with autolog(silent=True):
        modules = [site.module for site in (*integration.sites, *integration.bridges)]
        for module in dict.fromkeys((*integration.modules, *modules)):
            if module.partition(".")[0] in failed:
                continue
            try:
                importlib.import_module(module)
            except BaseException as exc:  # frameworks exit, too
                absent = isinstance(exc, ModuleNotFoundError) and exc.name == module
                if absent and module in integration.modules and _installed(integration.modules):
                    continue  # one of two names that the framework has
                if module not in integration.modules and isinstance(exc, ImportError):
                    continue  # a part that needs more than is installed: its sites wait
                said = f"import {module} failed: {type(exc).__name__}: {exc}"
                failed[module.partition(".")[0]] = said
        mine = [site for site in autolog.status().sites if site.integration == name]
    sites = [{"place": one.place, "state": one.state, "reason": one.reason} for one in mine]
    return {"integration": name, "sites": sites, "error": "; ".join(failed.values()) or None}


def _installed(modules: Sequence[str]) -> bool:
    return any(importlib.util.find_spec(one) is not None for one in modules)


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        _found = _answer(sys.argv[2])
    Path(sys.argv[1]).write_text(json.dumps(_found), encoding="utf-8")
