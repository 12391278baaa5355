"""The example plugin does what the guide says of it, and the quickstart is the README's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "autolog_toyfit"
START = "from autolog import autolog\nimport toyfit\n"
DATA = "[0.0, 1.0], [1.0, 3.0]"


@pytest.fixture
def train(program, toyfit):
    """Run a script that has the plugin installed."""

    def run(source: str, **options):
        return program(START + source, PYTHONPATH=str(toyfit), **options)

    return run


def test_each_epoch_is_a_point_with_its_step_and_epoch(recording, train):
    printed = train(f"autolog()\nprint(toyfit.Model(0.05).fit({DATA}, epochs=4).losses)")
    run = recording.run()
    assert (run.status, run.params) == ("FINISHED", {"rate": 0.05, "epochs": 4})
    import autolog

    history = autolog.metric_history(run.run_id, "loss")
    assert history.step.tolist() == history.epoch.tolist() == [0, 1, 2, 3]
    assert history.value.tolist() == eval(printed.out)


def test_the_users_own_callbacks_are_called_and_not_changed(recording, train):
    train(
        f"""
autolog()
seen = []
callbacks = [lambda *given: seen.append(given)]
toyfit.Model().fit({DATA}, epochs=4, callbacks=callbacks)
assert len(callbacks) == 1
assert [epoch for epoch, loss in seen] == [0, 1, 2, 3]
"""
    )
    assert recording.run().status == "FINISHED"


def test_a_module_function_is_one_run_with_one_series_and_a_model(recording, train):
    train(f"from toyfit import train\nautolog()\ntrain({DATA}, rate=0.2, epochs=3)")
    run = recording.run()
    assert run.name.startswith("train-")
    assert run.params == {"rate": 0.2, "epochs": 3}
    import autolog

    assert autolog.metric_history(run.run_id, "loss").step.tolist() == [0, 1, 2]
    assert [model.manifest["class"] for model in recording.details().models] == ["toyfit.Model"]


def test_an_option_is_taken(recording, train):
    train(f"autolog('toyfit', toyfit={{'every': 2}})\ntoyfit.Model().fit({DATA}, epochs=4)")
    import autolog

    history = autolog.metric_history(recording.run().run_id, "loss")
    assert history.step.tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{'evry': 2}", "UsageError: toyfit has no option 'evry'. Did you mean 'every'?"),
        ("{'every': 0}", "UsageError: toyfit={'every': 0}: every=0: expected a number of epochs"),
        ("2", "UsageError: toyfit=2: expected a dictionary of options"),
    ],
)
def test_a_wrong_option_is_named(recording, train, options, message):
    ended = train(f"autolog('toyfit', toyfit={options})", check=False)
    assert ended.code == 1
    assert message in ended.err


def test_inside_another_frameworks_fit_the_series_goes_to_the_owner(recording, train):
    train(
        """
autolog()
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
"""
    )
    run = recording.run()
    assert run.name.startswith("Wraps-")
    assert "epochs" not in run.params
    assert [model.manifest["class"] for model in recording.details().models] == ["__main__.Wraps"]
    import autolog

    assert len(autolog.metric_history(run.run_id, "loss").value) == 3


def test_its_hooks_are_short_and_import_the_contract_alone():
    package = EXAMPLE / "autolog_toyfit"
    lines = [line for path in package.glob("*.py") for line in path.read_text().splitlines()]
    imported = {line.split()[1] for line in lines if line.startswith("from autolog")}
    assert imported == {"autolog.integration"}
    hooks = (package / "__init__.py", package / "hooks.py")
    assert sum(len(path.read_text().splitlines()) for path in hooks) < 120


def test_it_builds_and_installs_as_a_distribution_of_its_own(tmp_path):
    place = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    built = subprocess.run(
        [*pip, "--target", str(place), str(EXAMPLE)], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    assert {path.name for path in place.iterdir()} >= {"toyfit", "autolog_toyfit"}
    assert (
        "toyfit = autolog_toyfit:INTEGRATION"
        in next(place.glob("*.dist-info/entry_points.txt")).read_text()
    )


def test_the_guide_shows_the_plugins_own_code():
    guide = (ROOT / "docs" / "integrations.md").read_text()
    blocks = [part.partition("```")[0] for part in guide.split("```python\n")[1:]]
    code = "\n".join(path.read_text() for path in EXAMPLE.rglob("*.py"))
    assert len(blocks) >= 4
    assert [block for block in blocks if block not in code] == []


def test_the_quickstart_is_the_readmes_example():
    assert (ROOT / "examples" / "quickstart.py").read_text() in (ROOT / "README.md").read_text()


def test_the_quickstart_runs(recording, program):
    printed = program((ROOT / "examples" / "quickstart.py").read_text())
    assert "accuracy" in printed.out
    assert recording.run().status == "FINISHED"
