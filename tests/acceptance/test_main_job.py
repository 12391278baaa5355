"""The main job, as a user does it: an unmodified script, the shell, a notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """\
from sklearn.datasets import load_digits
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = make_pipeline(StandardScaler(), SVC()).fit(X_train, y_train)
print(classification_report(y_test, model.predict(X_test)))
"""
FIRST = "from autolog import autolog\nautolog()\n" + SCRIPT
LAST = SCRIPT.replace("\nX, y", "\nimport autolog\nautolog.autolog()\n\nX, y")


@pytest.fixture
def shell(recording, tmp_path: Path):
    """Run a command in a folder of its own, with the recording's store."""

    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        env = {key: text for key, text in os.environ.items() if key != "AUTOLOG_STRICT"}
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, *words], cwd=folder, env=env, capture_output=True, timeout=120
        )

    (tmp_path / "work").mkdir()
    return run


def check_the_run(recording) -> None:
    run = recording.run()
    assert (run.status, run.kind) == ("FINISHED", "fit")
    assert run.params["svc__C"] == 1.0
    assert 0.97 < run.metrics["test/accuracy"] < 1
    assert 0.97 < run.metrics["test/f1_macro"] < 1
    assert run.logging_errors == []


@pytest.mark.parametrize(
    ("source", "words"),
    [(SCRIPT, ("-m", "autolog", "run")), (FIRST, ()), (LAST, ())],
    ids=["autolog run", "first line", "last import"],
)
def test_the_digits_script_prints_the_same_and_is_recorded(
    recording, shell, tmp_path, source, words
):
    plain, watched = tmp_path / "work" / "plain.py", tmp_path / "work" / "digits.py"
    plain.write_text(SCRIPT)
    watched.write_text(source)
    expected = shell(str(plain))
    got = shell(*words, str(watched))
    assert (got.returncode, got.stdout, got.stderr) == (0, expected.stdout, expected.stderr)
    check_the_run(recording)


def test_the_shell_lists_the_run_and_its_model_loads(recording, shell, tmp_path):
    (tmp_path / "work" / "digits.py").write_text(SCRIPT)
    assert shell("-m", "autolog", "run", "digits.py").returncode == 0
    listed = shell("-m", "autolog", "ls", "--json")
    assert listed.returncode == 0, listed.stderr
    (run,) = json.loads(listed.stdout)
    assert (run["status"], run["experiment"]) == ("FINISHED", "digits")
    assert run["params"]["svc__kernel"] == "rbf"
    loaded = shell(
        "-c",
        "import autolog; from sklearn.datasets import load_digits\n"
        f"print(autolog.load_model({run['run_id']!r}).score(*load_digits(return_X_y=True)))",
    )
    assert float(loaded.stdout) > 0.97, loaded.stderr


def test_a_notebook_cell_that_is_run_twice_makes_two_runs(recording, tmp_path):
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:

        def cell(source: str) -> str:
            printed: list[str] = []

            def collect(message) -> None:
                content = message["content"]
                if message["msg_type"] == "error":
                    printed.append("\n".join(content["traceback"]))
                if message["msg_type"] == "stream" and content["name"] == "stdout":
                    printed.append(content["text"])

            reply = client.execute_interactive(source, timeout=120, output_hook=collect)
            assert reply["content"]["status"] == "ok", "".join(printed)
            return "".join(printed)

        cell("from autolog import autolog\nautolog()")
        first, second = cell(SCRIPT), cell(SCRIPT)
        assert "accuracy" in first
        assert first == second
        cell("import autolog as package\npackage.log_metric('after', 1)")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)
    runs = recording.runs()
    assert [run.status for run in runs] == ["FINISHED", "FINISHED"]
    assert all(run.metrics["test/accuracy"] > 0.97 for run in runs)
    assert ["after" in run.metrics for run in runs] == [False, True]


@pytest.mark.edge_case("EC-R9")
def test_a_notebook_cell_that_failed_inside_its_run_can_be_run_again(recording, tmp_path):
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        client.execute_interactive("import autolog\nfail = True", timeout=60)
        source = "autolog.start_run()\nautolog.log_metric('x', 1)\nif fail: raise ValueError"
        reply = client.execute_interactive(source, timeout=60, output_hook=lambda message: None)
        assert reply["content"]["status"] == "error"
        client.execute_interactive("fail = False", timeout=60)
        reply = client.execute_interactive(source, timeout=60)
        assert reply["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)
    first, second = recording.runs()
    assert (first.status, second.status) == ("FAILED", "FINISHED")
    assert second.parent_id is None
