"""The contract suite passes on good plugins, and says what is wrong with bad ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOYFIT = ROOT / "examples" / "autolog_toyfit"


@pytest.fixture
def toyfit(tmp_path: Path) -> Path:
    """A copy of the example plugin, found by Python as if it were installed."""
    place = tmp_path / "installed"
    for package in ("autolog_toyfit", "toyfit"):
        shutil.copytree(TOYFIT / package, place / package)
    metadata = place / "autolog_toyfit-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: autolog-toyfit\nVersion: 0.1.0\n"
    )
    entry = "[autolog.integrations]\ntoyfit = autolog_toyfit:INTEGRATION\n"
    (metadata / "entry_points.txt").write_text(entry)
    return place


def suite(folder: Path, *words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the suite as a third party does, from somewhere else."""
    env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    command = [sys.executable, "-m", "pytest", "-p", "autolog.testing.contract", "-q", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[int, int]:
    """Passed and failed."""
    found = re.findall(r"(\d+) (passed|failed|error)", done.stdout)
    counts = {word: int(number) for number, word in found}
    assert counts, done.stdout + done.stderr
    return counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)


def test_scikit_learn_keeps_the_contract(tmp_path: Path):
    done = suite(tmp_path, "--autolog-integration", "sklearn")
    assert outcome(done) == (17, 0), done.stdout


def test_a_third_partys_plugin_keeps_the_contract(tmp_path: Path, toyfit: Path):
    done = suite(tmp_path, "--autolog-integration", "toyfit", path=toyfit)
    assert outcome(done) == (17, 0), done.stdout


def test_the_suite_runs_beside_tests_that_are_named(tmp_path: Path, toyfit: Path):
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    words = ("test_mine.py", "--autolog-integration", "toyfit", "-k", "mine or declaration")
    assert outcome(suite(tmp_path, *words, path=toyfit)) == (2, 0)


def test_an_unknown_integration_is_refused_by_name(tmp_path: Path):
    done = suite(tmp_path, "--autolog-integration", "nowhere")
    assert done.returncode != 0
    assert "nowhere" in done.stdout + done.stderr


BREAKAGES = {
    "a declaration that imports its framework": (
        "__init__.py",
        "from autolog.integration import",
        "import toyfit\nfrom autolog.integration import",
        "must not import its framework",
    ),
    "a hook that is not there": (
        "__init__.py",
        "hooks:fit",
        "hooks:fitt",
        "fitt",
    ),
    "a hook that changes the result": (
        "hooks.py",
        "        span = call.span\n",
        "        span = call.span\n        call.replace('epochs', 3)\n",
        "'result': False",
    ),
    "a hook that changes the framework": (
        "hooks.py",
        "    def enter(",
        "    import toyfit\n    toyfit.Model.extra = 1\n\n    def enter(",
        "attributes that are not what they were",
    ),
    "no example": (
        "__init__.py",
        '    example="autolog_toyfit.example:EXAMPLE",\n',
        "",
        "declares no example",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda name: name.replace(" ", "-"))
def test_a_broken_plugin_fails_with_what_is_wrong(tmp_path: Path, toyfit: Path, breakage: str):
    file, old, new, message = BREAKAGES[breakage]
    path = toyfit / "autolog_toyfit" / file
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new, 1))
    chosen = ("-k", "declaration or same_bits or restores")
    done = suite(tmp_path, "--autolog-integration", "toyfit", *chosen, path=toyfit)
    assert outcome(done)[1] > 0, done.stdout
    assert message in done.stdout


SCRIPT = """
from autolog import autolog
autolog("toyfit", toyfit={"every": 2})
import toyfit
seen = []
callbacks = [lambda *a: seen.append(a)]
model = toyfit.Model(0.05).fit([0.0, 1.0], [1.0, 3.0], epochs=4, callbacks=callbacks)
assert len(callbacks) == 1
assert len(seen) == 4
"""


def test_the_example_records_its_epochs(recording, program, toyfit: Path):
    program(SCRIPT, PYTHONPATH=str(toyfit))
    run = recording.run()
    assert run.params == {"rate": 0.05, "epochs": 4}
    import autolog

    history = autolog.metric_history(run.run_id, "loss")
    assert history.step.tolist() == [0, 2, 3]
    assert history.epoch.tolist() == [0, 2, 3]


def test_a_wrong_option_of_the_example_is_named(recording, program, toyfit: Path):
    ended = program(
        "from autolog import autolog\nautolog(toyfit={'evry': 2})",
        check=False,
        PYTHONPATH=str(toyfit),
    )
    assert "Did you mean 'every'" in ended.err


def test_inside_another_frameworks_fit_the_example_contributes_its_series(
    recording, program, toyfit: Path
):
    program(
        """
from autolog import autolog
autolog()
import toyfit
from sklearn.base import BaseEstimator, RegressorMixin
class Wraps(RegressorMixin, BaseEstimator):
    def __init__(self, rate=0.05):
        self.rate = rate
    def fit(self, X, y):
        self.line_ = toyfit.Model(self.rate).fit(X, y, epochs=3)
        return self
    def predict(self, X):
        return self.line_.predict(X)
Wraps().fit([0.0, 1.0], [1.0, 3.0])
""",
        PYTHONPATH=str(toyfit),
    )
    run = recording.run()
    assert run.name.startswith("Wraps-")
    assert "epochs" not in run.params
    import autolog

    assert len(autolog.metric_history(run.run_id, "loss").value) == 3


def test_the_quickstart_is_the_readmes_example():
    readme = (ROOT / "README.md").read_text()
    assert (ROOT / "examples" / "quickstart.py").read_text() in readme
