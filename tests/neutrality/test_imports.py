"""Libraries that are absent, broken or half there fail as they would; late activation works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.linear_model import Ridge

import autolog
from autolog.discovery import discover

LIBRARIES = sorted(
    {
        module.partition(".")[0]
        for integration in discover().integrations.values()
        for module in integration.modules
    }
)

WAYS = {
    "absent": None,
    "broken": "import nothing_of_this_name",
    "interrupted": "raise KeyboardInterrupt",
    "refusing": "raise SystemExit(7)",
    "half there": "import program\nraise RuntimeError('half there')",
    "empty": "",
}
"""What the library's `__init__` does."""

PROGRAM = """
import sys
{activate}
try:
    import {library}
    print("there")
except BaseException as error:
    import traceback
    print(type(error).__name__, error, {library!r} in sys.modules)
    traceback.print_exc()
try:
    import {library}.base
except BaseException as error:
    print(type(error).__name__, error)
import {library}
"""


@pytest.mark.edge_case("EC-I7")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_that_fails_to_import_fails_as_it_would(tmp_path: Path, library, way):
    folder = tmp_path / "work"
    (folder / library).mkdir(parents=True)
    if WAYS[way] is not None:
        (folder / library / "__init__.py").write_text(WAYS[way])
    # A module that is imported while the library is half there, and switches autolog on then.
    (folder / "program.py").write_text("import switch\n")
    said = []
    for activate in ("import os", "from autolog import autolog; autolog()"):
        late = activate if way == "half there" else ""
        (folder / "switch.py").write_text(late)
        hidden = f"sys.modules[{library!r}] = None" if WAYS[way] is None else "import os"
        first = "import os" if way == "half there" else activate
        source = PROGRAM.format(activate=f"{hidden}; {first}", library=library)
        (folder / "script.py").write_text(source.replace(first, f"{first:60}"))
        done = subprocess.run(
            [sys.executable, "-B", "script.py"],
            cwd=folder,
            env={**os.environ, "AUTOLOG_STORE": str(tmp_path / "store")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        said.append((done.returncode, done.stdout, done.stderr))
    assert said[1] == said[0]
    assert said[0][1]
    assert not (tmp_path / "store").exists()


@pytest.mark.edge_case("EC-I11")
def test_switching_on_after_something_was_logged_by_hand_works(recording):
    with autolog.start_run("by hand"):
        autolog.log_model(Ridge().fit([[0.0], [1.0]], [0, 1]))
        autolog.log_metric("loss", 1.0)
    autolog.autolog()
    Ridge().fit([[0.0], [1.0]], [0, 1])
    assert [(run.kind, run.status) for run in recording.runs()] == [
        ("run", "FINISHED"),
        ("fit", "FINISHED"),
    ]


@pytest.mark.edge_case("EC-I12")
def test_a_block_that_raises_restores_what_was_before(recording):
    before = vars(Ridge)["fit"]

    def train_and_fail():
        with autolog.autolog("sklearn"):
            assert vars(Ridge)["fit"] is not before
            Ridge().fit([[0.0], [1.0]], [0, 1])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train_and_fail()
    assert vars(Ridge)["fit"] is before
    Ridge().fit([[0.0], [1.0]], [0, 1])
    assert len(recording.runs()) == 1
