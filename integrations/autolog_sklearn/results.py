"""What a fitted search says of its candidates, whichever library it is of.

A search is recognised by what it has: `cv_results_` with a list of `params` (scikit-learn,
scikit-optimize, dask-ml, the user's own), or the `study_` that it ran (optuna-integration). Its
attributes are read from the instance's own dictionary, since properties may compute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from autolog_sklearn import extract

__all__ = ["Results", "is_search", "results_of", "searched"]

_SPACES: Final = ("param_distributions", "param_grid", "param_space", "search_spaces")
"""What is searched: a meta-estimator with one of these is a search before it is fitted."""

_SPLIT: Final = re.compile(r"split(\d+)_(test|train)_(.+)")
_SUMMARY: Final = re.compile(r"(mean|std|rank)_(test|train)_(.+)")
_TIME: Final = re.compile(r"(mean|std)_(fit|score)_time")
_NESTED: Final = 8


class Results(NamedTuple):
    """The candidates of a search, by column.

    Args:
        params: the parameters of each candidate.
        folds: for each score its columns, one for each fold.
        numbers: single numbers of each candidate: means, ranks, seconds, resources.
        scores: names of the test scores.
        best: index of the best candidate, if the search has chosen one.
        spans: begin and end of each candidate in seconds since the epoch, if they are known.
        states: what became of each candidate, where the search says so.
    """

    params: Sequence[Mapping[str, Any]]
    folds: dict[str, list[list[Any]]]
    numbers: dict[str, list[Any]]
    scores: list[str]
    best: int | None = None
    spans: list[tuple[float, float] | None] | None = None
    states: list[str] | None = None


def is_search(instance: Any) -> bool:
    """Whether fitting this object will try candidates, as far as it shows before."""
    if any(base.__name__ == "BaseSearchCV" for base in extract.class_of(instance).__mro__):
        return True
    known = extract.known_of(instance)
    return "estimator" in known and any(name in known for name in _SPACES)


def searched(estimator: Any) -> Any:
    """Return the search that an estimator is, or that its last step is."""
    for _ in range(_NESTED):
        if not hasattr(estimator, "__dict__"):
            return estimator
        known = extract.known_of(estimator)
        steps = known.get("steps")
        if type(steps) is list and steps:
            estimator = cast("list[Any]", steps)[-1][-1]
        elif "regressor_" in known:
            estimator = known["regressor_"]
        else:
            break
    return estimator


def results_of(search: Any, partial: Any = None) -> Results | None:
    """Return what a fitted object has tried; None if it is no search.

    Args:
        search: the fitted object.
        partial: the `cv_results_` of a search that was stopped before it kept them.
    """
    if not hasattr(search, "__dict__"):
        return None
    known = extract.known_of(search)
    columns = known.get("cv_results_", partial)
    if isinstance(columns, dict):
        found = _from_columns(cast("dict[str, Any]", columns))
        return None if found is None else found._replace(best=_best(known, found))
    study = known.get("study_")
    return _from_study(study) if hasattr(study, "get_trials") else None


def _from_columns(columns: Mapping[str, Any]) -> Results | None:
    """Sort the columns of `cv_results_`; those of a recursive elimination have no `params`."""
    given: Any = columns.get("params")
    if not isinstance(given, (list, tuple)) or not given:
        return None
    params = cast("list[Any]", given)
    if not all(isinstance(one, Mapping) for one in params):
        return None
    folds: dict[str, dict[int, list[Any]]] = {}
    numbers: dict[str, list[Any]] = {}
    scores: list[str] = []
    for key, column in columns.items():
        if key == "params" or key.startswith("param_"):
            continue
        values = _values(column, len(params))
        if values is None:
            continue
        if match := _SPLIT.fullmatch(key):
            fold, part, scorer = match.groups()
            folds.setdefault(_name(part, scorer), {})[int(fold)] = values
        elif match := _SUMMARY.fullmatch(key):
            what, part, scorer = match.groups()
            if (what, part) == ("mean", "test"):
                scores.append(scorer)
            numbers[f"{_name(part, scorer)}_{what}"] = values
        elif match := _TIME.fullmatch(key):
            what, part = match.groups()
            numbers[f"{part}_seconds_{what}"] = values
        else:
            numbers[key] = values
    in_order = {name: [found[fold] for fold in sorted(found)] for name, found in folds.items()}
    return Results(params, in_order, numbers, scores)


def _from_study(study: Any) -> Results | None:
    """Read the trials of a study, whose scores are attributes of each trial."""
    trials: list[Any] = study.get_trials(deepcopy=False)
    if not trials:
        return None
    names = dict.fromkeys(name for trial in trials for name in trial.user_attrs)
    columns: dict[str, Any] = {
        name: [trial.user_attrs.get(name) for trial in trials] for name in names
    }
    columns["params"] = [dict(trial.params) for trial in trials]
    found = _from_columns(columns)
    if found is None:
        return None
    best = max(
        (index for index, trial in enumerate(trials) if trial.state.name == "COMPLETE"),
        key=lambda index: float(trials[index].value),
        default=None,
    )
    spans = [
        (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp())
        if trial.datetime_start is not None and trial.datetime_complete is not None
        else None
        for trial in trials
    ]
    states = [str(trial.state.name) for trial in trials]
    return found._replace(best=best, spans=spans, states=states)


def _best(known: Mapping[str, Any], found: Results) -> int | None:
    """Return the index of the chosen candidate, which a search may name only by its params."""
    index = known.get("best_index_")
    if index is not None:
        return int(index) if 0 <= int(index) < len(found.params) else None
    chosen = known.get("best_params_")
    return next((index for index, one in enumerate(found.params) if one is chosen), None)


def _name(part: str, scorer: str) -> str:
    return scorer if part == "test" else f"train_{scorer}"


def _values(column: Any, count: int) -> list[Any] | None:
    """Return a column of numbers as a plain list; None stands for one that is missing."""
    kind = getattr(getattr(column, "dtype", None), "kind", None)
    if kind is not None and kind not in "biuf":
        return None
    values: Any = column.tolist() if kind is not None else column
    if not isinstance(values, list):
        return None
    found = cast("list[Any]", values)
    if len(found) != count or not all(
        one is None or isinstance(one, (bool, int, float)) for one in found
    ):
        return None
    return found
