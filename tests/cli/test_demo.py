"""`autolog demo`: the whole way, on real data."""

from __future__ import annotations

from pathlib import Path

from tests.cli.recording import command, python, strict_json


def test_the_demo_records_lists_shows_and_loads_back(tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = command("demo", "--store", str(store), store=tmp_path / "other", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ("$ autolog run", "weighted avg", "$ autolog ls", "$ autolog show", "loss_curve"):
        assert text in done.stdout
    predicted, true = (
        line.split()[1:]
        for line in done.stdout.splitlines()
        if line.startswith(("predicted", "true "))
    )
    assert sum(a == b for a, b in zip(predicted, true, strict=True)) >= 8
    assert (store / "store.db").exists()
    assert not (tmp_path / "other").exists()
    (run,) = strict_json(command("ls", "--json", store=store, cwd=tmp_path).stdout)
    assert (run["experiment"], run["status"]) == ("demo", "FINISHED")
    assert run["metrics"]["test/accuracy"] > 0.9


def test_the_demo_as_json_is_one_document(tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = command("demo", "--json", store=store, cwd=tmp_path, AUTOLOG_DISABLED="sklearn")
    document = strict_json(done.stdout)
    assert document["run"]["name"].startswith("Pipeline-")
    assert len(document["predicted"]) == len(document["true"]) == 10
    assert (done.returncode, done.stderr) == (0, "")


def test_without_scikit_learn_the_demo_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from autolog.cli.commands import cli; cli(['demo'])\n"
    )
    done = python("-c", program, store=tmp_path / "store", cwd=tmp_path)
    assert done.returncode == 1
    assert "pip install 'autolog-ml[sklearn]'" in done.stderr
    assert done.stdout == ""


def test_a_demo_that_records_nothing_says_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "autolog.toml").write_text('disabled = ["sklearn"]\n')
    done = command("demo", "--json", store=tmp_path / "store", cwd=tmp_path)
    assert done.returncode == 1
    assert "autolog doctor" in done.stderr
    assert done.stdout == ""
