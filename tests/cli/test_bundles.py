"""`autolog export` and `autolog import`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.cli.recording import strict_json


@pytest.fixture
def bundle(recorded: Path, invoke: Invoke, tmp_path: Path) -> Path:
    result = invoke("export", str(tmp_path / "bundle"), store=recorded)
    assert result.exit_code == 0, result.output
    return tmp_path / "bundle"


def _names(store: Path, invoke: Invoke) -> set[str]:
    return {run["name"] for run in json.loads(invoke("ls", "--json", store=store).stdout)}


def test_all_runs_go_from_one_store_to_another(
    bundle: Path, recorded: Path, empty: Path, invoke: Invoke
) -> None:
    result = invoke("import", str(bundle), store=empty)
    assert result.exit_code == 0, result.output
    assert "new, 0 known before" in result.stdout
    assert _names(empty, invoke) == _names(recorded, invoke)


def test_a_named_run_brings_the_runs_below_it(
    recorded: Path, empty: Path, invoke: Invoke, tmp_path: Path
) -> None:
    result = invoke("export", "läufe 🚀", str(tmp_path / "one.zip"), "--json", store=recorded)
    assert strict_json(result.stdout)["runs"] == 2
    invoke("import", str(tmp_path / "one.zip"), store=empty)
    assert _names(empty, invoke) == {"läufe 🚀", "child-one"}


def test_one_experiment_is_exported_alone(recorded: Path, invoke: Invoke, tmp_path: Path) -> None:
    words = ("--experiment", "größen", "--json")
    result = invoke("export", str(tmp_path / "x"), *words, store=recorded)
    assert strict_json(result.stdout)["runs"] == 2


def test_an_unknown_experiment_lists_near_ones(
    recorded: Path, invoke: Invoke, tmp_path: Path
) -> None:
    result = invoke("export", str(tmp_path / "x"), "-e", "größe", store=recorded)
    assert result.exit_code == 1
    assert "größen" in result.stderr


def test_importing_again_says_that_all_is_known(bundle: Path, empty: Path, invoke: Invoke) -> None:
    invoke("import", str(bundle), store=empty)
    result = invoke("import", str(bundle), "--json", store=empty)
    done = strict_json(result.stdout)
    assert (done["created"], done["changed"], done["points"]) == (0, 0, 0)


def test_runs_are_put_into_the_experiment_that_is_named(
    bundle: Path, empty: Path, invoke: Invoke
) -> None:
    invoke("import", str(bundle), "--into", "theirs", store=empty)
    runs = json.loads(invoke("ls", "--json", store=empty).stdout)
    assert {run["experiment"] for run in runs} == {"theirs"}


def test_a_damaged_bundle_is_an_error_in_one_line(
    bundle: Path, empty: Path, invoke: Invoke
) -> None:
    (bundle / "points.parquet").write_bytes(b"")
    result = invoke("import", str(bundle), store=empty)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "points.parquet" in result.stderr


def test_a_file_of_another_kind_is_refused_in_one_line(
    empty: Path, invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no bundle")
    result = invoke("import", str(tmp_path / "notes.txt"), store=empty)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "is damaged or no bundle: file could not be opened successfully\n"
    )


def test_a_file_that_the_store_has_lost_is_named_and_is_exit_code_1(
    bundle: Path, empty: Path, invoke: Invoke, tmp_path: Path
) -> None:
    invoke("import", str(bundle), store=empty)
    for path in (empty / "artifacts" / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    result = invoke("export", str(tmp_path / "again"), store=empty)
    assert result.exit_code == 1
    assert "notes/läufe.txt is gone from the store" in result.stderr
