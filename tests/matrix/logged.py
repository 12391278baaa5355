"""What the proofs of `logs` in compat_matrix.yaml have in common: series, data, files, sites."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import autolog
from autolog.discovery import discover

LOST = {"missing", "faulted", "replaced", "buried"}


def values(run: Any, key: str) -> list[float]:
    """Every point of a series, as it was logged."""
    return autolog.metric_history(run.run_id, key).value.tolist()


def profiles(recording: Any, run: Any = None) -> dict[str, dict[str, Any]]:
    """What is known of a run's data, by its role."""
    return {one.role: one.profile for one in recording.details(run).inputs}


def tables(recording: Any, run: Any = None) -> set[str]:
    """The names of a run's tables."""
    return {table["name"] for table in recording.events("table", run)}


def models(recording: Any, run: Any = None) -> dict[str, list[str]]:
    """The formats of a run's models, by their names."""
    found: dict[str, list[str]] = {}
    for model in recording.details(run).models:
        found.setdefault(model.name, []).append(model.format)
    return found


def table(rows: Any) -> Any:
    """Rows of three numbers as a table of pandas with columns a, b, c; skip where it is not."""
    return pytest.importorskip("pandas").DataFrame(rows, columns=[*"abc"])


def expect_sound(framework: str) -> None:
    """Nothing of the framework was lost or failed so far, and `disable` takes all of it away."""
    sites = [one for one in autolog.status().sites if one.integration == framework]
    assert any(one.calls for one in sites), "no hook was ever called"
    assert [one for one in sites if one.state in LOST or one.faults or one.unbound] == []
    autolog.disable()
    assert autolog.status().sites == ()


def expect_bound(framework: str) -> None:
    """Every site whose module this environment has binds; the others wait for what is absent."""
    declared = discover().integrations[framework]
    absent: set[str] = set()
    autolog.autolog(framework)
    for module in {one.module for one in (*declared.sites, *declared.bridges)}:
        try:
            importlib.import_module(module)
        except ImportError:  # a part that needs more than is installed, or another version
            absent.add(module)
    sites = [one for one in autolog.status().sites if one.integration == framework]
    assert [one for one in sites if one.state in LOST] == []
    assert {one.owner for one in sites if one.state == "waiting"} <= absent
    assert any(one.state == "applied" for one in sites)
    autolog.disable()
    assert autolog.status().sites == ()
