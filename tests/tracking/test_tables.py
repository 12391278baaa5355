"""Tables of a run: written by columns, small ones in the journal, large ones as files."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest

import autolog
from autolog.errors import NotFoundError, UsageError


def test_a_table_comes_back_with_its_types(recording):
    with autolog.start_run() as run:
        run.log_table({"feature": ["a", "b"], "value": np.array([1.5, math.inf]), "n": (1, 2)}, "t")
    table = autolog.load_table(run.run_id, "t")
    assert table.columns == {"feature": ["a", "b"], "value": [1.5, math.inf], "n": [1, 2]}
    assert len(table) == 2
    assert autolog.list_artifacts(run) == []


def test_a_large_table_is_a_file_that_mlflow_and_pandas_read(recording):
    values = np.arange(3000.0)
    values[7] = math.nan
    with autolog.start_run() as run:
        autolog.log_table({"name": [f"f{number}" for number in range(3000)], "value": values}, "t")
    (file,) = autolog.list_artifacts(run)
    assert file.path == "tables/t.json"
    read = pd.read_json(autolog.get_artifact(run, file.path), orient="split")
    loaded = autolog.load_table(run, "t").to_pandas()
    assert list(loaded["name"]) == list(read["name"]) == [f"f{number}" for number in range(3000)]
    assert np.array_equal(loaded["value"], values, equal_nan=True)


@pytest.mark.parametrize("library", [pd, pl])
def test_a_dataframe_is_a_table(recording, library):
    frame = library.DataFrame({"x": [1, 2], "y": ["p", "q"]})
    with autolog.start_run() as run:
        run.log_table(frame, "frame")
    table = autolog.load_table(run, "frame")
    assert table.to_pandas().equals(pd.DataFrame({"x": [1, 2], "y": ["p", "q"]}))
    assert table.to_polars().equals(pl.DataFrame({"x": [1, 2], "y": ["p", "q"]}))
    assert table.to_arrow().to_pydict() == table.columns


def test_the_last_table_of_a_name_is_given(recording):
    with autolog.start_run() as run:
        run.log_table({"x": [1]}, "t")
        run.log_table({"x": [2]}, "t")
    assert autolog.load_table(run, "t").columns == {"x": [2]}


def test_what_is_no_table_is_refused(recording):
    with autolog.start_run() as run:
        with pytest.raises(UsageError, match="not a int"):
            run.log_table(3, "t")
        with pytest.raises(UsageError, match="differ in length"):
            run.log_table({"a": [1], "b": [1, 2]}, "t")
        with pytest.raises(UsageError, match="column 'a' is a str"):
            run.log_table({"a": "text"}, "t")
        run.log_table({"a": [1]}, "known")
    with pytest.raises(NotFoundError, match="no table 't'; it has: known"):
        autolog.load_table(run, "t")


def test_an_empty_table_is_one(recording):
    with autolog.start_run() as run:
        run.log_table({"feature": [], "importance": []}, "t")
    assert len(autolog.load_table(run, "t")) == 0


def test_show_prints_the_first_rows(recording):
    from click.testing import CliRunner

    from autolog.cli.commands import cli

    with autolog.start_run() as run:
        run.log_table({"feature": [f"f{n}" for n in range(20)], "value": list(range(20))}, "order")
    shown = CliRunner().invoke(cli, ["show", run.run_id, "--store", str(recording.folder)]).output
    assert "Table order" in shown
    assert "f9" in shown
    assert "f10" not in shown
    assert f'autolog.load_table("{run.name}", "order")' in shown
