"""Looks after the matrix that an integration of others ships, for the contract suite."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from autolog.compat import check, compiler, packages
from autolog.compat.inforce import load_compiled
from autolog.errors import AutologError

__all__ = ["matrix_findings", "project_of", "prove"]

_SAID = 40
"""Lines of a failed proof that are shown."""


def matrix_findings(name: str, reference: str) -> list[str]:
    """Say what does not agree between the compiled matrix, its source and the package.

    A package without the source, or with a matrix that was written by hand, is judged by the
    compiled one alone: it knows the framework, and its guards are registered.
    """
    folder = _folder(reference)
    data = load_compiled(reference).get(name)
    if data is None:
        return [f"{reference} has no {name}"]
    if not (folder / compiler.SOURCE).exists():
        return list(check.of_guards(folder, name, data))
    package = packages.Package(reference.partition(":")[0].rpartition(".")[0], folder)
    try:
        return packages.findings(package)
    except AutologError as error:
        return [str(error)]


def project_of(reference: str, tests: Iterable[str]) -> Path | None:
    """Return the folder that the names of all tests begin at: above the package, or this one."""
    files = {test.partition("::")[0] for test in tests}
    folder = _folder(reference)
    # A package lies in its project or in its src, at the top or one deeper.
    places = (*folder.parents[:3], Path.cwd())
    return next((up for up in places if all((up / file).is_file() for file in files)), None)


def prove(project: Path, tests: Iterable[str]) -> list[str]:
    """Run the tests of quirks in a session of their own; return what it said if one failed."""
    names = sorted(set(tests))
    env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
    folders = [os.path.abspath(place) for place in sys.path]  # noqa: PTH100  '' is here
    env |= {"PYTHONPATH": os.pathsep.join(folders)}
    options = ["-q", "-rfEX", "-p", "no:cacheprovider", "-p", "autolog.testing.quirks"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", *options, *names],
        cwd=project,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return []
    return (done.stdout + done.stderr).strip().splitlines()[-_SAID:]


def _folder(reference: str) -> Path:
    spec = importlib.util.find_spec(reference.partition(":")[0])
    if spec is None or spec.origin is None:
        raise AutologError(f"{reference} leads nowhere")
    return Path(spec.origin).parent
