"""What an evaluation gave that is more than a number: a confusion matrix, the points of a curve.

Tables are recorded of what the user computed, never computed for their own sake. One of very many
rows is thinned out evenly, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["CURVES", "ROWS", "importances", "report", "table"]

ROWS: Final = 10_000
"""A curve of more points is thinned out to about so many."""

_WIDE: Final = 50
"""A confusion matrix of more classes is listed by its cells that are not 0."""

Columns = dict[str, Sequence[Any]]

CURVES: Final[Mapping[str, tuple[str, ...]]] = {
    "roc_curve": ("fpr", "tpr", "threshold"),
    "precision_recall_curve": ("precision", "recall", "threshold"),
    "det_curve": ("fpr", "fnr", "threshold"),
    "calibration_curve": ("prob_true", "prob_pred"),
}
"""Functions that give a curve, and what their arrays are."""


def table(function: str, bound: Mapping[str, Any], result: Any, classes: Any) -> Columns | None:
    """Return the table in a metric function's result; None if there is none.

    Args:
        function: its name.
        bound: its arguments by name.
        result: what it returned.
        classes: the classes of the model, if it has any.
    """
    if function in CURVES:
        return _curve(CURVES[function], result)
    if function == "confusion_matrix":
        labels = bound.get("labels")
        known = classes if labels is None else labels
        return _confusion(result, known)
    return None


def report(parts: Any, labels: Any, names: Any) -> Columns | None:
    """Return the rows of a classification report: precision, recall, F1 and support by class."""
    given = names if names is not None else labels
    if given is None or len(given) != len(parts[0]):
        given = range(len(parts[0]))
    named = zip(("precision", "recall", "f1", "support"), parts, strict=False)
    return {"class": _plain(given), **{name: values.tolist() for name, values in named}}


def importances(result: Any, columns: Any) -> Columns | None:
    """Return what a permutation importance gave: mean and standard deviation by feature."""
    mean, deviation = result["importances_mean"], result["importances_std"]
    known = columns is not None and len(columns) == len(mean)
    return {
        "feature": _plain(columns) if known else list(range(len(mean))),
        "importance_mean": mean.tolist(),
        "importance_std": deviation.tolist(),
    }


def _curve(names: Sequence[str], arrays: Any) -> Columns:
    length = max(len(array) for array in arrays[: len(names)])
    stride = -(-length // ROWS)
    columns: Columns = {}
    for name, array in zip(names, arrays, strict=False):
        cells = array[::stride].tolist()
        if stride > 1 and (length - 1) % stride:
            cells += array[length - 1 :].tolist()  # a curve keeps its end
        columns[name] = cells
    longest = max(map(len, columns.values()))
    for cells in columns.values():
        assert isinstance(cells, list)
        cells += [None] * (longest - len(cells))  # there is no threshold for a curve's last point
    return columns


def _confusion(matrix: Any, classes: Any) -> Columns:
    size = len(matrix)
    known = classes is not None and len(classes) == size
    labels = _plain(classes) if known else list(range(size))
    if size <= _WIDE:
        columns = {f"predicted {label}": matrix[:, at].tolist() for at, label in enumerate(labels)}
        return {"true": labels, **columns}
    rows, cells = matrix.nonzero()
    return {
        "true": [labels[row] for row in rows.tolist()],
        "predicted": [labels[cell] for cell in cells.tolist()],
        "count": matrix[rows, cells].tolist(),
    }


def _plain(labels: Any) -> list[Any]:
    return labels.tolist() if hasattr(labels, "tolist") else list(labels)
