"""Libraries that are absent, broken or half there fail as they would; late activation works."""

from __future__ import annotations

import json
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


LEG = """
import json, os, runpy, sys, traceback
cases, before = json.loads(sys.argv[1]), sys.argv[2]
exec(before)
codes = []
for folder in cases:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        for stream, name in (sys.stdout, "out"), (sys.stderr, "err"):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), stream.fileno())
        sys.path[0], sys.argv = folder, ["script.py"]
        break
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if child == 0:
    runpy.run_path("script.py", run_name="__main__")
else:
    print(json.dumps(codes))
"""
"""Runs the script of each folder in a process that was forked for it.

What autolog loads when it is switched on was loaded before, and nothing of a library.
"""

LEGS = {
    "plain": ("import os", ""),
    "autolog": (
        "from autolog import autolog; autolog()",
        "import autolog.capture.activation; from autolog.discovery import discover; discover()",
    ),
}


def _written(folder: Path, library: str, way: str, activate: str) -> None:
    """Write a library, and a script that imports it after `activate`."""
    (folder / library).mkdir(parents=True)
    if WAYS[way] is not None:
        (folder / library / "__init__.py").write_text(WAYS[way])
    # A module that is imported while the library is half there, and switches autolog on then.
    (folder / "program.py").write_text("import switch\n")
    (folder / "switch.py").write_text(activate if way == "half there" else "")
    hidden = f"sys.modules[{library!r}] = None" if WAYS[way] is None else "import os"
    first = "import os" if way == "half there" else activate
    source = PROGRAM.format(activate=f"{hidden}; {first}", library=library)
    (folder / "script.py").write_text(source.replace(first, f"{first:60}"))


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """How each script ended and what it said, by leg, library and way; and the store's folder."""
    found, base = {}, tmp_path_factory.mktemp("imports")
    cases = [(library, way) for library in LIBRARIES for way in WAYS]
    for leg, (activate, before) in LEGS.items():
        # The same paths in both legs: they stand in tracebacks.
        work = base / "work"
        folders = [work / str(number) for number in range(len(cases))]
        for folder, (library, way) in zip(folders, cases, strict=True):
            _written(folder, library, way, activate)
        done = subprocess.run(
            [sys.executable, "-B", "-c", LEG, json.dumps(list(map(str, folders))), before],
            env={**os.environ, "AUTOLOG_STORE": str(base / "store")},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert (done.returncode, done.stderr) == (0, "")
        for folder, case, code in zip(folders, cases, json.loads(done.stdout), strict=True):
            said = (folder / "out").read_text(), (folder / "err").read_text()
            found[(leg, *case)] = (code, *said)
        work.rename(base / leg)
    return found, base / "store"


@pytest.mark.edge_case("EC-I7")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_that_fails_to_import_fails_as_it_would(ended, library, way):
    found, store = ended
    code, out, err = found["plain", library, way]
    assert found["autolog", library, way] == (code, out, err)
    assert out
    assert ("script.py" in err) == (code != 0)
    assert not store.exists()


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
