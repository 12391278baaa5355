"""The matrices in force: ours, those of third parties, and what `AUTOLOG_COMPAT_MATRIX` names."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from autolog import settings
from autolog.compat.data import FrameworkData, MatrixData
from autolog.compat.view import matrix_data
from autolog.integration import Integration

__all__ = ["InForce", "Known", "in_force", "load_compiled"]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one framework, and who says so.

    `origin` is `autolog`, the reference that a third party's declaration names, or the path of
    the file that replaces either.
    """

    data: FrameworkData
    origin: str


@dataclass(frozen=True, slots=True)
class InForce:
    """The frameworks with a matrix, by name, and why the matrix of an integration is left out."""

    frameworks: dict[str, Known]
    problems: dict[str, str] = field(default_factory=dict[str, str])


def in_force(integrations: Iterable[Integration]) -> InForce:
    """Collect the matrices that the run time would use; imports no framework.

    Raises:
        SettingsError: `AUTOLOG_COMPAT_MATRIX` names a file that cannot be used.
    """
    from autolog._compat_data import DATA

    override = str(settings.value("compat_matrix") or "")
    frameworks = {
        name: Known(data, "autolog" if DATA.get(name) is data else override)
        for name, data in matrix_data().items()
    }
    problems: dict[str, str] = {}
    for one in integrations:
        if one.compat is None:
            continue
        try:
            theirs = load_compiled(one.compat)
            found = matrix_data(theirs)[one.name]
            _require_whole(found)
        except (Exception, SystemExit) as error:  # it may raise and hold anything
            problems[one.name] = f"{one.compat} is no matrix of it: {type(error).__name__}: {error}"
            continue
        origin = one.compat if found is theirs.get(one.name) else override
        frameworks[one.name] = Known(found, origin)
    return InForce(dict(sorted(frameworks.items())), problems)


def _require_whole(found: FrameworkData) -> None:
    missing = FrameworkData.__required_keys__ - found.keys()
    if missing:
        raise KeyError(", ".join(sorted(missing)))


def load_compiled(reference: str) -> MatrixData:
    """Import the compiled matrix that `"package._compat_data:DATA"` names.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such name.
        TypeError: it is no mapping.
    """
    module, _, name = reference.partition(":")
    found: Any = getattr(importlib.import_module(module), name)
    if not isinstance(found, dict):
        raise TypeError(f"expected a dictionary, found {type(found).__name__}")
    return cast("MatrixData", found)
