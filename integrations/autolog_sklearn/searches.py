"""Searches: one run, with a child run for each candidate that was tried.

The children are written when the search ends, from what the fitted object knows. Nothing says
when a candidate was fitted: the time of the search, its refit left out, is shared among the
candidates in their order, in proportion to the seconds that fitting and scoring them took.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Detach, Finished, Hook, Span
from autolog_sklearn import extract
from autolog_sklearn.results import Results, results_of, searched

__all__ = ["Searches", "best_params", "model_to_store"]

_ERRORS: Final = "sklearn.fit_errors"
_PARTIAL: Final = "cv_results"
_LAST_LINE: Final = 500


class Searches:
    """Records candidates, for the activation that it was made for."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def attach(self) -> Detach:
        """Watch what searches know before they end: why fits failed, and results so far."""
        module: Any = import_module("sklearn.model_selection._validation")
        detaches = [
            self._capture.patch(
                module, "_warn_or_raise_about_fit_failures", Hook(enter=self._failures)
            )
        ]
        search: Any = import_module("sklearn.model_selection._search")
        hook = Hook(exit=self._formatted)
        detaches.append(self._capture.patch(search.BaseSearchCV, "_format_results", hook))

        def detach() -> None:
            for one in detaches:
                one()

        return detach

    def _failures(self, call: Call) -> None:
        """Keep the reasons why folds failed, in the order of candidates and folds."""
        span = self._capture.current()
        folds = (call.bound or {}).get("results")
        if span is None or not isinstance(folds, list):
            return
        errors = [one.get("fit_error") for one in cast("list[dict[str, Any]]", folds)]
        if span.role == "search":
            span.state.setdefault(_ERRORS, []).extend(errors)
            return
        failed = [fold for fold, error in enumerate(errors) if error is not None]
        if failed and span.run_id is not None:
            facts = {"folds": failed, "error": _last_line(errors[failed[0]])}
            span.event("failed_folds", facts)

    def _formatted(self, _: Call, results: Any) -> None:
        span = self._capture.current()
        if span is not None:
            span.state[_PARTIAL] = results

    def ended(self, span: Span, estimator: Any, seconds: float) -> None:
        """Record the candidates of an estimator that was fitted in this span, if it searched."""
        search = searched(estimator)
        results = results_of(search, span.state.get(_PARTIAL))
        if results is None:
            return
        end = time.time()
        known = extract.known_of(search)
        refit = known.get("refit_time_")
        busy = (end - seconds, end - (refit if isinstance(refit, float) else 0.0))
        kept = self._kept(search, results)
        trainings = _candidates(search, results, span.state.get(_ERRORS), busy, kept)
        ids = span.children("candidate", trainings)
        if ids:
            self._say(span, search, results, kept, trainings, ids)

    def stopped(self, span: Span, estimator: Any, seconds: float) -> None:
        """Record the candidates that a search had finished when it raised."""
        if _PARTIAL in span.state:
            self.ended(span, estimator, seconds)

    def _kept(self, search: Any, results: Results) -> Sequence[int]:
        """Return which candidates are stored: all, or the best ones by rank."""
        count = len(results.params)
        limit: int | None = getattr(self._capture.options, "max_candidates", None)
        if limit is None or limit >= count:
            return range(count)
        ranks = _ranks(search, results)
        order = sorted(range(count), key=lambda index: (index != results.best, ranks[index]))
        return sorted(order[:limit])

    def _say(
        self,
        span: Span,
        search: Any,
        results: Results,
        kept: Sequence[int],
        trainings: Sequence[Finished],
        ids: Sequence[str],
    ) -> None:
        """Say on the parent what was tried, which was best and what was left out."""
        count = len(results.params)
        facts: dict[str, Any] = {
            "count": count,
            "stored": len(ids),
            "left_out": count - len(ids),
            "failed": sum(one.status == "FAILED" for one in trainings),
        }
        if results.best is not None:
            facts["best"] = ids[kept.index(results.best)]
            facts["best_index"] = results.best
            span.tag("best_candidate", facts["best"])
            span.metrics(_best_scores(search, results, results.best))
        span.event("candidates", facts)
        if len(ids) < count:
            self._capture.notice(
                "candidates_left_out",
                f"of {count} candidates of a search the best {len(ids)} are stored and"
                f" {count - len(ids)} left out: autolog(sklearn={{'max_candidates': {count}}})"
                " stores them",
            )


def best_params(estimator: Any) -> dict[str, Any]:
    """Return what a search has chosen, under `best.`."""
    search = searched(estimator)
    results = results_of(search)
    if results is None:
        return {}
    chosen = extract.known_of(search).get("best_params_")
    if not isinstance(chosen, Mapping) and results.best is not None:
        chosen = results.params[results.best]
    if not isinstance(chosen, Mapping):
        return {}
    found = _flat(cast("Mapping[str, Any]", chosen))
    return {f"best.{key}": value for key, value in found.items()}


def model_to_store(estimator: Any) -> Any:
    """Return what `load_model` should give back: of a refitted search the best estimator."""
    known = extract.known_of(estimator)
    return known.get("best_estimator_", estimator) if "best_estimator_" in known else estimator


def _candidates(
    search: Any,
    results: Results,
    errors: list[Any] | None,
    busy: tuple[float, float],
    kept: Sequence[int],
) -> list[Finished]:
    """Describe the candidates that are kept."""
    estimator = extract.known_of(search).get("estimator", search)
    name = extract.class_of(estimator).__name__
    spans = _spans(results, busy)
    count = len(results.params)
    folds = len(errors) // count if errors and len(errors) % count == 0 else 0
    found: list[Finished] = []
    for index in kept:
        series = {
            key: [column[index] for column in columns]
            for key, columns in results.folds.items()
            if all(column[index] is not None for column in columns)
        }
        of_folds = errors[index * folds : (index + 1) * folds] if errors and folds else []
        error, tags = _failure(results, index, series, of_folds)
        if index == results.best:
            tags["best"] = "1"
        start, end = spans[index]
        found.append(
            Finished(
                name=name,
                start=start,
                end=end,
                params=_flat(results.params[index]),
                series=series,
                metrics={
                    key: float(column[index])
                    for key, column in results.numbers.items()
                    if column[index] is not None
                },
                tags=tags,
                status="FINISHED" if error is None else "FAILED",
                error=error,
            )
        )
    return found


def _failure(
    results: Results, index: int, series: Mapping[str, list[float]], errors: list[Any]
) -> tuple[str | None, dict[str, str]]:
    """Return why a candidate has failed as a whole, and tags for folds that failed alone."""
    failed = [fold for fold, error in enumerate(errors) if error is not None]
    reason = _last_line(errors[failed[0]]) if failed else None
    if failed and len(failed) == len(errors):
        return reason, {}
    tags: dict[str, str] = {}
    if failed:
        tags = {"failed_folds": ",".join(map(str, failed)), "error": reason or ""}
    if results.states is not None and results.states[index] != "COMPLETE":
        tags["state"] = results.states[index]
        if results.states[index] == "FAIL":
            return "the trial failed", tags
    tests = [
        value
        for scorer in results.scores
        for value in (*series.get(scorer, ()), results.numbers[f"{scorer}_mean"][index])
        if value is not None
    ]
    if tests and all(value != value for value in tests):  # NaN
        return reason or "no fold has a score", tags
    return None, tags


def _spans(results: Results, busy: tuple[float, float]) -> list[tuple[float, float]]:
    """Share the time of the search among the candidates, where nobody knows their times."""
    count = len(results.params)
    begin, end = busy
    work = [0.0] * count
    for key in ("fit_seconds_mean", "score_seconds_mean"):
        for index, seconds in enumerate(results.numbers.get(key, ())):
            if seconds is not None and seconds == seconds:
                work[index] += seconds
    total = sum(work)
    if total <= 0:
        work, total = [1.0] * count, float(count)
    scale = max(end - begin, 0.0) / total
    shared: list[tuple[float, float]] = []
    at = begin
    for seconds in work:
        shared.append((at, at + seconds * scale))
        at += seconds * scale
    if results.spans is None:
        return shared
    return [known or mine for known, mine in zip(results.spans, shared, strict=True)]


def _ranks(search: Any, results: Results) -> list[float]:
    """Return the rank of each candidate by the score that the search goes by, 1 for the best."""
    refit = extract.known_of(search).get("refit")
    scorer = refit if isinstance(refit, str) else next(iter(results.scores), None)
    column = results.numbers.get(f"{scorer}_rank")
    if column is None:  # a study keeps no ranks
        means = results.numbers.get(f"{scorer}_mean", [None] * len(results.params))
        column = [None if mean is None else -mean for mean in means]
    return [float("inf") if rank is None or rank != rank else float(rank) for rank in column]


def _best_scores(search: Any, results: Results, best: int) -> dict[str, float]:
    """Return the mean scores of the best candidate, unless the search states its score itself."""
    found: dict[str, float] = {}
    for scorer in results.scores:
        mean = results.numbers[f"{scorer}_mean"][best]
        if mean is not None and not (
            scorer == "score" and "best_score_" in extract.known_of(search)
        ):
            found[f"best_{scorer}"] = float(mean)
    return found


def _flat(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as flat values: an estimator by its class, with its own ones below."""
    flat: dict[str, Any] = {}
    below: dict[str, Any] = {}
    for key, value in params.items():
        if hasattr(extract.class_of(value), "get_params"):
            flat[key] = extract.class_name(extract.class_of(value))
            below |= {f"{key}__{name}": one for name, one in extract.params(value).items()}
        else:
            flat[key] = value
    return {**below, **flat}


def _last_line(error: Any) -> str | None:
    """Return what a traceback ends with: the error itself."""
    if not isinstance(error, str):
        return None
    lines = error.strip().splitlines()
    return lines[-1][:_LAST_LINE] if lines else None
