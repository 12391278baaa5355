"""`autolog status`: sizes, journals and damage of a real store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Invoke
from tests.cli.recording import command, environment, python, strict_json

KILLED = """
import autolog, os
run = autolog.start_run("killed")
for step in range(200):
    run.log_metric("loss", 1 / (step + 1))
os._exit(1)
"""


def killed(store: Path, cwd: Path) -> Path:
    """Let a process die with its journal unread; return the journal's file."""
    assert python("-c", KILLED, store=store, cwd=cwd).returncode == 1
    (path,) = (store / "journal").glob("*.alj")
    return path


def test_json_says_where_the_store_is_and_what_it_holds(recorded: Path, invoke: Invoke) -> None:
    result = invoke("status", "--json", store=recorded)
    found = strict_json(result.stdout)
    assert found["store"] == f"sqlite:///{recorded / 'store.db'}"
    assert found["database"]["path"] == str(recorded / "store.db")
    assert found["database"]["bytes"] > 0
    assert found["artifacts"]["bytes"] > 0
    assert found["runs"] == {"total": 5, "by_status": {"FINISHED": 4, "FAILED": 1}}
    names = {experiment["name"] for experiment in found["experiments"]}
    assert names == {"größen", "own", "fits", "scored"}
    assert found["damage"] == []
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_reader_is_told_the_same(recorded: Path, invoke: Invoke) -> None:
    out = invoke("status", store=recorded).stdout
    assert "runs         5: 1 FAILED, 4 FINISHED" in out
    assert str(recorded) in out


def test_an_empty_store_is_no_problem_and_is_not_created(empty: Path, invoke: Invoke) -> None:
    result = invoke("status", store=empty)
    assert result.exit_code == 0
    assert "not there yet" in result.stdout
    assert not empty.exists()


def test_the_journal_of_a_dead_process_is_counted_and_folded(tmp_path: Path) -> None:
    store = tmp_path / "store"
    size = killed(store, tmp_path).stat().st_size
    first = strict_json(command("status", "--json", store=store, cwd=tmp_path).stdout)
    assert first["journals"]["writers"] == {"alive": 0, "dead": 1, "unknown": 0}
    assert first["journals"]["unfolded_bytes"] == size
    assert first["runs"]["by_status"] == {"KILLED": 1}
    second = strict_json(command("status", "--json", store=store, cwd=tmp_path).stdout)
    assert second["journals"]["unfolded_bytes"] == 0


def test_a_living_writer_is_counted(tmp_path: Path) -> None:
    store = tmp_path / "store"
    program = (
        "import autolog\n"
        "autolog.start_run('open').log_metric('loss', 1)\n"
        "print('ready', flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(store),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        found = strict_json(command("status", "--json", store=store, cwd=tmp_path).stdout)
        process.communicate(b"\n", timeout=60)
    assert found["journals"]["writers"]["alive"] == 1
    assert found["runs"]["by_status"] == {"RUNNING": 1}


def test_a_damaged_journal_is_a_problem_each_time_it_is_looked_at(tmp_path: Path) -> None:
    store = tmp_path / "store"
    path = killed(store, tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    for _ in range(2):
        done = command("status", "--json", store=store, cwd=tmp_path)
        found = strict_json(done.stdout)
        assert done.returncode == 1
        assert [one["path"] for one in found["damage"]] == [str(path)]
        assert found["runs"]["by_status"] == {"KILLED": 1}
    shown = command("status", store=store, cwd=tmp_path, COLUMNS="300")
    assert shown.returncode == 1
    assert f"damage       {path} at byte" in shown.stdout


def test_a_store_option_wins_over_the_environment(
    recorded: Path, empty: Path, invoke: Invoke
) -> None:
    result = invoke("status", "--json", "--store", str(recorded), store=empty)
    assert strict_json(result.stdout)["runs"]["total"] == 5


def test_a_store_of_a_newer_autolog_is_an_error_with_an_advice(
    recorded: Path, tmp_path: Path
) -> None:
    import shutil
    import sqlite3

    store = tmp_path / "newer"
    shutil.copytree(recorded, store)
    with sqlite3.connect(store / "store.db") as database:
        database.execute("update alembic_version set version_num = '9999'")
    database.close()
    done = command("status", store=store, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "pip install -U autolog-ml" in done.stderr
    assert os.linesep not in done.stderr.strip()


def test_the_database_of_a_server_has_no_size_here(
    fresh_database: Callable[[], str],
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store: Any = fresh_database()
    found = strict_json(invoke("status", "--json", store=store).stdout)
    assert found["database"] == {"path": None, "bytes": None}
    assert found["runs"] == {"total": 0, "by_status": {}}
    assert "database" not in invoke("status", store=store).stdout.split()
