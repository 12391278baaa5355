"""KerasTuner: a search is a study, each of its trials a run below it.

The first fit of a trial writes to the trial's run; further executions of the trial, or the fits of
a `run_trial` of the user's, are runs below it. Callbacks and files of the tuner are left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Detach, Hook, Span

__all__ = ["attach"]

_SPAN: Final = "keras.trial"
_TRIALS: Final = "keras.trials"
_LONGEST: Final = 2000
_SPACE: Final = ("name", "default", "min_value", "max_value", "step", "sampling", "values")


def attach(capture: Capture) -> Detach:
    """Watch the tuners of KerasTuner."""
    tuner: Any = import_module("keras_tuner").engine.base_tuner.BaseTuner
    studies = _Studies(capture)
    detaches = [
        capture.patch(
            tuner,
            "search",
            Hook(enter=studies.begins, exit=studies.ends, error=studies.ends),
            role="study",
            kind="study",
        ),
        capture.patch(
            tuner,
            "_try_run_and_update_trial",
            Hook(enter=studies.trial_begins, exit=studies.trial_ends, error=studies.trial_is_fatal),
        ),
    ]

    def detach() -> None:
        for one in detaches:
            one()

    return detach


class _Studies:
    """Records searches and their trials."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def begins(self, call: Call) -> None:
        """Record what is searched, and how."""
        span, tuner = call.span, call.instance
        if span is None:
            return
        span.state[_TRIALS] = {}
        oracle = tuner.oracle
        values: dict[str, Any] = {"tuner": _name(tuner), "oracle": _name(oracle)}
        for thing, keys in ((oracle, ("max_trials", "seed")), (tuner, ("executions_per_trial",))):
            values.update({key: vars(thing)[key] for key in keys if key in vars(thing)})
        values.update(_objective(oracle))
        span.params(values)
        space = [one.get_config() | {"type": type(one).__name__} for one in _space(tuner)]
        if space:
            columns = {key: [_text(one.get(key)) for one in space] for key in ("type", *_SPACE)}
            span.table("search_space", columns)

    def ends(self, call: Call, _: Any) -> None:
        """Say which trial was the best, also of a search that was broken off."""
        span = call.span
        if span is None or _TRIALS not in span.state:
            return
        runs = cast("dict[str, Span]", span.state.pop(_TRIALS))
        best = next(iter(call.instance.oracle.get_best_trials(1)), None)
        if best is None or best.score is None:
            return
        span.metrics({"best_score": float(best.score)})
        span.tag("best_trial_id", str(best.trial_id))
        span.params({f"best.{key}": one for key, one in _values(best).items()})
        run = runs.get(str(best.trial_id))  # it may be of an earlier search that this one resumes
        if run is not None and run.run_id is not None:
            span.tag("best_trial", run.run_id)
            run.tag("best", "1")

    def trial_begins(self, call: Call) -> None:
        """Open the run of a trial."""
        around, trial = self._capture.current(), call.args[0]
        if around is None or _TRIALS not in around.state:
            return
        name = f"trial_{trial.trial_id}"
        span = self._capture.open("trial", "trial", trial, name)
        if span is None:
            return
        call.state[_SPAN] = span
        around.state[_TRIALS][str(trial.trial_id)] = span
        span.tag("trial_id", str(trial.trial_id))
        span.params(_values(trial))
        call.state["params"] = _values(trial)
        if _is_of_sklearn(call.instance):  # the fits of folds are pieces of one result
            call.state["folds"] = self._capture.open("part", "fit", object(), name)

    def trial_ends(self, call: Call, _: Any) -> None:
        """Record what came of a trial, and end its run."""
        span = self._leave(call)
        if span is None:
            return
        trial = call.args[0]
        try:
            chosen = _values(trial)  # a model may ask for more while it is built
            more = {key: chosen[key] for key in chosen if key not in call.state["params"]}
            if more:
                span.params(more)
            span.tag("trial_status", str(trial.status))
            if trial.message:
                span.event("trial_failed", {"message": str(trial.message)[-_LONGEST:]})
            self._results(span, call.instance, trial)
        finally:
            span.end("FINISHED" if trial.status == "COMPLETED" else "FAILED")

    def trial_is_fatal(self, call: Call, exception: BaseException) -> None:
        """End the run of a trial that ends the search."""
        span = self._leave(call)
        if span is not None:
            span.end("KILLED" if isinstance(exception, KeyboardInterrupt) else "FAILED")

    def _leave(self, call: Call) -> Span | None:
        folds = cast("Span | None", call.state.pop("folds", None))
        if folds is not None:
            folds.end()
        return cast("Span | None", call.state.pop(_SPAN, None))

    def _results(self, span: Span, tuner: Any, trial: Any) -> None:
        if trial.status != "COMPLETED":
            return
        known = tuner.oracle.get_trial(trial.trial_id)
        objective = tuner.oracle.objective
        values: dict[str, float] = {}
        for name in known.metrics.metrics:
            best = known.metrics.get_best_value(name)
            if best is not None:
                values["score" if name == objective.name else f"best_{name}"] = float(best)
        span.metrics(values)
        # What KerasTuner keeps of the trial, `get_best_models` loads again.
        place = getattr(tuner, "_get_checkpoint_fname", None)
        if place is not None:
            self._capture.wrote(place(trial.trial_id), span)


def _objective(oracle: Any) -> dict[str, Any]:
    objective: Any = oracle.objective
    several: Any = getattr(objective, "objectives", None)
    if several is not None:
        return {"objective": [f"{one.direction} {one.name}" for one in several]}
    return {"objective": objective.name, "direction": objective.direction}


def _values(trial: Any) -> dict[str, Any]:
    return dict(cast("Mapping[str, Any]", trial.hyperparameters.values))


def _space(tuner: Any) -> list[Any]:
    return list(tuner.oracle.hyperparameters.space)


def _text(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else str(value)


def _name(thing: Any) -> str:
    return type(thing).__name__


def _is_of_sklearn(tuner: Any) -> bool:
    module: Any = sys.modules.get("keras_tuner.src.tuners.sklearn_tuner")
    return module is not None and isinstance(tuner, module.SklearnTuner)
