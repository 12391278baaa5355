"""Watches `xgboost.train` and `xgboost.cv`.

Both are patched by code, so names that were imported before (`from xgboost import train`, and
`xgboost.sklearn`'s own) are the watched functions too (quirk xgboost-train-reexports).
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Detach, Hook, Role, Snapshot, Span
from autolog_xgboost import extract, results
from autolog_xgboost.fitting import Fit, fit_of
from autolog_xgboost.series import Series
from autolog_xgboost.workers import works_for_another

__all__ = ["attach"]

_CV_ONLY: Final = frozenset(
    {
        *("as_pandas", "folds", "fpreproc", "metrics", "nfold", "seed", "show_stdv", "shuffle"),
        *("stratified", "verbose_eval"),
    }
)
"""Arguments of `cv` that say how it splits and shows: recorded under `cv.`."""

_MOST: Final = 20
"""Trainings inside another's run that are recorded; a bagging may have a thousand."""


def attach(capture: Capture) -> Detach:
    """Watch the functions that train a booster."""
    module: Any = import_module("xgboost.training")
    training = _Training(capture, module.train)
    validation = _Validation(capture, module.cv)
    detaches = (
        capture.patch(
            module,
            "train",
            Hook(enter=training.begins, exit=training.ends, error=training.fails),
            role=training.role_of,
            name="Booster",
        ),
        capture.patch(
            module,
            "cv",
            Hook(enter=validation.begins, exit=validation.ends, error=validation.fails),
            role="training",
            kind="cv",
            name="Booster",
        ),
    )

    def detach() -> None:
        for one in reversed(detaches):
            one()

    return detach


class _Rounds:
    """What training and cross-validating have in common: the callback, and how it all ended."""

    def __init__(self, capture: Capture, function: Callable[..., Any]) -> None:
        self._capture = capture
        self._function = function
        default = inspect.signature(function).parameters["num_boost_round"].default
        self._default_rounds = int(default)

    def _watch(
        self, call: Call, span: Span, bound: Mapping[str, Any], **options: Any
    ) -> dict[str, Any]:
        """Give the call our callback, before the user's own; their list stays what it is.

        Returns the arguments to record.
        """
        from autolog_xgboost.callback import RecordingCallback

        series = Series(span, folds=options.pop("folds", False), prefix=options.pop("prefix", ""))
        callbacks = bound.get("callbacks")
        recording: Any = RecordingCallback(
            series,
            stops_early=bool(bound.get("early_stopping_rounds")) or _stops_early(callbacks),
            guarded=self._capture.guarded,
            score_with_deviation=self._capture.guard("score_with_deviation"),
            **options,
        )
        if callbacks is None or isinstance(callbacks, list | tuple):
            users = cast("Sequence[Any]", callbacks or ())
            call.replace("callbacks", [recording, *users])
        else:  # what cannot be iterated raises in XGBoost, as it does without us
            call.replace("callbacks", itertools.chain([recording], callbacks))
        params = {"num_boost_round": self._default_rounds, **extract.given(bound)}
        call.state["asked"] = params["num_boost_round"]
        call.state["series"] = series
        call.state["started"] = time.perf_counter()
        return params

    def _finish(self, call: Call) -> Series | None:
        """Record the rounds that are left."""
        series = cast("Series | None", call.state.get("series"))
        if series is not None and self._capture.guard("late_history"):
            # quirk xgboost-callbacks-are-a-set: one that stops may be asked before ours.
            series.flush()
        return series

    def fails(self, call: Call, exception: BaseException) -> None:  # noqa: ARG002
        """Record the rounds up to the one that failed."""
        self._finish(call)


class _Training(_Rounds):
    """Records a booster's training."""

    def __init__(self, capture: Capture, function: Callable[..., Any]) -> None:
        super().__init__(capture, function)
        self._inside: dict[str, Iterator[int]] = {}

    def role_of(self, call: Call) -> Role:
        """Return what a call is: a training, or the work of a fit that is recorded as a whole."""
        if works_for_another() or fit_of(self._capture.current()) is not None:
            return "watch"
        goes_on = extract.arguments(call, self._function).get("xgb_model") is not None
        return "continuation" if goes_on else "training"

    def begins(self, call: Call) -> None:
        span, fit = call.span, None
        if span is None and not works_for_another():
            span = self._capture.current()
            fit = fit_of(span)
            if fit is None or fit.inside or fit.trained:
                return
        if span is None or span.run_id is None:  # a part of something recorded as a whole
            return
        bound = extract.arguments(call, self._function)
        native = extract.native_params(bound.get("params"))
        fit = fit or self._starts(call, span, bound)
        fit.inside = True
        call.state["fit"], call.state["span"] = fit, span
        prefix = self._prefix(span)
        if prefix is None:
            return
        updates = native.get("process_type") == "update"  # goes over the rounds that are there
        params = self._watch(
            call,
            span,
            bound,
            goes_on=bound.get("xgb_model") is not None and not updates,
            prefix=prefix,
        )
        if fit.params:
            beyond = extract.beyond(native, fit.params)
            span.params({**beyond, "num_boost_round": call.state["asked"]})
        else:
            span.params({**native, **params})
        evals = bound.get("evals")
        if isinstance(evals, list | tuple) or evals is None:
            names = [str(name) for _, name in _pairs(evals)]
            span.tag("eval_sets", ", ".join(names) or "none")

    def _prefix(self, span: Span) -> str | None:
        """Tell the trainings inside one run apart; None for those that are too many."""
        run_id = str(span.run_id)
        if span.owns_run or run_id not in self._inside:
            while len(self._inside) > _MOST:
                self._inside.pop(next(iter(self._inside)), None)
            # In a container that is a bridge the first training owns the run, the others do not.
            self._inside[run_id] = itertools.count(2 if span.owns_run else 1)
        if span.owns_run:
            return ""
        number = next(self._inside[run_id])
        if number > _MOST:
            self._capture.notice(
                "xgboost_many_inside",
                f"more than {_MOST} XGBoost trainings inside one other training: the series of"
                " the others are not recorded",
            )
            return None
        return f"fit.{number}." if number > 1 else ""

    def _starts(self, call: Call, span: Span, bound: Mapping[str, Any]) -> Fit:
        """Describe a training that is no estimator's."""
        fit = Fit(own=True)
        fit.keep_in(span)
        span.tag("estimator", "xgboost.Booster")
        dtrain = bound.get("dtrain")
        fit.data.add("train", dtrain)
        span.input("train", dtrain, name=call.source_name("dtrain"))
        evals = bound.get("evals")
        if isinstance(evals, list | tuple):
            for data, name in _pairs(evals):
                if data is not dtrain:
                    fit.data.add(str(name), data)
                    span.input("validation", data, name=str(name))
        return fit

    def ends(self, call: Call, result: Any) -> None:
        series, fit = self._finish(call), cast("Fit | None", call.state.get("fit"))
        if fit is not None:
            fit.inside, fit.trained = False, True
        if series is None:
            return
        span = cast("Span", call.state["span"])
        results.scalars(span, series, asked=call.state["asked"])
        self._capture.produced(result, span)
        bound = extract.arguments(call, self._function)
        if self._capture.options.train_metrics and not series.names():
            results.train_metrics(span, series, result, bound)
        if self._capture.options.importances:
            native = extract.native_params(bound.get("params"))
            linear = native.get("booster") == "gblinear"
            results.importances(span, result, linear=linear, prefix=series.prefix)
        if not span.owns_run:
            return
        if call.span is not None:
            span.metrics({"fit_seconds": time.perf_counter() - call.state["started"]})
            span.model(
                Snapshot(
                    model=result,
                    format="xgboost-ubj",
                    signature=extract.signature(result),
                    versions=extract.versions(),
                )
            )

    def fails(self, call: Call, exception: BaseException) -> None:
        super().fails(call, exception)
        fit = cast("Fit | None", call.state.get("fit"))
        if fit is not None:
            fit.inside, fit.trained = False, True


class _Validation(_Rounds):
    """Records a cross-validation: its folds' boosters are no trainings of their own."""

    def begins(self, call: Call) -> None:
        span = call.span
        if span is None or span.run_id is None:
            return
        bound = extract.arguments(call, self._function)

        def begun(packed: Any) -> None:
            span.params({"cv.nfold": len(packed.cvfolds)})

        params = self._watch(call, span, bound, folds=True, goes_on=False, begun=begun)
        params.pop("nfold", None)
        span.tag("estimator", "xgboost.Booster")
        span.tag("function", call.name)
        span.params(extract.native_params(bound.get("params")))
        span.params({f"cv.{key}" if key in _CV_ONLY else key: val for key, val in params.items()})
        span.input("train", bound.get("dtrain"), name=call.source_name("dtrain"))

    def ends(self, call: Call, _: Any) -> None:
        series = self._finish(call)
        if series is not None and call.span is not None:
            results.scalars(call.span, series, asked=call.state["asked"])
            call.span.metrics({"fit_seconds": time.perf_counter() - call.state["started"]})


def _pairs(evals: Any) -> list[tuple[Any, Any]]:
    """Return the eval sets with their names; what is no pair XGBoost will refuse itself."""
    return [
        cast("tuple[Any, Any]", one)
        for one in cast("Sequence[Any]", evals or ())
        if isinstance(one, tuple | list) and len(cast("Sequence[Any]", one)) == 2
    ]


def _stops_early(callbacks: Any) -> bool:
    early: Any = import_module("xgboost.callback").EarlyStopping
    return isinstance(callbacks, list | tuple) and any(
        isinstance(one, early) for one in cast("Sequence[Any]", callbacks)
    )
