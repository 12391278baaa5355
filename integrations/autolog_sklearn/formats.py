"""The safe format of scikit-learn's models: skops, which loads no code.

skops costs 0.4 s of import, so the trainer never uses it: a model is converted when it is loaded
for the first time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

__all__ = ["load_skops", "save_skops"]

_FILE: Final = "model.skops"


def save_skops(model: Any, directory: Path) -> None:
    """Save a model, and make sure that it can be loaded without trusting unknown types.

    Raises:
        ValueError: it holds types that skops does not know as safe.
    """
    from skops import io

    path = directory / _FILE
    io.dump(model, path)
    unknown = io.get_untrusted_types(file=path)
    if unknown:
        path.unlink()
        raise ValueError(f"skops would have to trust {', '.join(unknown)}")


def load_skops(directory: Path) -> Any:
    """Load a model; types that are not known as safe are refused."""
    from skops import io

    return io.load(directory / _FILE, trusted=[])
