"""What is exported and imported is what it was, and importing it again changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select

from autolog.artifacts.repository import Repository
from autolog.bundle.layout import TABLES, file_of
from autolog.bundle.reading import import_bundle, opened
from autolog.bundle.writing import export
from autolog.errors import StoreError
from autolog.store import open_store
from autolog.store.location import locate, prepare
from autolog.store.sql.schema import metadata
from tests.bundle.conftest import NAMES
from tests.store.portraits import portrait_of


def _all(store):
    return [run.run_id for run in store.runs().runs]


def _tables(place: Path):
    tables = {name: pq.read_table(place / file_of(name)) for name in TABLES}
    return {name: table.to_pydict() for name, table in tables.items() if name != "versions"}


def _rows(store):
    with store._database.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar()
            for name, table in metadata.tables.items()
            if name != "run_doc"
        }


@pytest.mark.parametrize("suffix", ["", ".zip", ".tar"])
def test_export_import_export_gives_equal_tables(exported, store, fresh, tmp_path, suffix):
    first, second = tmp_path / f"first{suffix}", tmp_path / "second"
    export(store, _all(store), first, version="0")
    assert import_bundle(fresh, first).created == 4
    export(fresh, _all(fresh), second, version="0")
    assert str(_tables(second)) == str(_tables(exported))


def test_a_second_import_changes_no_row(exported, fresh):
    import_bundle(fresh, exported)
    before = _rows(fresh)
    again = import_bundle(fresh, exported)
    assert (again.created, again.changed, again.points) == (0, 0, 0)
    assert _rows(fresh) == before


def test_points_are_plain_columns_that_other_readers_read(exported, store):
    points = pl.read_parquet(exported / "points.parquet")
    assert points.columns == list(TABLES["points"])
    runs = pl.read_parquet(exported / "runs.parquet")
    one = runs.filter(pl.col("name") == "trial-0")["run_id"].item()
    acc = points.filter((pl.col("run_id") == one) & (pl.col("key") == "acc"))
    history = store.history(one, "acc")
    assert acc["step"].to_list() == history.step.tolist()
    assert acc["value"].to_list() == history.value.tolist()
    assert acc["timestamp"].to_list() == history.timestamp.tolist()
    assert acc["epoch"].to_list()[:2] == [None, 0]


def test_values_without_an_equal_in_other_formats_are_exact(exported):
    points = _tables(exported)["points"]
    assert {2**63 - 1, -(2**63)} <= set(points["step"])
    assert NAMES in points["key"]
    values = set(map(str, points["value"]))
    assert {"nan", "inf", "-0.0"} <= values
    params = _tables(exported)["params"]
    assert str(2**64 - 1) in params["json"]


def test_files_come_along_once_and_are_verified(exported, fresh):
    assert Repository(exported / "artifacts").sizes().blobs == 3  # two models, one script
    import_bundle(fresh, exported)
    details = fresh.details("trial-2")
    repository = Repository(fresh.location.artifacts)
    assert repository.read(details.models[0].files[0].uri) == b"weights 1"
    assert repository.read(details.environment["entry"]["uri"]) == b"import autolog"


def test_trees_come_back(exported, fresh):
    import_bundle(fresh, exported)
    top = fresh.run("study")
    assert {fresh.run(uid).name for uid in fresh.details("study").children} == {
        "trial-0",
        "trial-1",
        "trial-2",
    }
    assert fresh.run("trial-1").root_id == top.run_id


def test_new_runs_can_be_put_into_another_experiment(exported, fresh):
    import_bundle(fresh, exported, into="from-berlin")
    assert {run.experiment for run in fresh.runs().runs} == {"from-berlin"}


def test_a_large_metric_fills_several_row_groups_and_comes_back_whole(fresh, tmp_path):

    points = [{"step": step, "value": step / 3} for step in range(140_000)]
    fresh.take_in(portrait_of("a" * 32, points))
    fresh.take_in(portrait_of("b" * 32, points[:10]))
    export(fresh, ["a" * 32, "b" * 32], tmp_path / "large", version="0")
    assert pq.ParquetFile(tmp_path / "large" / "points.parquet").num_row_groups == 3
    location = locate(tmp_path / "other")
    prepare(location)
    other = open_store(location)
    assert import_bundle(other, tmp_path / "large").points == 140_010
    assert len(other.history("a" * 32, "loss")) == 140_000
    assert import_bundle(other, tmp_path / "large").changed == 0
    other.close()


def test_a_file_that_the_store_has_lost_is_named_and_the_rest_is_written(exported, fresh, tmp_path):
    import_bundle(fresh, exported)
    repository = Repository(fresh.location.artifacts)
    repository.delete(fresh.details("trial-2").artifacts[0].uri)
    done = export(fresh, _all(fresh), tmp_path / "out", version="0")
    assert done.missing == ["trial-2: model/model.pkl"]
    with opened(tmp_path / "out") as bundle:
        assert len(list(bundle.portraits())) == 4


def test_a_destination_that_is_there_is_left_alone(store, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(StoreError, match="is there already"):
        export(store, _all(store), tmp_path / "full", version="0")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_an_export_that_fails_leaves_nothing(store, tmp_path, monkeypatch):
    def fail(total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(store, _all(store), tmp_path / "out.zip", version="0", progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow_the_error_names_what_to_install(tmp_path, recorded):
    code = f"""
import sys
sys.modules["pyarrow"] = None
from pathlib import Path
from autolog.bundle.reading import import_bundle
from autolog.store import open_store
import_bundle(open_store({str(recorded.root)!r}), Path({str(tmp_path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'autolog-ml[parquet]'" in done.stderr
