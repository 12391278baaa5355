"""Coefficients and feature importances with the names of the features, as tables.

Coefficients are read from the fitted object. The importances of trees and forests are asked of
each tree's own structure: the property `feature_importances_` of a forest starts threads for it,
which takes 15 to 35 ms for 100 trees; reading the trees takes 0.3 ms, less than 0.05 % of their
fit. Everything else whose importances are computed is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from autolog_sklearn import extract, searches

__all__ = ["tables"]

Table = tuple[str, dict[str, list[Any]], "dict[str, Any] | None"]
"""Name, columns, and what was left out, if anything was."""

_ROWS: Final = 1000
"""More features than these are not listed: the ones with the largest absolute values are."""

_COLUMNS: Final = 100
_NAMED_STEPS: Final = 1000
"""Names of more features than these are not asked of a pipeline's transformers."""

_INTERCEPT: Final = "(intercept)"


def tables(estimator: Any) -> Iterator[Table]:
    """Yield the tables of a fitted estimator; a pipeline or a search speaks for its predictor."""
    outer = searches.model_to_store(estimator)
    model = extract.last_step(outer)
    known = extract.known_of(model)
    coefficients: Any = known.get("coef_")
    if _is_floats(coefficients) and coefficients.ndim in (1, 2) and coefficients.size:
        yield _coefficients(known, coefficients, _names(outer, model, coefficients.shape[-1]))
    values: Any = known.get("feature_importances_")
    if not _is_floats(values):
        values = _of_trees(model, known)
    if values is not None and values.ndim == 1 and values.size:
        names = _names(outer, model, values.size)
        columns, left_out = _largest(values.reshape(1, -1), ["importance"], names)
        yield "feature_importances", columns, left_out


def _coefficients(known: Mapping[str, Any], values: Any, names: Callable[[], list[str]]) -> Table:
    rows = values.reshape(1, -1) if values.ndim == 1 else values
    columns, left_out = _largest(rows, _targets(known, len(rows)), names)
    intercept: Any = known.get("intercept_")
    if hasattr(intercept, "__float__") or _is_floats(intercept):
        cells = intercept.ravel().tolist() if hasattr(intercept, "ravel") else [float(intercept)]
        if len(cells) == len(rows):
            columns["feature"].append(_INTERCEPT)
            for column, cell in zip(list(columns)[1:], cells, strict=False):
                columns[column].append(float(cell))
    return "coefficients", columns, left_out


def _targets(known: Mapping[str, Any], count: int) -> list[str]:
    """Name the columns: by class, where there is one row of coefficients for each."""
    if count == 1:
        return ["coefficient"]
    classes: Any = known.get("classes_")
    if hasattr(classes, "tolist") and len(classes) == count:
        labels = [str(label) for label in classes.tolist()]
        if len(set(labels)) == count and "feature" not in labels:
            return labels
    return [f"coefficient_{number}" for number in range(count)]


def _largest(
    rows: Any, targets: list[str], names: Callable[[], list[str]]
) -> tuple[dict[str, list[Any]], dict[str, Any] | None]:
    """Make the columns, of the features with the largest values if there are many."""
    count = rows.shape[1]
    left_out: dict[str, Any] = {}
    if len(rows) > _COLUMNS:
        left_out["columns"] = len(rows) - _COLUMNS
        rows, targets = rows[:_COLUMNS], targets[:_COLUMNS]
    limit = max(_ROWS // max(len(rows) // 10, 1), 10)
    if count <= limit:
        columns: dict[str, list[Any]] = {"feature": list(names())}
        columns.update(zip(targets, rows.tolist(), strict=False))
        return columns, left_out or None
    import numpy as np

    largest = np.abs(rows).max(axis=0)
    chosen = np.sort(np.argpartition(largest, count - limit)[count - limit :])
    left_out["features"] = count - limit
    every = names()
    columns = {"feature": [every[index] for index in chosen.tolist()]}
    columns.update(zip(targets, rows[:, chosen].tolist(), strict=False))
    return columns, left_out


# -- importances of trees ------------------------------------------------------------------------


def _of_trees(model: Any, known: Mapping[str, Any]) -> Any:
    """Return what `feature_importances_` of a tree, a forest or a gradient boosting would be."""
    bases = {base.__name__ for base in extract.class_of(model).__mro__}
    if "BaseDecisionTree" in bases:
        tree = known.get("tree_")
        return tree.compute_feature_importances() if tree is not None else None
    boosting = "BaseGradientBoosting" in bases
    if not boosting and "BaseForest" not in bases:
        return None
    import numpy as np

    estimators: Any = known.get("estimators_")
    if estimators is None:
        return None
    members: list[Any] = estimators.ravel().tolist() if boosting else list(estimators)
    trees = [extract.known_of(member).get("tree_") for member in members]
    grown = [tree for tree in trees if tree is not None and tree.node_count > 1]
    if not grown:
        return None
    one_by_one = [tree.compute_feature_importances(normalize=not boosting) for tree in grown]
    total = np.mean(one_by_one, axis=0, dtype=np.float64)
    return total / total.sum() if total.sum() else total


# -- names ---------------------------------------------------------------------------------------


def _names(outer: Any, model: Any, count: int) -> Callable[[], list[str]]:
    """Return a function that names `count` features: from the data's columns, else `x0`, `x1`."""

    def names() -> list[str]:
        known = extract.known_of(model).get("feature_names_in_")
        if known is None and model is not outer and count <= _NAMED_STEPS:
            known = _from_transformers(outer)
        if known is not None and len(known) == count:
            return [str(name) for name in known]
        return [f"x{number}" for number in range(count)]

    return names


def _from_transformers(pipeline: Any) -> Any:
    """Ask the transformers of a pipeline for their names, if scikit-learn wrote all of them."""
    steps = cast("list[Any]", extract.known_of(pipeline).get("steps") or [])
    names = extract.known_of(pipeline).get("feature_names_in_")
    try:
        for _, transformer in steps[:-1]:
            if transformer is None or transformer == "passthrough":
                continue
            if not _is_known(transformer):
                return None
            if names is None:
                names = extract.known_of(transformer).get("feature_names_in_")
            names = transformer.get_feature_names_out(names)
    except Exception:  # it names no features, or is not fitted: they are numbered
        return None
    return names


def _is_known(transformer: Any) -> bool:
    """Whether asking for names runs no code but scikit-learn's."""
    cls = extract.class_of(transformer)
    if not cls.__module__.startswith("sklearn.") or cls.__name__ == "FunctionTransformer":
        return False
    known = extract.known_of(transformer)
    parts: list[Any] = []
    for held in ("transformers_", "steps", "transformer_list"):
        parts += [part[1] for part in cast("list[Any]", known.get(held) or [])]
    return all(isinstance(part, str) or part is None or _is_known(part) for part in parts)


def _is_floats(value: Any) -> bool:
    return (
        type(value).__module__ == "numpy"
        and getattr(value, "dtype", None) is not None
        and (value.dtype.kind == "f")
    )
