"""`autolog show`, on a store that real programs have written."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from autolog.journal.records import RunOpen
from autolog.journal.writer import Writer
from autolog.store.location import locate, prepare
from tests.cli.conftest import Invoke
from tests.cli.recording import command, record, strict_json


def runs_of(recorded: Path, invoke: Invoke, experiment: str) -> list[dict[str, Any]]:
    return strict_json(invoke("ls", "-e", experiment, "--json", store=recorded).stdout)


def shown(recorded: Path, invoke: Invoke, experiment: str) -> str:
    """Return the page of the only run of an experiment."""
    (run,) = runs_of(recorded, invoke, experiment)
    return invoke("show", run["run_id"], store=recorded).stdout


def part(page: str, title: str) -> str:
    """Return one titled part of a page."""
    return page.split(f"\n{title}\n", 1)[1].split("\n\n", 1)[0]


def test_the_head_says_what_the_run_is_and_where_it_comes_from(
    recorded: Path, invoke: Invoke
) -> None:
    (run,) = runs_of(recorded, invoke, "scored")
    page = invoke("show", run["name"], store=recorded).stdout
    head = page.split("\n\n")[0]
    assert head.startswith(f"{run['name']}  FINISHED\n")
    source = str(recorded.parent / "scored.py")
    for text in (run["run_id"], "experiment  scored", source, "python", "scikit-learn 1."):
        assert text in " ".join(head.split()) or text in head  # wrapped where it is long


def test_a_run_is_found_by_name_id_and_beginning_of_its_id(recorded: Path, invoke: Invoke) -> None:
    (run,) = runs_of(recorded, invoke, "scored")
    pages = [
        strict_json(invoke("show", ref, "--json", store=recorded).stdout)
        for ref in (run["name"], run["run_id"], run["run_id"][:28])
    ]
    assert [page["run"]["run_id"] for page in pages] == [run["run_id"]] * 3


def test_an_unknown_run_is_an_error_that_names_near_ones(recorded: Path, invoke: Invoke) -> None:
    result = invoke("show", "child-on", store=recorded)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "Error: no run 'child-on'. Did you mean child-one?\n"


def test_a_run_of_an_empty_store_is_an_error(empty: Path, invoke: Invoke) -> None:
    result = invoke("show", "SVC-k3fa", "--json", store=empty)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the store is empty" in result.stderr


def test_metrics_have_last_lowest_highest_and_a_curve(recorded: Path, invoke: Invoke) -> None:
    lines = part(invoke("show", "läufe 🚀", store=recorded).stdout, "Metrics").splitlines()
    rows = {line.split()[0]: line.split() for line in lines}
    assert rows["METRIC"] == ["METRIC", "LAST", "MIN", "MAX", "POINTS", "CURVE"]
    assert rows["loss"][:5] == ["loss", "nan", "0.0178571", "5", "300"]
    assert rows["loss"][5][0] == "█"
    assert rows["loss"][5][-1] == "\N{MULTIPLICATION SIGN}"
    assert rows["flat"] == ["flat", "1", "1", "1", "2", "▄▄"]
    assert rows["top"] == ["top", "inf"]


def test_curves_are_ascii_where_the_stream_is(recorded: Path, tmp_path: Path) -> None:
    done = command("show", "läufe 🚀", store=recorded, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "\\u00e4ufe" in done.stdout or "\\xe4ufe" in done.stdout
    (loss,) = [line for line in done.stdout.splitlines() if line.split()[:1] == ["loss"]]
    assert loss.endswith("xx")


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_the_page_fits_the_terminal_and_loses_nothing(
    recorded: Path, invoke: Invoke, columns: int
) -> None:
    page = invoke("show", "läufe 🚀", store=recorded, COLUMNS=str(columns)).stdout
    assert max(map(len, page.splitlines())) <= columns
    assert part(page, "Params").count("word") == 100


def test_parameters_keep_their_types(recorded: Path, invoke: Invoke) -> None:
    rows = part(invoke("show", "läufe 🚀", store=recorded).stdout, "Params")
    pairs = dict(line.split(maxsplit=1) for line in rows.splitlines() if "word word" not in line)
    assert pairs["lr"] == "0.1"
    assert pairs["opt"] == "adam"
    assert pairs["sizes"] == "[1, 2]"
    assert pairs["limit"] == "inf"


def test_a_failed_run_shows_its_error_on_one_line(recorded: Path, invoke: Invoke) -> None:
    (run,) = strict_json(invoke("ls", "--status", "FAILED", "--json", store=recorded).stdout)
    page = invoke("show", run["run_id"], store=recorded).stdout
    assert "FAILED" in page.splitlines()[0]
    assert "\x1b" not in page
    (line,) = [line for line in page.splitlines() if line.startswith("  error")]
    assert "ValueError: the data is\\nempty" in line


def test_the_preparation_of_the_data_is_listed(recorded: Path, invoke: Invoke) -> None:
    rows = part(shown(recorded, invoke, "fits"), "Preparation")
    assert "StandardScaler" in rows
    assert "150 x 4" in rows
    assert rows.splitlines()[1].rstrip().endswith("yes")


def test_the_data_that_was_used_is_listed(recorded: Path, invoke: Invoke) -> None:
    rows = part(shown(recorded, invoke, "fits"), "Inputs")
    assert "X_scaled" in rows
    assert "numpy.ndarray" in rows


def test_the_model_is_listed_with_how_to_load_it(recorded: Path, invoke: Invoke) -> None:
    page = shown(recorded, invoke, "scored")
    assert "LogisticRegression" in part(page, "Models")
    assert 'autolog.load_model("LogisticRegression-' in page
    assert "model/model.pkl" in part(page, "Artifacts")


def test_a_training_without_evaluation_says_what_to_write(recorded: Path, invoke: Invoke) -> None:
    line = "This run saw no evaluation; add e.g. `model.score(X_test, y_test)`"
    assert line in shown(recorded, invoke, "fits")
    assert line not in shown(recorded, invoke, "scored")
    assert line not in invoke("show", "child-one", store=recorded).stdout


def test_children_and_parent_are_named(recorded: Path, invoke: Invoke) -> None:
    parent = invoke("show", "läufe 🚀", store=recorded).stdout
    assert "child-one" in part(parent, "Children")
    document = strict_json(invoke("show", "läufe 🚀", "--json", store=recorded).stdout)
    (child,) = document["children"]
    assert document["run"]["run_id"] in invoke("show", child, store=recorded).stdout


def test_notices_and_problems_of_logging_are_shown(tmp_path: Path) -> None:
    store = tmp_path / "store"
    record(
        "import autolog\n"
        "with autolog.start_run('noticed') as run:\n"
        "    run.log_event('notice', {'key': 'k', 'text': 'a thing to know'})\n"
        "    run.log_event('logging_error', {'message': 'a hook: E: why'})\n"
        "    run.log_event('training_failed', {'status': 'FAILED'})\n",
        store,
        "noticed.py",
    )
    page = command("show", "noticed", store=store, cwd=tmp_path).stdout
    assert part(page, "Notices") == "  a thing to know"
    assert "a hook: E: why" in page
    assert "training_failed" in part(page, "Events")


def test_json_has_all_details_the_history_of_metrics_and_the_preparation(
    recorded: Path, invoke: Invoke
) -> None:
    (run,) = runs_of(recorded, invoke, "fits")
    result = invoke("show", run["name"], "--json", store=recorded)
    document = strict_json(result.stdout)
    assert document["run"] == run
    for field in (
        "argv",
        "cwd",
        "packages",
        "artifacts",
        "models",
        "inputs",
        "events",
        "exit_code",
    ):
        assert field in document
    (step,) = document["preparation"]
    assert step["class"].endswith("StandardScaler")
    assert step["linked"] is True
    assert document["metric_history"]["fit_seconds"]["points"] == 1
    assert result.stderr == ""


def test_the_history_of_a_metric_sums_up_its_points(recorded: Path, invoke: Invoke) -> None:
    document = strict_json(invoke("show", "läufe 🚀", "--json", store=recorded).stdout)
    summary = document["metric_history"]["loss"]
    real = [5 / (step + 1) for step in range(280)]
    assert summary.pop("mean") == pytest.approx(sum(real) / len(real))
    assert summary == {
        "points": 300,
        "last": "NaN",
        "min": 5 / 280,
        "max": 5.0,
        "nan": 20,
        "first_step": 0,
        "last_step": 299,
        "evaluation": False,
        "system": False,
        "ranks": 0,
    }


def test_points_of_an_attempt_that_a_later_one_repeats_do_not_count(
    tmp_path: Path, invoke: Invoke
) -> None:
    location = locate(tmp_path / "store")
    prepare(location)
    uid = "0" * 31 + "1"
    for attempt, steps in enumerate([range(10), range(5, 20)]):
        with contextlib.closing(Writer(location.journal, location.uri)) as writer:
            run = writer.run(uid)
            writer.append(
                RunOpen(
                    run=run,
                    name="again",
                    kind="run",
                    experiment="e",
                    attempt=attempt,
                    start_us=writer.now_us(),
                    resume="allow",
                )
            )
            for step in steps:
                writer.metrics(run, {"loss": float(attempt)}, step, None, 0, attempt)
    result = invoke("show", uid, "--json", store=location.root)
    document = strict_json(result.stdout)
    assert document["attempt"] == 1
    summary = document["metric_history"]["loss"]
    assert (summary["points"], summary["first_step"], summary["last_step"]) == (20, 0, 19)


@pytest.mark.parametrize("left_open", [True, False])
def test_only_of_a_run_that_was_left_open_the_exit_code_is_missed(
    tmp_path: Path, left_open: bool
) -> None:
    run = "run = autolog.start_run('r')" if left_open else "with autolog.start_run('r'): pass"
    record(f"import autolog\n{run}\n", tmp_path / "store", "script.py")
    page = command("show", "r", store=tmp_path / "store", cwd=tmp_path).stdout
    assert ("exit code unknown" in page) == left_open
    assert "open_at_exit" not in page


def test_of_thousands_of_metrics_the_first_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    logs = "{f'm{number:04}': number for number in range(1234)}"
    source = f"import autolog\nwith autolog.start_run('r') as run: run.log_metrics({logs}, 0)\n"
    record(source, tmp_path / "store", "script.py")
    page = command("show", "r", store=tmp_path / "store", cwd=tmp_path).stdout
    assert "m0499" in page
    assert "m0500" not in page
    assert "and 734 more; --json has all" in page
    found = strict_json(
        command("show", "r", "--json", store=tmp_path / "store", cwd=tmp_path).stdout
    )
    assert len(found["run"]["metrics"]) == 1234
