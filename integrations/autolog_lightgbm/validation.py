"""Watches `lightgbm.cv`: one run with the mean and the deviation of its folds."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

from autolog.integration import Call, Capture, Detach, Hook
from autolog_lightgbm import extract
from autolog_lightgbm.rounds import Rounds
from autolog_lightgbm.training import ROUNDS, inject

__all__ = ["attach"]


def attach(capture: Capture) -> Detach:
    """Watch the function; its folds are boosters that no `train` makes."""

    def begins(call: Call) -> None:
        span = call.span
        if span is None or span.run_id is None or call.bound is None:
            return
        if span.owns_run:
            span.params(extract.training_params(call))
            train_set = call.bound.get("train_set")
            extract.inputs(span, "train", train_set, call.source_name("train_set"))
        # quirk lightgbm-cv-merges-names
        merged = capture.guard("merged_names")
        call.state[ROUNDS] = rounds = Rounds(span, folds=True, merged=merged)
        call.state["started"] = time.perf_counter()
        inject(capture, call, rounds)

    def ends(call: Call, result: dict[str, Any]) -> None:
        rounds: Rounds | None = call.state.get(ROUNDS)
        if rounds is None or rounds.last is None:
            return
        # After an early stop the result ends with the best iteration.
        series = {key: values for key, values in result.items() if key.endswith(("-mean", "-stdv"))}
        best, seen = max(map(len, series.values()), default=0), rounds.last + 1
        numbers: dict[str, float] = {"fit_seconds": time.perf_counter() - call.state["started"]}
        if 0 < best < seen:
            numbers["best_iteration"] = best
            for key, values in series.items():
                if key.endswith("-mean"):
                    numbers[f"best_score.{rounds.key_of(key)}"] = values[-1]
        if rounds.end is not None and seen < rounds.end:
            numbers["stopped_iteration"] = seen
        rounds.span.metrics(numbers)

    hook = Hook(enter=begins, exit=ends)
    engine = import_module("lightgbm.engine")
    return capture.patch(engine, "cv", hook, role="container", kind="cv", name="Booster")
