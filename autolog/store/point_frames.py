"""Histories as tables of pandas, polars and Arrow, each imported only when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from autolog.store.libraries import library

if TYPE_CHECKING:
    from autolog.store.points import History

__all__ = ["to_arrow", "to_pandas", "to_polars"]

_ALWAYS: Final = "phase"


def to_pandas(history: History) -> Any:
    """Return a DataFrame."""
    pd = library("pandas")
    epoch = pd.array(_epochs(history), dtype="Int32")
    epoch[np.isnan(history.epoch)] = pd.NA
    columns = {
        "step": history.step,
        "value": history.value,
        "timestamp": pd.DatetimeIndex(history.timestamp.astype("M8[us]")).tz_localize("UTC"),
        "epoch": epoch,
        "attempt": history.attempt,
    }
    for name, (codes, texts) in _contexts(history).items():
        columns[name] = pd.Categorical.from_codes(codes, texts)
    return pd.DataFrame(columns)


def to_polars(history: History) -> Any:
    """Return a DataFrame."""
    pl = library("polars")
    missing = np.isnan(history.epoch)
    columns = {
        "step": history.step,
        "value": history.value,
        "timestamp": pl.Series(history.timestamp).cast(pl.Datetime("us", "UTC")),
        "epoch": pl.select(
            pl.when(pl.lit(pl.Series(~missing))).then(pl.lit(pl.Series(_epochs(history))))
        ).to_series(),
        "attempt": history.attempt,
    }
    for name, (codes, texts) in _contexts(history).items():
        numbers = pl.Series(codes, dtype=pl.Int64)
        columns[name] = pl.Series(texts, dtype=pl.Enum(texts)).gather(numbers.replace(-1, None))
    return pl.DataFrame(columns)


def to_arrow(history: History) -> Any:
    """Return a Table."""
    pa = library("pyarrow")
    columns = {
        "step": history.step,
        "value": pa.array(history.value, from_pandas=False),
        "timestamp": pa.array(history.timestamp).cast(pa.timestamp("us", tz="UTC")),
        "epoch": pa.array(_epochs(history), mask=np.isnan(history.epoch)),
        "attempt": history.attempt,
    }
    for name, (codes, texts) in _contexts(history).items():
        indices = pa.array(codes, pa.int32(), mask=codes < 0)
        columns[name] = pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))
    return pa.table(columns)


def _epochs(history: History) -> NDArray[np.int32]:
    return np.where(np.isnan(history.epoch), 0, history.epoch).astype(np.int32)


def _contexts(history: History) -> dict[str, tuple[NDArray[np.int64], list[str]]]:
    """Return what contexts say, by name: a number per point (-1 is none), and the texts."""
    names = sorted({name for body in history.contexts for name in body} - {_ALWAYS})
    found: dict[str, tuple[NDArray[np.int64], list[str]]] = {}
    for name in (_ALWAYS, *names):
        given = [body.get(name) for body in history.contexts]
        texts = sorted({str(text) for text in given if text is not None})
        numbers = [-1 if text is None else texts.index(str(text)) for text in given]
        found[name] = (np.array(numbers, np.int64)[history.context_index], texts)
    return found
