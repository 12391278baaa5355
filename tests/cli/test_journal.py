"""`autolog journal`: lists, verifies and repairs the journals of real processes."""

from __future__ import annotations

from pathlib import Path

from autolog.journal import records
from autolog.journal.frame import decode
from tests.cli.conftest import Invoke
from tests.cli.recording import strict_json
from tests.cli.test_status import killed


def damage(path: Path) -> None:
    """Break one record in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 0xFF
    path.write_bytes(data)


def test_ls_says_who_wrote_and_how_far_it_was_folded_without_folding(
    tmp_path: Path, invoke: Invoke
) -> None:
    store = tmp_path / "store"
    path = killed(store, tmp_path)
    [one] = strict_json(invoke("journal", "ls", "--json", store=store).stdout)
    assert one["state"] == "dead"
    assert one["files"] == [str(path)]
    assert one["segments"] == [1]
    assert one["bytes"] == one["unfolded_bytes"] == path.stat().st_size
    assert one["folded"] == {"segment": 0, "offset": 0, "seq": 0}
    assert len(one["runs"]) == 1
    assert path.exists()
    shown = invoke("journal", "ls", store=store)
    assert one["writer"] in shown.stdout
    assert shown.exit_code == 0
    assert invoke("status", store=store).exit_code == 0
    assert strict_json(invoke("journal", "ls", "--json", store=store).stdout) == []


def test_verify_ends_with_1_where_something_is_damaged_and_names_the_byte(
    tmp_path: Path, invoke: Invoke
) -> None:
    store = tmp_path / "store"
    path = killed(store, tmp_path)
    whole = invoke("journal", "verify", store=store)
    assert whole.exit_code == 0
    assert "without damage" in whole.stdout
    damage(path)
    broken = invoke("journal", "verify", "--json", store=store)
    assert broken.exit_code == 1
    [file] = strict_json(broken.stdout)
    [problem] = file["problems"]
    assert problem["sort"] == "damage"
    assert decode(path.read_bytes(), problem["offset"]) is None
    assert file["points"] == 199
    named = invoke("journal", "verify", str(path), store=store)
    assert (named.exit_code, f"byte {problem['offset']}" in named.stdout) == (1, True)


def test_repair_makes_a_journal_whole_that_the_store_then_takes_once(
    tmp_path: Path, invoke: Invoke
) -> None:
    store = tmp_path / "store"
    path = killed(store, tmp_path)
    damage(path)
    assert invoke("journal", "repair", store=store).exit_code == 2
    result = invoke("journal", "repair", "--all", "--json", store=store)
    assert result.exit_code == 0
    [one] = strict_json(result.stdout)["repaired"]
    assert one["points"] == 199
    assert Path(one["original"]).exists()
    assert invoke("journal", "repair", "--all", store=store).stdout == "nothing to repair\n"
    assert invoke("status", store=store).exit_code == 0
    [run] = strict_json(invoke("ls", "--json", store=store).stdout)
    assert run["status"] == "KILLED"
    assert run["metrics"] == {"loss": 1 / 200}
    assert not path.exists()


def test_a_repair_after_the_fold_lets_the_file_go(tmp_path: Path, invoke: Invoke) -> None:
    store = tmp_path / "store"
    path = killed(store, tmp_path)
    damage(path)
    assert invoke("status", store=store).exit_code == 1
    assert path.exists()
    assert invoke("journal", "repair", str(path), store=store).exit_code == 0
    assert invoke("status", store=store).exit_code == 0
    assert not path.exists()
    history = invoke("show", "killed", "--json", store=store)
    assert history.exit_code == 0


def test_a_zeroed_header_is_shown_as_damage_and_its_run_is_found(
    tmp_path: Path, invoke: Invoke
) -> None:
    store = tmp_path / "store"
    path = killed(store, tmp_path)
    data = path.read_bytes()
    end = decode(data, len(records.MAGIC)).end
    path.write_bytes(bytes(end) + data[end:])
    status = invoke("status", "--json", store=store)
    assert status.exit_code == 1
    assert [one["why"] for one in strict_json(status.stdout)["damage"]] == ["the header is damaged"]
    [run] = strict_json(invoke("ls", "--json", store=store).stdout)
    assert run["metrics"] == {"loss": 1 / 200}
    assert run["status"] == "KILLED"


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, invoke: Invoke) -> None:
    other = tmp_path / "other.alj"
    other.write_bytes(b"x")
    result = invoke("journal", "verify", str(other), store=tmp_path / "store")
    assert result.exit_code == 2
    assert "is no journal file" in result.stderr
