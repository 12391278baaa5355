"""The workflows of GitHub Actions that are generated from the matrix."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from autolog.compat import compiler
from autolog.compat.__main__ import main
from autolog.compat.matrix import load
from autolog.compat.rows import rows

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github/workflows"
NAMES = ("commit", "nightly", "outdated")


def workflow(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / f"{name}.yml").read_text())


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def test_there_is_no_other_workflow() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize(("name", "tier"), [("commit", "commit"), ("nightly", "full")])
def test_each_row_is_one_job_of_its_workflow(name: str, tier: Any) -> None:
    job = workflow(name)["jobs"]["row"]
    matrix = load(ROOT / compiler.SOURCE)
    assert Counter(job["strategy"]["matrix"]["row"]) == Counter(
        row.id for row in rows(matrix, tier)
    )
    assert job["strategy"]["fail-fast"] is False
    assert len(job["strategy"]["matrix"]["row"]) <= 256, "GitHub starts no more jobs of a matrix"


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("commit", {"push", "pull_request"}),
        ("nightly", {"schedule", "workflow_dispatch"}),
        ("outdated", {"schedule", "workflow_dispatch"}),
    ],
)
def test_a_workflow_starts_when_it_should(name: str, events: set[str]) -> None:
    on = workflow(name)["on"]
    assert on.keys() == events
    for one in on.get("schedule", ()):
        assert len(one["cron"].split()) == 5


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_may_only_read_and_runs_once_at_a_time(name: str) -> None:
    found = workflow(name)
    assert found["permissions"] == {"contents": "read"}
    assert "${{ github.ref }}" in found["concurrency"]["group"]
    assert found["env"]["UV_TORCH_BACKEND"] == "cpu"
    for job in found["jobs"].values():
        assert job.keys() >= {"runs-on", "timeout-minutes", "steps"}
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
            # What an expression holds is put into a variable, never into a program.
            assert "${{" not in step.get("run", "")


def test_a_row_is_run_by_its_id_and_its_result_kept() -> None:
    for name in ("commit", "nightly"):
        (run,) = [step for step in steps(name) if "--row" in step.get("run", "")]
        assert run["env"] == {"ROW": "${{ matrix.row }}"}
        (upload,) = [step for step in steps(name) if "upload-artifact" in step.get("uses", "")]
        assert "tests/matrix/results/${{ matrix.row }}.json" in upload["with"]["path"]
        assert upload["if"] == "${{ !cancelled() }}"


def test_the_commands_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    (row, *_) = workflow("nightly")["jobs"]["row"]["strategy"]["matrix"]["row"]
    assert main(["--root", str(ROOT), "matrix", "--list", "--row", row]) == 0
    assert row in capsys.readouterr().out
    assert any(step.get("run") == ".ci/run" for step in steps("commit"))
    for name in NAMES:
        for step in steps(name):
            program = re.sub(r"\$\{\{.*?\}\}", "", step.get("run", ""))
            subprocess.run(["bash", "-n", "-c", program], check=True)


def test_a_changed_matrix_makes_the_check_fail_until_it_is_compiled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / compiler.SOURCE).read_text()
    path = tmp_path / compiler.SOURCE
    path.write_text(text)
    where = ["--root", str(tmp_path), "compile"]
    assert main(where) == 0
    assert main([*where, "--check"]) == 0
    row = '- {version: "1.2.2", python: "3.10"'
    assert row in text
    path.write_text(text.replace(row, row.replace("1.2.2", "1.2.1")))
    capsys.readouterr()
    assert main([*where, "--check"]) == 1
    said = capsys.readouterr().out
    assert ".github/workflows/commit.yml is out of date" in said
    assert ".github/workflows/nightly.yml is out of date" in said
    assert "outdated.yml" not in said
    assert main(where) == 0
    assert main([*where, "--check"]) == 0
    assert "sklearn-1.2.1-py3.10" in (tmp_path / ".github/workflows/nightly.yml").read_text()
