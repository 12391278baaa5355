"""Found runs as sequences and as tables."""

from __future__ import annotations

import math
import sys
from datetime import datetime, timezone

import pytest

from autolog.entities import Run
from autolog.errors import UsageError
from autolog.store.answers import RunList

UTC = timezone.utc


def _run(number, **fields):
    return Run(
        run_id=f"{number:032x}",
        name=f"SVC-{number}",
        kind="fit",
        status="FINISHED",
        experiment="exp",
        start_time=1_700_000_000_123 + number,
        **fields,
    )


@pytest.fixture
def runs():
    first = _run(
        0,
        end_time=1_700_000_001_000,
        dirty=True,
        params={"n": 1, "lr": 0.1, "opt": "adam", "mixed": 1, "on": True, "big": 2**63, "no": None},
        metrics={"loss": math.nan, "acc": 1.0},
        tags={"a b": "x"},
        logging_errors=["one"],
    )
    second = _run(1, params={"n": 2, "lr": 1, "mixed": [1, "a"]}, metrics={"loss": math.inf})
    return RunList([first, second])


def test_a_list_of_runs_is_a_sequence(runs):
    assert len(runs) == 2
    assert runs[0].name == "SVC-0"
    assert [run.name for run in runs[1:]] == ["SVC-1"]
    assert list(runs) == [runs[0], runs[-1]]
    assert runs[1] in runs
    assert (runs.complete, runs.next, runs.total) == (True, None, None)
    assert "2 runs: SVC-0, SVC-1" in repr(runs)


def test_pandas_columns_have_the_type_that_their_values_agree_on(runs):
    frame = runs.to_pandas()
    assert list(frame.columns[:4]) == ["run_id", "name", "kind", "status"]
    types = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert types["start_time"] == types["end_time"] == "datetime64[ms, UTC]"
    assert (types["depth"], types["dirty"]) == ("int64", "boolean")
    assert (types["params.n"], types["params.lr"]) == ("int64", "float64")
    assert (types["params.mixed"], types["params.big"]) == ("object", "object")
    assert types["params.on"] == "boolean"
    assert types["metrics.acc"] == "float64"
    assert frame["start_time"][0] == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
    assert frame["end_time"].isna().tolist() == [False, True]
    assert frame["params.mixed"][1] == [1, "a"]
    assert frame["metrics.loss"].tolist()[1] == math.inf
    assert frame["metrics.acc"].isna().tolist() == [False, True]
    assert frame["tags.a b"][0] == "x"


def test_polars_and_arrow_hold_the_same_with_texts_where_types_differ(runs):
    polars_frame, table = runs.to_polars(), runs.to_arrow()
    assert polars_frame.columns == table.column_names == list(runs.to_pandas().columns)
    rows, same = polars_frame.to_dicts(), table.to_pylist()
    assert math.isnan(rows[0].pop("metrics.loss"))
    assert math.isnan(same[0].pop("metrics.loss"))
    assert rows == same
    assert rows[1]["params.mixed"] == "[1, 'a']"
    assert rows[0]["params.big"] == str(2**63)
    assert rows[0]["start_time"] == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
    assert rows[0]["logging_errors"] == ["one"]
    assert rows[1]["metrics.acc"] is None


@pytest.mark.parametrize("name", ["to_pandas", "to_polars", "to_arrow"])
def test_no_runs_are_a_table_with_the_attributes(name):
    assert "run_id" in str(getattr(RunList([]), name)())


def test_a_missing_library_is_named_with_the_line_that_installs_it(runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UsageError, match="pip install polars"):
        runs.to_polars()
