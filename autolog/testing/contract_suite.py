"""What every integration must keep, ours and third parties'; run by `autolog.testing.contract`.

Each test asks a question of a fresh process (`autolog.testing.trial`) in a store of its own. The
answers are kept for the session, since several tests look at the same process.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from autolog.compat.inforce import load_compiled
from autolog.discovery import discover
from autolog.entities import Model, Run
from autolog.testing.thirdparty import matrix_findings, project_of, prove
from autolog.testing.trial import PHASES
from autolog.tracking.reading import open_store

Found = dict[str, Any]

ORDERS = ["".join(letters) for letters in itertools.permutations("iad")]
"""Import the framework, activate, disable: in every order."""


def refuse(what: str, found: Iterable[object]) -> None:
    """Fail with all that was found; pytest would shorten it."""
    lines = [f"  {one}" for one in found]
    if lines:
        pytest.fail("\n".join([f"{what}:", *lines]), pytrace=False)


class Subject:
    """One integration: runs experiments on it, and reads what they recorded."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self._answers: dict[tuple[str, ...], Found] = {}

    def ask(self, *experiment: str) -> Found:
        """Run an experiment in a fresh process, or recall its answer."""
        if experiment not in self._answers:
            self._answers[experiment] = self._run(experiment)
        return self._answers[experiment]

    def runs(self, label: str) -> list[Run]:
        """The runs of one step of an experiment, children included."""
        store = open_store(str(self._folder / "store"))
        try:
            return list(store.runs(experiment=label, limit=100).runs)
        finally:
            store.close()

    def models(self, run: Run) -> list[Model]:
        """The models of a run."""
        store = open_store(str(self._folder / "store"))
        try:
            return store.details(run.run_id).models
        finally:
            store.close()

    def same_trainings(self, found: Found) -> None:
        """Demand that trainings, and the one that fails, are what they are without autolog."""
        if found.get("raised"):
            refuse(
                "an error of autolog's reached the training (callbacks that are given to the"
                " framework go through capture.guarded)",
                [found["raised"]],
            )
        plain = self.ask("plain")
        expected = plain["trainings"][0]
        for training in found["trainings"]:
            changed = [key for key in expected if training[key] != expected[key]]
            refuse("a training is different with autolog, in its", changed)
        if found["failure"] != plain["failure"]:
            refuse(
                "without autolog and with it, the user sees", [plain["failure"], found["failure"]]
            )

    def _run(self, experiment: tuple[str, ...]) -> Found:
        env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
        folders = [os.path.abspath(place) for place in sys.path]  # noqa: PTH100  '' is here
        env |= {
            "AUTOLOG_STORE": str(self._folder / "store"),
            "AUTOLOG_PRINT": "never",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join(folders),
            "XDG_CONFIG_HOME": str(self._folder),
        }
        answer = self._folder / "answer.json"
        answer.unlink(missing_ok=True)
        words = ["-W", "error", "-m", "autolog.testing.trial", str(answer), self.name, *experiment]
        done = subprocess.run(  # noqa: S603
            [sys.executable, *words],
            cwd=self._folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = f"the process for {' '.join(experiment)} said\n{done.stdout}{done.stderr}"
        if done.returncode != 0 or "autolog" in done.stderr:
            pytest.fail(said, pytrace=False)
        return json.loads(answer.read_text())


@pytest.fixture(scope="session")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    """Every integration that was asked about, by name."""
    names = [*discover().integrations, *discover().problems]
    return {name: Subject(name, tmp_path_factory.mktemp(name)) for name in names}


@pytest.fixture
def subject(integration_name: str, subjects: dict[str, Subject]) -> Subject:
    """The integration under test; it must be loadable and have an example."""
    found = discover()
    if integration_name in found.problems:
        pytest.fail(found.problems[integration_name])
    if found.integrations[integration_name].example is None:
        pytest.fail(
            f"{integration_name} declares no example: add example='package.module:EXAMPLE', an"
            " autolog.integration.Example that trains something tiny"
        )
    return subjects[integration_name]


# -- the declaration ----------------------------------------------------------------------------


def test_the_declaration_imports_no_framework(subject: Subject) -> None:
    found = subject.ask("declaration")["imported"]
    refuse("the declaration must not import its framework; loading it imported", found)


def test_every_name_in_the_declaration_is_there(subject: Subject) -> None:
    refuse("names that lead nowhere", subject.ask("declaration")["broken"])


def test_every_site_is_applied_or_says_why_not(subject: Subject) -> None:
    sites = subject.ask("watched")["sites"]
    silent = [site for site in sites if site[1] != "applied" and not site[2]]
    refuse("sites that are not applied, without a reason", silent)
    assert any(state == "applied" for _, state, _ in sites), "nothing is watched"


def test_sites_that_the_installed_version_lacks_are_declared_so(subject: Subject) -> None:
    missing = [site for site in subject.ask("watched")["sites"] if site[1] == "missing"]
    refuse("missing in this version (say with `when=` for which a site is meant)", missing)


def test_the_example_is_reproducible_and_can_fail(subject: Subject) -> None:
    plain = subject.ask("plain")
    first, second = plain["trainings"]
    assert first == second, "seed Example.train: without autolog, two trainings differ"
    assert plain["failure"] is not None, "say with Example(fails=...) how a training fails"


# -- its matrix ---------------------------------------------------------------------------------


def test_its_matrix_agrees_with_the_package(subject: Subject) -> None:
    """An integration need not have one; if it ships the source, the compiled form is fresh."""
    reference = discover().integrations[subject.name].compat
    if reference is not None:
        refuse("its matrix does not agree", matrix_findings(subject.name, reference))


def test_its_quirks_need_their_guards(subject: Subject) -> None:
    """Runs their tests, guarded and unguarded, if they are beside the package or here."""
    reference = discover().integrations[subject.name].compat
    quirks = load_compiled(reference)[subject.name]["quirks"] if reference else ()
    if not quirks:
        return
    tests = [quirk["test"] for quirk in quirks]
    project = project_of(str(reference), tests)
    if project is None:
        pytest.skip(f"the tests of its quirks are not here: {', '.join(tests)}")
    refuse("the proof of its quirks failed", prove(project, tests))


# -- what is recorded ---------------------------------------------------------------------------


@pytest.mark.edge_case("EC-I1", "EC-I2", "EC-I14")
@pytest.mark.parametrize("order", ORDERS)
def test_a_training_is_recorded_if_and_only_if_autolog_is_on(subject: Subject, order: str) -> None:
    subject.ask("permutation", order)
    for index, letter in enumerate(order):
        done = order[: index + 1]
        if "i" in done:
            on = "a" in done and "d" not in done[done.index("a") :]
            runs = subject.runs(f"{order} after {letter}")
            assert len(_roots(runs)) == on, f"after {done} autolog is {'on' if on else 'off'}"


def test_the_examples_method_is_watched(subject: Subject) -> None:
    assert "applied" in subject.ask("watched")["method"], "Example names a method without a site"


def test_one_training_is_one_finished_run_with_params(subject: Subject) -> None:
    found = subject.ask("watched")
    run = _only(subject.runs("once"))
    refuse("errors of hooks", run.logging_errors)
    assert run.status == "FINISHED"
    assert run.params, "the run has no params"
    assert not found["open"], "a run was left open"


def test_a_training_that_fails_is_one_failed_run(subject: Subject) -> None:
    subject.ask("watched")
    run = _only(subject.runs("failing"))
    refuse("errors of hooks", run.logging_errors)
    assert run.status == "FAILED"


def test_activating_twice_records_once(subject: Subject) -> None:
    found = subject.ask("watched")
    before, after = (Counter(site[0] for site in found[key]) for key in ("sites_once", "sites"))
    refuse("doubled hooks", [place for place in after if after[place] > max(1, before[place])])
    once, twice = _only(subject.runs("once")), _only(subject.runs("twice"))
    assert twice.params == once.params
    assert twice.metrics.keys() == once.metrics.keys()


def test_the_recorded_model_loads_and_computes_the_same(subject: Subject) -> None:
    found = subject.ask("load", _trained(subject).run_id)
    assert found["predictions"] == subject.ask("plain")["predictions"]


def test_safe_formats_give_the_model_back(subject: Subject) -> None:
    """A format that refuses the model is not meant for it, unless the model was stored for it."""
    run = _trained(subject)
    wanted = {model.manifest.get("convert_to") for model in subject.models(run)}
    expected = subject.ask("plain")["predictions"]
    for name, (predictions, error) in subject.ask("load", run.run_id)["formats"].items():
        assert error is None or name not in wanted, f"{name}: {error}"
        assert error or predictions == expected, f"{name} gives another model"


# -- what the user sees -------------------------------------------------------------------------


@pytest.mark.edge_case("EC-D9", "EC-D10")
def test_a_training_computes_the_same_bits(subject: Subject) -> None:
    subject.same_trainings(subject.ask("watched"))


@pytest.mark.edge_case("EC-N7", "EC-S1")
def test_the_method_copies_pickles_and_describes_itself_as_before(subject: Subject) -> None:
    before, now = subject.ask("plain")["traits"], subject.ask("watched")["traits"]
    changed = [f"{name}: {was} | {now[name]}" for name, was in before.items() if now[name] != was]
    refuse("the method is another, without autolog | with it", changed)


@pytest.mark.edge_case("EC-I13")
def test_the_process_keeps_its_handlers_threads_and_environment(subject: Subject) -> None:
    refuse("changed while autolog is on", subject.ask("watched")["process"])


@pytest.mark.edge_case("EC-I2")
def test_disabling_restores_every_attribute(subject: Subject) -> None:
    refuse("not what it was once autolog is off", subject.ask("watched")["left"])


@pytest.mark.edge_case("EC-I8")
def test_no_warning_is_added(subject: Subject) -> None:
    known = set(subject.ask("plain")["warnings"])
    for experiment in (("watched",), *(("permutation", order) for order in ORDERS)):
        added = set(subject.ask(*experiment)["warnings"]) - known
        refuse(f"warnings that autolog adds ({' '.join(experiment)})", sorted(added))


# -- when we fail -------------------------------------------------------------------------------


@pytest.mark.edge_case("EC-R1")
@pytest.mark.parametrize("phase", PHASES)
def test_what_breaks_in_a_hook_changes_nothing_for_the_user(subject: Subject, phase: str) -> None:
    subject.same_trainings(subject.ask("faults")[phase])


@pytest.mark.edge_case("EC-R1")
@pytest.mark.parametrize("phase", PHASES)
def test_runs_are_true_whatever_breaks_in_a_hook(subject: Subject, phase: str) -> None:
    found = subject.ask("faults")[phase]
    statuses = [run.status for run in _roots(subject.runs(f"broken {phase}"))]
    assert statuses.count("FAILED") == 1, "one of four trainings failed"
    assert set(statuses) == {"FAILED", "FINISHED"}
    assert found["told"] == found["used"], "a broken hook is said, in the notices of status()"


@pytest.mark.parametrize("phase", ["enter", "exit"])
def test_a_hook_that_raises_is_counted_and_switched_off(subject: Subject, phase: str) -> None:
    found = subject.ask("faults")[phase]
    assert found["faults"] >= 3, "status() does not count the errors of a hook"
    assert "faulted" in found["method"], "three failures must switch the hook off"
    runs = subject.runs(f"broken {phase}")
    assert any(run.logging_errors for run in runs), "the error is not kept with its run"


def test_a_store_that_cannot_be_written_changes_nothing(subject: Subject) -> None:
    found = subject.ask("unwritable")
    subject.same_trainings(found)
    assert found["notices"], "nobody was told that nothing is recorded"


def _roots(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.parent_id is None]


def _only(runs: list[Run]) -> Run:
    """The run of the one training of a step."""
    roots = _roots(runs)
    if len(roots) != 1:
        pytest.fail(f"one training made {len(roots)} runs: {[run.name for run in roots]}")
    return roots[0]


def _trained(subject: Subject) -> Run:
    """The run of the training that was watched; it must have a model."""
    subject.ask("watched")
    run = _only(subject.runs("once"))
    if not subject.models(run):
        pytest.fail("no model was stored: call span.model(Snapshot(...)) when the training ends")
    return run
