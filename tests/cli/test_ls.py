"""`autolog ls`, on a store that real programs have written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.cli.recording import command, python, record, strict_json

FIELDS = [
    *("run_id", "name", "kind", "status", "experiment", "user", "host", "source", "commit"),
    *("dirty", "parent_id", "root_id", "depth", "start_time", "end_time", "params", "metrics"),
    *("tags", "artifact_uri", "logging_errors", "children", "recipe"),
]


def test_json_is_an_array_of_runs_with_the_documented_fields(
    recorded: Path, invoke: Invoke
) -> None:
    result = invoke("ls", "--json", store=recorded)
    runs = strict_json(result.stdout)
    assert [list(run) for run in runs] == [FIELDS] * 5
    assert [run["start_time"] for run in runs] == sorted(
        (run["start_time"] for run in runs), reverse=True
    )
    assert result.exit_code == 0
    assert result.stderr == ""


def test_nan_and_infinity_are_texts_that_float_reads(recorded: Path, invoke: Invoke) -> None:
    runs = strict_json(invoke("ls", "--json", store=recorded).stdout)
    (run,) = [run for run in runs if run["name"] == "läufe 🚀"]
    assert run["metrics"] == {"loss": "NaN", "flat": 1.0, "top": "Infinity"}
    assert float(run["metrics"]["top"]) == float("inf")


def test_names_are_printed_as_they_are(recorded: Path, tmp_path: Path) -> None:
    assert "läufe 🚀" in command("ls", store=recorded, cwd=tmp_path).stdout
    assert '"läufe 🚀"' in command("ls", "--json", store=recorded, cwd=tmp_path).stdout


def test_a_stream_without_unicode_gets_ascii(recorded: Path, tmp_path: Path) -> None:
    for words in (("ls",), ("ls", "--tree"), ("ls", "--json")):
        done = command(*words, store=recorded, cwd=tmp_path, PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
    assert any(run["name"] == "läufe 🚀" for run in strict_json(done.stdout))


def test_markup_and_escapes_in_a_name_are_only_text(recorded: Path, invoke: Invoke) -> None:
    out = invoke("ls", store=recorded).stdout
    assert "[bold]broken[/bold] \\x1b[31m" in out
    assert "\x1b" not in out


def test_a_pipe_gets_a_line_a_run_without_colours(recorded: Path, tmp_path: Path) -> None:
    done = command("ls", store=recorded, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert len(lines) == 1 + 5
    assert lines[0].split()[:5] == ["RUN", "KIND", "STATUS", "AGE", "TIME"]
    assert "\x1b" not in done.stdout
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("columns", [80, 140])
def test_a_line_is_never_wider_than_the_terminal(
    recorded: Path, invoke: Invoke, columns: int
) -> None:
    for words in (("ls",), ("ls", "--tree")):
        out = invoke(*words, store=recorded, COLUMNS=str(columns)).stdout
        assert max(map(len, out.splitlines())) <= columns


def test_a_narrow_terminal_loses_columns_before_it_loses_values(
    recorded: Path, invoke: Invoke
) -> None:
    wide = invoke("ls", "-e", "scored", store=recorded, COLUMNS="120").stdout.splitlines()
    narrow = invoke("ls", "-e", "scored", store=recorded, COLUMNS="60").stdout.splitlines()
    assert wide[0].split()[:6] == ["RUN", "KIND", "STATUS", "AGE", "TIME", "test/score"]
    assert narrow[0].split() == ["RUN", "STATUS", "AGE", "TIME", "test/score"]
    (run,) = strict_json(invoke("ls", "-e", "scored", "--json", store=recorded).stdout)
    assert float(narrow[1].split()[-1]) == pytest.approx(run["metrics"]["test/score"], abs=1e-4)


def test_the_experiment_is_a_column_only_if_there_are_several(
    recorded: Path, invoke: Invoke
) -> None:
    assert "EXPERIMENT" in invoke("ls", store=recorded).stdout
    assert "EXPERIMENT" not in invoke("ls", "-e", "größen", store=recorded).stdout


def test_runs_are_filtered_by_experiment_and_status(recorded: Path, invoke: Invoke) -> None:
    failed = strict_json(invoke("ls", "--status", "failed", "--json", store=recorded).stdout)
    assert [run["status"] for run in failed] == ["FAILED"]
    words = ("ls", "-e", "größen", "--status", "FINISHED", "--json")
    names = [run["name"] for run in strict_json(invoke(*words, store=recorded).stdout)]
    assert sorted(names) == ["child-one", "läufe 🚀"]


def test_a_limit_takes_the_newest_and_says_that_there_are_more(
    recorded: Path, invoke: Invoke
) -> None:
    every = strict_json(invoke("ls", "--json", store=recorded).stdout)
    some = strict_json(invoke("ls", "--json", "--limit", "2", store=recorded).stdout)
    assert some == every[:2]
    result = invoke("ls", "-n", "2", store=recorded)
    assert len(result.stdout.splitlines()) == 3
    assert "--limit 4" in result.stderr
    assert invoke("ls", "-n", "5", store=recorded).stderr == ""


def test_a_metric_can_be_asked_for(recorded: Path, invoke: Invoke) -> None:
    out = invoke("ls", "-m", "score", "-m", "loss", store=recorded).stdout
    assert out.splitlines()[0].split()[-2:] == ["score", "loss"]
    assert any(line.split()[-1] == "0.5" for line in out.splitlines())


def test_a_tree_has_children_below_their_parents(recorded: Path, invoke: Invoke) -> None:
    lines = invoke("ls", "--tree", store=recorded).stdout.splitlines()
    parent = next(at for at, line in enumerate(lines) if line.startswith("läufe 🚀"))
    assert lines[parent + 1].startswith("└── child-one")
    assert len(lines) == 5


def test_a_tree_keeps_the_parents_of_what_is_filtered(recorded: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    record(
        "import autolog\n"
        "with autolog.start_run('outer'):\n"
        "    with autolog.start_run('fine'): pass\n"
        "    try:\n"
        "        with autolog.start_run('bad'): raise ValueError\n"
        "    except ValueError: pass\n",
        store,
        "nested.py",
    )
    done = command("ls", "--tree", "--status", "FAILED", store=store, cwd=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["outer", "└──"]
    assert "bad" in done.stdout
    assert "fine" not in done.stdout


def test_many_children_are_counted_rather_than_drawn(tmp_path: Path) -> None:
    store = tmp_path / "store"
    record(
        "import autolog\n"
        "with autolog.start_run('outer'):\n"
        "    for i in range(40):\n"
        "        with autolog.start_run(f'child-{i}'): pass\n",
        store,
        "many.py",
    )
    out = command("ls", "--tree", store=store, cwd=tmp_path).stdout
    assert len(out.splitlines()) == 1 + 25 + 1
    assert "15 more: autolog show outer" in out
    everything = command("ls", "--tree", "--json", store=store, cwd=tmp_path).stdout
    assert len(strict_json(everything)) == 41


def test_an_empty_store_says_so_and_what_to_type(empty: Path, invoke: Invoke) -> None:
    result = invoke("ls", store=empty)
    assert result.exit_code == 0
    assert f"No runs yet in {empty}" in result.stdout
    assert "autolog run" in result.stdout
    assert strict_json(invoke("ls", "--json", store=empty).stdout) == []
    assert not empty.exists()


def test_a_filter_that_nothing_passes_says_so(recorded: Path, invoke: Invoke) -> None:
    result = invoke("ls", "--status", "KILLED", store=recorded)
    assert "No run fits" in result.stdout
    assert result.exit_code == 0


def test_an_unknown_experiment_is_an_error_that_names_the_nearest(
    recorded: Path, invoke: Invoke
) -> None:
    result = invoke("ls", "-e", "grösen", "--json", store=recorded)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: no experiment 'grösen'. There are: größen")


def test_a_read_sees_what_a_living_process_has_logged(tmp_path: Path) -> None:
    store = tmp_path / "store"
    program = (
        "import autolog, subprocess, sys\n"
        "run = autolog.start_run('open')\n"
        "run.log_metric('loss', 0.25)\n"
        "print(subprocess.run([sys.executable, '-m', 'autolog', 'ls', '--json'],"
        " capture_output=True, text=True, check=True).stdout)\n"
    )
    done = python("-c", program, store=store, cwd=tmp_path)
    (run,) = strict_json(done.stdout)
    assert (run["status"], run["metrics"]) == ("RUNNING", {"loss": 0.25})
