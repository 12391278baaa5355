"""`autolog query`, on a store that real programs have written."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Invoke
from tests.cli.recording import strict_json


def test_the_runs_that_pass_are_a_table(recorded: Path, invoke: Invoke) -> None:
    result = invoke("query", "params.C = 0.5 and kind = 'fit'", "-m", "test/score", store=recorded)
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["RUN", "KIND", "STATUS", "AGE", "TIME", "test/score"]
    assert len(rows) == 1
    assert rows[0].startswith("LogisticRegression-")
    assert (result.exit_code, result.stderr) == (0, "")


def test_what_the_runs_are_sorted_by_is_shown(recorded: Path, invoke: Invoke) -> None:
    result = invoke("query", "--order-by", "metrics.score desc", "--limit", "1", store=recorded)
    header, row = result.stdout.splitlines()
    assert header.split()[-1] == "score"
    assert row.startswith("child-one")
    assert "The first 1 only; more with --limit 2." in result.stderr


def test_json_is_an_array_of_runs(recorded: Path, invoke: Invoke) -> None:
    text = "parent.params.opt = 'adam' or min(metrics.loss) < 1"
    runs = strict_json(invoke("query", text, "-o", "depth", "--json", store=recorded).stdout)
    assert [run["name"] for run in runs] == ["läufe 🚀", "child-one"]
    assert strict_json(invoke("query", "name = 'x'", "--json", store=recorded).stdout) == []


def test_the_total_is_said_on_stderr(recorded: Path, invoke: Invoke) -> None:
    result = invoke("query", "-n", "1", "--total", "--json", store=recorded)
    assert len(strict_json(result.stdout)) == 1
    assert result.stderr == "5 runs in all.\n"


def test_an_error_points_at_the_character(recorded: Path, invoke: Invoke) -> None:
    result = invoke("query", "metrics.loss >> 1", store=recorded)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: unexpected '>'")
    assert "metrics.loss >> 1\n                ^" in result.stderr


def test_an_unknown_experiment_is_an_error_that_lists_the_known(
    recorded: Path, invoke: Invoke
) -> None:
    result = invoke("query", "--experiment", "grössen", store=recorded)
    assert result.exit_code == 1
    assert "größen" in result.stderr


def test_nothing_found_is_said(recorded: Path, invoke: Invoke) -> None:
    assert "No run fits." in invoke("query", "depth > 99", store=recorded).stdout


def test_an_empty_store_is_said_to_be_empty(empty: Path, invoke: Invoke) -> None:
    assert "No runs yet" in invoke("query", "depth = 0", store=empty).stdout
