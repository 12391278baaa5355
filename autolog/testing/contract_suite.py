"""What every integration must keep, ours and third parties'; run by `autolog.testing.contract`.

Each test asks one question of a fresh process (`autolog.testing.trial`) in a store of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autolog.discovery import discover

Ask = Callable[..., dict[str, Any]]

ORDERS = ["".join(letters) for letters in itertools.permutations("iad")]
"""Import the framework, activate, disable: in every order."""


@pytest.fixture
def ask(integration_name: str, tmp_path: Path) -> Ask:
    """Run an experiment on the integration in a fresh process."""
    integration = discover().integrations[integration_name]
    if integration.example is None:
        pytest.fail(
            f"{integration_name} declares no example: add example='package.module:EXAMPLE', an"
            " autolog.integration.Example that trains something tiny"
        )

    def run(experiment: str, *arguments: str, words: tuple[str, ...] = ()) -> dict[str, Any]:
        env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
        env |= {"AUTOLOG_STORE": str(tmp_path / "store"), "AUTOLOG_PRINT": "never"}
        command = [*words, "-m", "autolog.testing.trial", integration_name, experiment, *arguments]
        done = subprocess.run(  # noqa: S603
            [sys.executable, *command], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"the experiment {experiment} ended with\n{done.stderr}"
        return json.loads(done.stdout)

    return run


def test_the_declaration_imports_no_framework_and_names_only_what_is_there(ask: Ask) -> None:
    found = ask("declaration")
    assert found["imported"] == [], "the declaration must not import its framework"
    assert found["broken"] == []


@pytest.mark.edge_case("EC-I1", "EC-I2")
@pytest.mark.parametrize("order", ORDERS)
def test_a_training_is_recorded_if_and_only_if_autolog_is_on(ask: Ask, order: str) -> None:
    expected = 1 if order.index("a") > order.index("d") else 0
    assert ask("permutation", order) == {"runs": expected}


def test_one_training_is_one_finished_run_with_params(ask: Ask) -> None:
    found = ask("record")
    assert len(found["runs"]) == 1, f"{len(found['runs'])} runs were recorded for one training"
    status, params, errors = found["runs"][0]
    assert (status, errors) == ("FINISHED", 0), found["faults"]
    assert params > 0, "the run has no params"
    assert not found["active"], "a run was left open"
    assert found["missing"] == [], "sites that the installed version does not have"


def test_the_recorded_model_loads(ask: Ask) -> None:
    assert ask("record")["model"] is not None, "no model was stored, or it does not load"


@pytest.mark.edge_case("EC-D9", "EC-D10")
def test_a_training_computes_the_same_bits(ask: Ask) -> None:
    assert ask("neutral") == {"result": True, "random": True, "attributes": True}


@pytest.mark.edge_case("EC-I2")
def test_disabling_restores_every_attribute(ask: Ask) -> None:
    found = ask("restore")
    assert found["left"] == [], "attributes that are not what they were"
    assert found["finders"], "sys.meta_path is not what it was"
    assert found["sites"] == 0


@pytest.mark.edge_case("EC-N7", "EC-S1")
def test_the_patched_method_copies_pickles_and_describes_itself_as_before(ask: Ask) -> None:
    assert ask("objects") == {"failed": [], "changed": []}


@pytest.mark.edge_case("EC-R1")
@pytest.mark.parametrize("phase", ["enter", "exit"])
def test_a_hook_that_raises_changes_nothing_and_is_switched_off(ask: Ask, phase: str) -> None:
    found = ask("faults", phase)
    assert found["same"], "a broken hook changed the training's result"
    assert found["states"] in ([], ["FINISHED"])
    if found["faults"]:  # an integration of official callbacks alone has no such hook
        assert found["switched_off"], "the hook was not switched off after three failures"
        assert found["told"], "nobody was told"


def test_a_store_that_cannot_be_written_changes_nothing(ask: Ask) -> None:
    found = ask("unwritable")
    assert found["same"]
    assert found["notices"], "nobody was told that nothing is recorded"


def test_safe_formats_give_the_model_back(ask: Ask) -> None:
    assert ask("formats") == {"failed": []}


@pytest.mark.edge_case("EC-I8")
def test_no_warning_is_added(ask: Ask) -> None:
    strict = ("-W", "error")
    assert ask("permutation", "dia", words=strict) == {"runs": 1}
