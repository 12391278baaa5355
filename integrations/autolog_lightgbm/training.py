"""Watches `lightgbm.train`: alone, inside a wrapper's `fit`, or inside another's training."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

from autolog.integration import Call, Capture, Detach, Hook, Role, Snapshot, Span
from autolog_lightgbm import extract, formats, naming
from autolog_lightgbm.fitting import FIT, Fit
from autolog_lightgbm.predictions import Predictions
from autolog_lightgbm.rounds import Appended, Callback, Rounds
from autolog_lightgbm.workers import in_worker

__all__ = ["ROUNDS", "attach", "inject", "outcome"]

ROUNDS: Final = "lightgbm.rounds"
"""In the state of a span: the rounds of the training in progress."""

_MOST: Final = 20
"""Trainings inside another's run that are recorded; a bagging may have a thousand."""


def attach(capture: Capture) -> Detach:
    """Watch the function, and what it calls on its booster."""
    training = _Training(capture)
    engine: Any = import_module("lightgbm.engine")
    booster: Any = import_module("lightgbm.basic").Booster
    hook = Hook(enter=training.begins, exit=training.ends, error=training.fails)
    detaches = [
        capture.patch(engine, "train", hook, role=training.role, name="Booster"),
        capture.patch(booster, "model_to_string", Hook(exit=training.written)),
    ]
    if capture.guard("default_log"):  # quirk lightgbm-any-callback-silences-the-default-log
        evaluated = Hook(exit=training.evaluated)
        detaches += [
            capture.patch(booster, name, evaluated) for name in ("eval_train", "eval_valid")
        ]

    def detach() -> None:
        training.predictions.detach()
        for one in reversed(detaches):
            one()

    return detach


def inject(capture: Capture, call: Call, rounds: Rounds) -> None:
    """Give LightGBM's function our callback besides the user's, in this call alone."""
    given: Any = (call.bound or {}).get("callbacks")
    callback = Callback(capture.guarded(rounds.after_iteration))
    given = [] if given is None else given
    if capture.guard("uncounted_callback"):
        call.replace("callbacks", Appended(given, callback))
    else:
        call.replace("callbacks", [*given, callback])


def outcome(rounds: Rounds, best_iteration: int, best_score: Any) -> None:
    """Record where the training was best, and where it stopped if it did early."""
    span, prefix = rounds.span, rounds.prefix
    if best_iteration > 0:
        numbers: dict[str, float] = {"best_iteration": best_iteration}
        scores = {
            f"{dataset}-{metric}": value
            for dataset, metrics in best_score.items()
            for metric, value in metrics.items()
        }
        numbers.update({f"best_score.{name}": value for name, value in scores.items()})
        others = [value for name, value in scores.items() if not name.startswith("training-")]
        if len(others) == 1 and span.owns_run:  # a search has a `best_score` of its own
            numbers["best_score"] = others[0]
        if rounds.last is not None and rounds.end is not None and rounds.last + 1 < rounds.end:
            numbers["stopped_iteration"] = rounds.last + 1
        span.metrics({f"{prefix}{name}": value for name, value in numbers.items()})
    if span.owns_run:
        span.tag("eval_sets", ", ".join(rounds.names) or "none")


class _Training:
    """The hooks of `train`."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._inside: dict[str, Iterator[int]] = {}
        self.predictions = Predictions(capture)

    def role(self, call: Call) -> Role:
        """Tell a training of its own from the one that a wrapper's `fit` makes."""
        around = self._capture.current()
        if in_worker() or (around is not None and FIT in around.state):
            return "watch"
        return "training" if (call.bound or {}).get("init_model") is None else "continuation"

    def begins(self, call: Call) -> None:
        """Record what is trained on what, and have LightGBM tell what each iteration gave."""
        span, fit = call.span, None
        if span is None and not in_worker():
            fit = self._fit()
            span = fit.span if fit is not None else None
        if call.bound is None or span is None or span.run_id is None:
            return
        if fit is not None:
            fit.trained = True
            span.params(extract.beyond(call.bound, fit.params))
        elif span.owns_run:
            self._describe(span, call)
        prefix = self._prefix(span, span.run_id)
        if prefix is None:
            return
        sets = extract.valid_sets(call.bound)
        train_set = call.bound.get("train_set")
        rounds = Rounds(
            span,
            prefix=prefix,
            train_metrics=bool(self._capture.options.train_metrics)
            and all(data is not train_set for _, data in sets),
        )
        span.state[ROUNDS] = call.state[ROUNDS] = rounds
        call.state["fit"] = fit
        call.state["started"] = time.perf_counter()
        rounds.watches = self._keeps_silent(call)
        if not rounds.watches:
            inject(self._capture, call, rounds)

    def ends(self, call: Call, booster: Any) -> None:
        """Record what the training came to."""
        rounds: Rounds | None = call.state.get(ROUNDS)
        if rounds is None:
            return
        span = rounds.span
        span.state.pop(ROUNDS, None)
        outcome(rounds, booster.best_iteration, booster.best_score)
        if self._capture.options.importances:
            span.table(f"{rounds.prefix}feature_importances", extract.importances(booster))
        text = rounds.text_of(booster)
        fit: Fit | None = call.state["fit"]
        if fit is not None:  # the wrapper is stored when its attributes are set
            fit.text = text
            return
        if not span.owns_run:
            return
        span.metrics({"fit_seconds": time.perf_counter() - call.state["started"]})
        self.predictions.of(booster, span)
        data = extract.raw((call.bound or {}).get("train_set"))
        with formats.known_text(booster, text):
            span.model(
                Snapshot(
                    model=booster,
                    format="lightgbm-text",
                    signature=extract.signature(booster, data),
                    versions=extract.versions(),
                )
            )

    def fails(self, call: Call, _: BaseException) -> None:
        """Forget the rounds of a training that was left by an exception."""
        rounds: Rounds | None = call.state.get(ROUNDS)
        if rounds is not None:
            rounds.span.state.pop(ROUNDS, None)

    def written(self, call: Call, text: Any) -> None:
        """Keep the text that the training makes of its booster anyway, at its very end."""
        rounds = self._rounds()
        if rounds is not None and not call.args and not call.kwargs:
            rounds.written(call.instance, text)

    def evaluated(self, call: Call, results: Any) -> None:
        """Take the evaluations of a training that got no callback."""
        rounds = self._rounds()
        if rounds is not None and rounds.watches:
            rounds.evaluated(call.instance, results)

    def _rounds(self) -> Rounds | None:
        span = self._capture.current()
        return span.state.get(ROUNDS) if span is not None else None

    def _fit(self) -> Fit | None:
        """Return the `fit` around, if this is the first training inside it."""
        around = self._capture.current()
        fit: Fit | None = around.state.get(FIT) if around is not None else None
        return fit if fit is not None and not fit.trained else None

    def _prefix(self, span: Span, run_id: str) -> str | None:
        """Tell the trainings inside one run apart; None for those that are too many."""
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
                "lightgbm_many_inside",
                f"more than {_MOST} LightGBM trainings inside one other training: the series of"
                " the others are not recorded",
            )
            return None
        return f"fit.{number}." if number > 1 else ""

    def _describe(self, span: Span, call: Call) -> None:
        bound = call.bound or {}
        train_set = bound.get("train_set")
        span.tag("estimator", "lightgbm.Booster")
        span.params(extract.training_params(call))
        extract.inputs(span, "train", train_set, call.source_name("train_set"))
        for name, data in extract.valid_sets(bound):
            if data is not train_set:
                extract.inputs(span, "validation", data, name)
        naming.remember_data(span, extract.raw(train_set), extract.raw(train_set, "label"))

    def _keeps_silent(self, call: Call) -> bool:
        """Whether a callback of ours would silence what LightGBM prints without one."""
        bound = call.bound or {}
        return (
            self._capture.guard("default_log")
            and not bound.get("callbacks")
            and bound.get("valid_sets") is not None
            and bound.get("verbose_eval", "warn") == "warn"
        )
