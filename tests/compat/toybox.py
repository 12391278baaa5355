"""A framework of somebody else's, its integration and their tests, written out as a project.

toybox 1 does not tell its callbacks of the last epoch; toybox 2 does. The integration has a guard
for that, a matrix that says so, and a test that proves it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

FRAMEWORK = '''\
"""Shrinks a number, an epoch at a time."""

__version__ = "1.4.0"


class Box:
    def __init__(self, rate=0.5):
        self.rate = rate
        self.losses = []

    def fit(self, x, epochs=3, callbacks=()):
        for epoch in range(epochs):
            self.losses.append(sum(x) * self.rate**epoch)
            if epoch + 1 < epochs or __version__ >= "2":
                for callback in callbacks:
                    callback(epoch, self.losses[-1])
        return self

    def predict(self, x):
        return [value * self.losses[-1] for value in x]
'''

DECLARATION = """\
from autolog.integration import API, Format, Integration, Patch

INTEGRATION = Integration(
    api=API,
    name="toybox",
    aliases=("box",),
    distributions=("toybox",),
    modules=("toybox",),
    sites=(
        Patch(
            module="toybox",
            target="Box.fit",
            hook="autolog_toybox.hooks:training",
            role="training",
        ),
    ),
    formats=(
        Format(
            name="toybox-json",
            save="autolog_toybox.formats:save",
            load="autolog_toybox.formats:load",
            safe=True,
        ),
    ),
    example="autolog_toybox.example:EXAMPLE",
    compat="autolog_toybox._compat_data:DATA",
)
"""

HOOKS = """\
from autolog.integration import Hook, Snapshot


def training(capture):
    # toybox-forgets-the-last-epoch
    forgets = capture.guard("last_epoch")

    def enter(call):
        if call.span is None:
            return
        call.span.params({"rate": call.instance.rate})

        def on_epoch(epoch, loss):
            call.span.metrics({"loss": loss}, step=epoch, epoch=epoch)

        given = call.bound.get("callbacks", ())
        call.replace("callbacks", (*given, capture.guarded(on_epoch)))

    def leave(call, model):
        if call.span is None:
            return
        last = len(model.losses) - 1
        if forgets:
            call.span.metrics({"loss": model.losses[last]}, step=last, epoch=last)
        if call.span.owns_run:
            call.span.model(Snapshot(model=model, format="toybox-json"))

    return Hook(enter=enter, exit=leave)
"""

FORMATS = """\
import json


def save(model, directory):
    (directory / "box.json").write_text(json.dumps(vars(model)))


def load(directory):
    import toybox

    model = toybox.Box()
    vars(model).update(json.loads((directory / "box.json").read_text()))
    return model
"""

EXAMPLE = """\
from autolog.integration import Example


def train():
    import toybox

    model = toybox.Box().fit([1.0, 2.0], epochs=3)
    return model, vars(model)


def predict(model):
    return model.predict([3.0])


EXAMPLE = Example(train, owner="toybox:Box", method="fit", predict=predict)
"""

GUARDS = 'GUARDS = {"last_epoch": "Takes the last epoch from the model."}\n'

MATRIX = """\
schema: 1
frameworks:
  toybox:
    integration: autolog_toybox
    distributions: [toybox]
    modules: [toybox]
    supported: ">=1,<3"
    because: 1 is the first release
    latest_known: "2.1.0"
    tested:
      - {version: "1.4.0", python: "3.10", tier: commit}
      - {version: "2.1.0", python: "3.12", tier: full}
    logs: {params: rate, series: loss, evaluations: none, data: none, model: JSON}
    quirks:
      - id: toybox-forgets-the-last-epoch
        when: "<2"
        symptom: callbacks are not told of the last epoch
        guard: last_epoch
        fails_with: AssertionError
        test: tests/test_toybox_quirks.py::test_every_epoch_is_recorded
        upstream: https://example.org/toybox/issues/7
        since: 0.1.0
"""

TEST = '''\
import json, subprocess, sys

import pytest

PROGRAM = """
import json, sys
import autolog, toybox

autolog.autolog("toybox", strict=True, store=sys.argv[1])
toybox.Box().fit([1.0, 2.0], epochs=3)
(run,) = autolog.search_runs()
print(json.dumps(autolog.metric_history(run.run_id, "loss").value.tolist()))
"""


@pytest.mark.quirk("toybox-forgets-the-last-epoch")
def test_every_epoch_is_recorded(guarded, tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [3.0, 1.5, 0.75]
'''

PROJECT = """\
[project]
name = "autolog-toybox"
version = "0.1.0"

[project.entry-points."autolog.integrations"]
toybox = "autolog_toybox:INTEGRATION"
"""

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
POINTS = "[autolog.integrations]\ntoybox = autolog_toybox:INTEGRATION\n"

FILES = {
    "toybox.py": FRAMEWORK,
    "autolog_toybox/__init__.py": DECLARATION,
    "autolog_toybox/hooks.py": HOOKS,
    "autolog_toybox/formats.py": FORMATS,
    "autolog_toybox/example.py": EXAMPLE,
    "autolog_toybox/guards.py": GUARDS,
    "autolog_toybox/compat_matrix.yaml": MATRIX,
    "toybox-1.4.0.dist-info/METADATA": METADATA.format(name="toybox", version="1.4.0"),
    "autolog_toybox-0.1.0.dist-info/METADATA": METADATA.format(
        name="autolog-toybox", version="0.1.0"
    ),
    "autolog_toybox-0.1.0.dist-info/entry_points.txt": POINTS,
    "tests/test_toybox_quirks.py": TEST,
    "pyproject.toml": PROJECT,
}


def write_project(folder: Path) -> Path:
    """Write the project to a folder that is put on the path as if it were installed there."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def environment(project: Path, **more: str) -> dict[str, str]:
    """The environment of a process in which the project is installed."""
    env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
    paths = [str(project), *(one for one in sys.path if one)]
    return env | {"PYTHONPATH": os.pathsep.join(paths), "AUTOLOG_PRINT": "never"} | more
