"""Models as JSON: three numbers, and no code to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def save(model: Any, directory: Path) -> None:
    (directory / "model.json").write_text(json.dumps(vars(model)))


def load(directory: Path) -> Any:
    import toyfit

    values = json.loads((directory / "model.json").read_text())
    model = toyfit.Model(values["rate"])
    vars(model).update(values)
    return model
