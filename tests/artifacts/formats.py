"""Formats of a framework that is not there: what their `save` does, the trainer must bear."""

from __future__ import annotations

import json
import sys

from autolog.integration import Format

HERE = "tests.artifacts.formats"


def save(model, directory):
    (directory / "weights").mkdir()
    (directory / "weights" / "first.json").write_text(json.dumps(model[: len(model) // 2]))
    (directory / "rest.json").write_text(json.dumps(model[len(model) // 2 :]))


def load(directory):
    first = json.loads((directory / "weights" / "first.json").read_text())
    return first + json.loads((directory / "rest.json").read_text())


def fail(model, directory):
    (directory / "half").write_text("written before it failed")
    raise ValueError("this model has a shape that the format cannot hold")


def leave(model, directory):
    sys.exit(3)


def write_nothing(model, directory):
    pass


def form(name="save"):
    return Format(name="toy", save=f"{HERE}:{name}", load=f"{HERE}:load", safe=True, native=True)
