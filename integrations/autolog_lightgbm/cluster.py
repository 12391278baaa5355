"""Watches `lightgbm.dask`: the run is that of the client; its workers' trainings are parts of it.

A worker's thread knows nothing of the `fit` that gave it work, and where the cluster lives in the
client's process it would open a run of its own (quirk lightgbm-dask-trains-in-worker-threads).
What the iterations gave comes back with the model, so it is recorded at the end.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from autolog.integration import Call, Capture, Detach
from autolog_lightgbm import extract, workers
from autolog_lightgbm.estimators import Fits
from autolog_lightgbm.fitting import Fit
from autolog_lightgbm.rounds import Rounds
from autolog_lightgbm.training import outcome

__all__ = ["attach"]

_CLASSES: Final = ("DaskLGBMClassifier", "DaskLGBMRegressor", "DaskLGBMRanker")


def attach(capture: Capture) -> Detach:
    """Watch the estimators of the client, and the function that its workers run."""
    module: Any = import_module("lightgbm.dask")
    detaches = [_DaskFits(capture).watch(getattr(module, name) for name in _CLASSES)]
    if capture.guard("worker_threads"):
        detaches.append(capture.patch(module, "_train_part", workers.PART))

    def detach() -> None:
        for one in reversed(detaches):
            one()

    return detach


class _DaskFits(Fits):
    """The hooks of a distributed `fit`: no iteration of it is seen here."""

    def begins(self, call: Call) -> None:
        super().begins(call)
        fit: Fit | None = call.state.get("fit")
        if fit is not None:
            fit.trained = True

    def keep(self, fit: Fit, call: Call, model: Any) -> None:
        """Record what came back, and store the model without its client."""
        known = extract.known_of(model)
        rounds = Rounds(fit.span)
        rounds.series(known.get("_evals_result") or {})
        outcome(rounds, int(known.get("_best_iteration") or 0), known.get("_best_score") or {})
        super().keep(fit, call, model.to_local())
