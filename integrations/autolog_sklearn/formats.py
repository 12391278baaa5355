"""The safe format of scikit-learn's models: skops, which loads no code.

A file of skops names every type that it is made of, and nothing else is constructed. What skops
itself does not know as safe, but is a part of the libraries that the model came from, is taken;
any other type is for the user to judge.

skops costs 0.4 s of import, so the trainer never uses it: a model is converted when it is loaded
for the first time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["load_skops", "save_skops", "unknown_to_skops"]

_FILE: Final = "model.skops"

_TRUSTED: Final = (
    "lightgbm.basic.",
    "lightgbm.sklearn.",
    "numpy.dtype",
    "numpy.mean",
    "numpy.median",
    "numpy.random.",
    "scipy._lib.array_api_compat.numpy._aliases.",
    "scipy.interpolate.",
    "scipy.sparse.",
    "scipy.stats.",
    "sklearn.",
    "xgboost.core.",
    "xgboost.sklearn.",
)
"""Parts of fitted models: they compute, and reach no file, process or network."""

_NOT_TRUSTED: Final = ("sklearn.datasets.", "sklearn.externals.", "sklearn.utils._testing.")
"""Parts of these libraries that do."""


def save_skops(model: Any, directory: Path) -> None:
    """Save a model with the names of the types that it is made of."""
    from skops import io

    io.dump(model, directory / _FILE)


def unknown_to_skops(directory: Path) -> list[str]:
    """Return the types of a file that neither skops nor this integration knows as safe."""
    return [name for name in _strange(directory) if not _known(name)]


def load_skops(directory: Path, trusted: Sequence[str] = ()) -> Any:
    """Load a model; types that are neither known as safe nor in `trusted` are refused."""
    from skops import io

    known = [name for name in _strange(directory) if _known(name)]
    return io.load(directory / _FILE, trusted=[*known, *trusted])


def _strange(directory: Path) -> list[str]:
    from skops import io

    return list(io.get_untrusted_types(file=directory / _FILE))


def _known(name: str) -> bool:
    return name.startswith(_TRUSTED) and not name.startswith(_NOT_TRUSTED)
