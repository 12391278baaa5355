"""`autolog gc` and `autolog store`."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import update

from autolog.store import open_store
from autolog.store.location import locate
from autolog.store.sql.schema import metadata
from tests.cli.conftest import Invoke
from tests.cli.recording import record, strict_json
from tests.cli.test_commands import in_terminal

PROGRAM = """
import autolog
for number in range(3):
    with autolog.start_run(f"run-{number}", experiment="exp"):
        autolog.log_metric("acc", number / 10)
        autolog.log_text("same", "same.txt")
        autolog.log_text(f"model {number}", "model.txt")
"""


@pytest.fixture
def store(tmp_path: Path, invoke: Invoke) -> Path:
    """A store with three runs of which the first was deleted; all is forty days old."""
    place = tmp_path / "store"
    record(PROGRAM, place, "train.py")
    invoke("ls", store=place)
    then = time.time() - 40 * 86_400
    for path in (place / "artifacts").rglob("*"):
        os.utime(path, (then, then))
    opened = open_store(locate(place))
    run = metadata.tables["run"]
    with opened._database.write() as connection:
        deleted = update(run).where(run.c.name == "run-0")
        connection.execute(deleted.values(lifecycle="deleted", deleted_us=int(then * 1e6)))
    opened.close()
    return place


def _files(store: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_a_dry_run_lists_what_goes_and_how_much_and_changes_nothing(
    store: Path, invoke: Invoke
) -> None:
    before = _files(store)
    result = invoke("gc", "--dry-run", store=store)
    assert result.exit_code == 0, result.output
    assert "Runs that go: 1" in result.stdout
    assert "run-0" in result.stdout
    assert "1 file that nothing else names: 7 B" in result.stdout
    assert _files(store) == before


def test_what_was_deleted_is_removed_for_good(store: Path, invoke: Invoke) -> None:
    result = invoke("gc", "--json", store=store)
    done = strict_json(result.stdout)
    assert (done["runs"], done["files"], done["bytes"], done["errors"]) == (1, 1, 7, [])
    assert "no run 'run-0'" in invoke("show", "run-0", store=store).stderr
    again = strict_json(invoke("gc", "--json", store=store).stdout)
    assert (again["runs"], again["files"]) == (0, 0)


def test_the_best_runs_keep_their_files(store: Path, invoke: Invoke) -> None:
    words = ("gc", "--keep-best", "1", "--by", "acc", "--experiment", "exp")
    plan = strict_json(invoke(*words, "--dry-run", "--json", store=store).stdout)
    assert [run["name"] for run in plan["stripped"]] == ["run-1"]
    result = invoke(*words, store=store)
    assert "Removed 1 run, what 1 other run had stored, 2 files (14 B)" in result.stdout
    details = strict_json(invoke("show", "run-1", "--json", store=store).stdout)
    assert details["artifacts"] == []
    assert details["run"]["metrics"] == {"acc": 0.1}


@pytest.mark.parametrize(
    ("words", "why", "code"),
    [
        (("--keep-best", "1"), "--by", 2),
        (("--by", "acc"), "--keep-best", 2),
        (("--keep-best", "1", "--by", "ac"), "Did you mean acc", 1),
        (("--experiment", "nope"), "There are: exp", 1),
        (("--older-than", "-1"), "older-than", 2),
    ],
)
def test_what_makes_no_sense_removes_nothing(
    store: Path, invoke: Invoke, words: tuple[str, ...], why: str, code: int
) -> None:
    before = _files(store / "artifacts")
    result = invoke("gc", *words, store=store)
    assert result.exit_code == code
    assert why in result.stderr
    assert _files(store / "artifacts") == before


def test_a_store_that_is_not_there_is_an_error(empty: Path, invoke: Invoke) -> None:
    result = invoke("gc", store=empty)
    assert result.exit_code == 1
    assert "--store" in result.stderr
    assert not empty.exists()


def test_what_cannot_be_removed_is_named_and_is_exit_code_1(
    store: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autolog.artifacts.repository import Repository
    from autolog.errors import StoreError

    def fail(self: Repository, uri: str, *, before: float) -> bool:
        raise StoreError("disk says no")

    monkeypatch.setattr(Repository, "discard", fail)
    result = invoke("gc", store=store)
    assert result.exit_code == 1
    assert "Removed 1 run" in result.stdout
    assert "disk says no" in result.stderr


def test_the_store_is_described(store: Path, invoke: Invoke) -> None:
    found = strict_json(invoke("store", "--json", store=store).stdout)
    assert found["runs"] == {"active": 2, "deleted": 1}
    assert (found["experiments"], found["points"]) == (1, 3)
    artifacts = found["artifacts"]
    assert artifacts["blobs"] == 5  # four texts and the script
    assert (artifacts["names"], artifacts["shared"], artifacts["saved_bytes"]) == (6, 1, 8)
    assert found["collectable"] == {"runs": 1, "files": 1, "bytes": 7}
    assert found["database"]["bytes"] > 0
    out = invoke("store", store=store).stdout
    for text in ("1 deleted", "1 file under several names, 8 B saved", "autolog gc --dry-run"):
        assert text in out


def test_an_empty_store_is_described_and_not_created(empty: Path, invoke: Invoke) -> None:
    result = invoke("store", store=empty)
    assert result.exit_code == 0
    assert "not there yet" in result.stdout
    assert not empty.exists()


def test_a_terminal_sees_no_traces_of_the_bar_in_the_answer(store: Path, tmp_path: Path) -> None:
    assert "Removed 1 run" in in_terminal("gc", store=store, cwd=tmp_path)


def test_nothing_to_remove_is_said_in_a_word(store: Path, invoke: Invoke) -> None:
    assert invoke("gc", store=store).stdout.startswith("Removed 1 run, 1 file (")
    assert invoke("gc", store=store).stdout == "There was nothing to remove.\n"
