"""Packages whose own trainings and metrics are nobody's runs.

An explainer fits surrogates, an AutoML library fits hundreds of models to keep one: what such a
package calls for itself is a piece of its work, whether a training is open around it or, in a
thread of its own, is not. What the user calls is recorded as ever, `flaml.AutoML.fit` too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

from autolog.tracking import notices

__all__ = ["is_denied", "tell"]

DENIED: Final = ("aeon", "alibi", "dice_ml", "eli5", "flaml", "lime", "shap")
"""Packages that train for themselves."""

IN_THREADS: Final = ("dask_ml", "optuna_integration.sklearn")
"""Packages whose searches fit folds in threads of their own, which have nothing around them."""

_LIMIT: Final = 10_000
_packages: dict[str, str | None] = {}


def is_denied(file: str | None, *, alone: Callable[[], bool]) -> bool:
    """Whether a call that was written in this file is made by such a package.

    Args:
        file: where the call was written.
        alone: whether nothing is around the call.
    """
    package = _package_of(file) if file is not None else None
    return package is not None and (package in DENIED or alone())


def tell(file: str | None) -> None:
    """Say once that a package's own trainings are not recorded."""
    package = _package_of(file) if file is not None else None
    if package is not None:
        notices.tell(
            "denied_caller",
            f"{package} trains models for its own use: they are not recorded;"
            " to record one, fit it in your own code",
        )


def _package_of(file: str) -> str | None:
    """Return the package of the deny-list that a source file belongs to.

    A file of a package is run after the package was found, so an answer holds.
    """
    try:
        return _packages[file]
    except KeyError:
        pass
    found = None
    for name in (*DENIED, *IN_THREADS):
        home = getattr(sys.modules.get(name), "__file__", None)
        if home is not None and file.startswith(os.path.dirname(home) + os.sep):  # noqa: PTH120
            found = name
    if len(_packages) < _LIMIT:
        _packages[file] = found
    return found
