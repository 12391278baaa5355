"""Compiles and checks the matrix that a third party's package ships.

The package holds `compat_matrix.yaml`, of the same schema as ours, and beside it the compiled
`_compat_data.py`, which its declaration names. The package is found without being imported; its
declaration is imported for `check`, which by contract imports no framework.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Final

from autolog.compat import check, compiler
from autolog.compat.matrix import Matrix, load, to_data
from autolog.errors import UsageError
from autolog.integration import Integration

__all__ = ["Package", "find", "findings", "stale", "write"]

_GROUP: Final = "autolog.integrations"
_MODULE: Final = "_compat_data"


@dataclass(frozen=True, slots=True)
class Package:
    """An importable package with a matrix of its own."""

    name: str
    folder: Path

    @property
    def source(self) -> Path:
        """What its authors write."""
        return self.folder / compiler.SOURCE

    @property
    def module(self) -> Path:
        """What is generated from it."""
        return self.folder / f"{_MODULE}.py"

    @property
    def reference(self) -> str:
        """What its declaration says of `compat`."""
        return f"{self.name}.{_MODULE}:DATA"


def find(name: str, root: Path | None = None) -> Package:
    """Find a package below `root` (also in `src`), or in this environment.

    Raises:
        UsageError: there is none, or it holds no `compat_matrix.yaml`.
    """
    top, *inner = name.split(".")
    places = [str(place) for place in (root, root and root / "src") if place]
    spec = PathFinder.find_spec(top, places) if root else importlib.util.find_spec(top)
    folders = [Path(place, *inner) for place in (spec and spec.submodule_search_locations) or ()]
    folder = next((one for one in folders if one.is_dir()), None)
    if folder is None:
        where = f"{root} or its src" if root else "this environment"
        raise UsageError(f"no package {name} in {where}: install it, or name its project by --root")
    package = Package(name, folder)
    if not package.source.is_file():
        raise UsageError(f"{name} has no {compiler.SOURCE}: expected {package.source}")
    return package


def stale(package: Package) -> bool:
    """Whether the compiled matrix is not what the file says.

    Raises:
        MatrixError: the matrix cannot be read.
    """
    module = package.module
    return not module.exists() or module.read_text(encoding="utf-8") != _generated(package)


def write(package: Package) -> bool:
    """Compile the matrix; return whether the module was out of date.

    Raises:
        MatrixError: the matrix cannot be read.
    """
    if not stale(package):
        return False
    package.module.write_text(_generated(package), encoding="utf-8", newline="\n")
    return True


def findings(package: Package, *, tests: Path | None = None) -> list[str]:
    """Apply every rule; those that run pytest only if the folder or file of `tests` is given.

    Raises:
        MatrixError: the matrix cannot be read.
    """
    matrix = load(package.source)
    found = check.of_matrix(matrix)
    for name, data in to_data(matrix).items():
        found += check.of_guards(package.folder, name, data)
    if stale(package):
        command = f"python -m autolog.compat compile --package {package.name}"
        found.append(f"{package.module.name} is out of date: run {command}")
    found += _declarations(package, matrix)
    if tests is not None:
        project = _project(tests)
        found += check.of_tests(project, matrix, [str(tests.resolve())])
    return found


def _generated(package: Package) -> str:
    return compiler.module(package.source, f"compile --package {package.name}")


def _declarations(package: Package, matrix: Matrix) -> Iterator[str]:
    """Each framework has a declaration in the package, with an entry point, that names DATA."""
    points = _entry_points(package)
    for name, one in matrix.frameworks.items():
        if one.integration != package.name:
            yield f"{name}: integration is {one.integration}, expected {package.name}"
        reference = points.get(name)
        if reference is None:
            yield (
                f"{name}: no entry point {name} of the group {_GROUP} names {package.name};"
                " declare it in pyproject.toml and install the package"
            )
            continue
        try:
            declared = _load(package, reference)
        except Exception as error:  # what a package does when it is imported may be anything
            yield f"{name}: {reference} cannot be loaded: {type(error).__name__}: {error}"
            continue
        if not isinstance(declared, Integration):
            yield f"{name}: {reference} is no autolog.integration.Integration"
        elif declared.name != name:
            yield f"{name}: {reference} declares {declared.name}"
        elif declared.compat != package.reference:
            yield (
                f'{name}: {reference} must say compat="{package.reference}",'
                f" it says {declared.compat!r}"
            )


def _entry_points(package: Package) -> dict[str, str]:
    """Return the entry points that lead into the package: installed ones, and the project's."""
    found = {point.name: point.value for point in importlib.metadata.entry_points(group=_GROUP)}
    path = _project(package.folder) / "pyproject.toml"
    if path.is_file():
        toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
        project: Any = toml.loads(path.read_text(encoding="utf-8")).get("project", {})
        found |= project.get("entry-points", {}).get(_GROUP, {})
    inside = (package.name, f"{package.name}.")
    return {
        name: value
        for name, value in found.items()
        if value.partition(":")[0] == inside[0] or value.startswith(inside[1])
    }


def _load(package: Package, reference: str) -> Any:
    with _importable(package):
        module, _, name = reference.partition(":")
        return getattr(importlib.import_module(module), name)


@contextmanager
def _importable(package: Package) -> Generator[None]:
    place = str(package.folder.parents[package.name.count(".")])
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)


def _project(path: Path) -> Path:
    """Return the folder that the tests of quirks are named from: that of pyproject.toml."""
    here = path.resolve()
    ups = (here, *here.parents)
    return next((up for up in ups if (up / "pyproject.toml").is_file()), Path.cwd())
