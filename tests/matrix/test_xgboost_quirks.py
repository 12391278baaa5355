"""Quirks of XGBoost, each proved with its guard and without: see compat_matrix.yaml.

Beside the quirks stands what must hold in every cell of the matrix: the series, the early
stopping and the signatures that the hooks rely on.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from typing import Any

import numpy as np
import pytest

import autolog
from autolog.compat.view import resolve

xgboost = pytest.importorskip("xgboost")

from xgboost import train as imported_before  # noqa: E402

from autolog_xgboost import extract  # noqa: E402

DATA = np.random.default_rng(0).normal(size=(120, 3))
TARGET = (DATA[:, 0] + DATA[:, 1] ** 2 > 0.5).astype(int)
PARAMS = {"max_depth": 2, "objective": "binary:logistic", "nthread": 1}


def matrices() -> list[tuple[Any, str]]:
    return [
        (xgboost.DMatrix(DATA[:80], label=TARGET[:80]), "train"),
        (xgboost.DMatrix(DATA[80:], label=TARGET[80:]), "test"),
    ]


def values(run: Any, key: str) -> list[float]:
    return autolog.metric_history(run.run_id, key).value.tolist()


class Stop(xgboost.callback.TrainingCallback):
    """Stops at a round, and stands where its hash says in a set."""

    def __init__(self, place: int, at: int) -> None:
        self.place = place
        self.at = at

    def __hash__(self) -> int:
        return self.place

    def __eq__(self, other: object) -> bool:
        return self is other

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        return epoch == self.at


@pytest.mark.quirk("xgboost-callbacks-are-a-set")
def test_the_round_that_a_callback_stopped_is_recorded(recording: Any, guarded: bool) -> None:
    autolog.autolog("xgboost")
    sets = matrices()
    told: dict[str, Any] = {}
    callbacks = [Stop(place, at=2) for place in range(100)]
    xgboost.train(
        PARAMS,
        sets[0][0],
        9,
        evals=sets,
        evals_result=told,
        callbacks=callbacks,
        verbose_eval=False,
    )
    assert len(told["test"]["logloss"]) == 3
    assert values(recording.run(), "test-logloss") == told["test"]["logloss"]


class Listen(xgboost.callback.TrainingCallback):
    """Notes the rounds it is told of."""

    def __init__(self) -> None:
        self.rounds: list[int] = []

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.rounds.append(epoch)
        return False


@pytest.mark.quirk("xgboost-stop-hides-the-last-round")
def test_a_callback_in_front_is_told_of_the_last_round(recording: Any, guarded: bool) -> None:
    autolog.autolog("xgboost")
    sets = matrices()
    listen, told = Listen(), {}
    xgboost.train(
        PARAMS,
        sets[0][0],
        9,
        evals=sets,
        evals_result=told,
        # Before 3.1.2 they are a set, where ours stands in front of the last place.
        callbacks=[Stop(7 if guarded else 0, at=2), listen],
        verbose_eval=False,
    )
    recorded = values(recording.run(), "test-logloss") if guarded else listen.rounds
    assert len(recorded) == len(told["test"]["logloss"])


@pytest.mark.quirk("xgboost-train-reexports")
def test_every_name_of_train_is_the_watched_one(
    recording: Any, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    original = xgboost.training.train

    def swapped(*args: Any, **kwargs: Any) -> Any:
        seen.append("train")
        return original(*args, **kwargs)

    if guarded:
        autolog.autolog("xgboost")
    else:
        monkeypatch.setattr(xgboost.training, "train", swapped)
    (matrix, _), _ = matrices()
    for train in (xgboost.train, xgboost.sklearn.train, xgboost.training.train, imported_before):
        train(PARAMS, matrix, 1)
    assert (len(recording.runs()) if guarded else len(seen)) == 4


@pytest.mark.quirk("xgboost-get-params-draws-a-seed")
def test_reading_the_parameters_draws_no_random_number(guarded: bool) -> None:
    pytest.importorskip("sklearn")
    model = xgboost.XGBRegressor(random_state=np.random.RandomState(0), max_depth=2)
    before = model.random_state.get_state()[2]
    known = extract.estimator_params(model) if guarded else model.get_params()
    assert model.random_state.get_state()[2] == before
    assert known["max_depth"] == 2


@pytest.mark.quirk("xgboost-cv-best-score-is-a-pair")
def test_the_best_score_of_a_cross_validation_is_its_mean(recording: Any, guarded: bool) -> None:
    autolog.autolog("xgboost")
    (matrix, _), _ = matrices()
    params = {**PARAMS, "eta": 0.9}
    xgboost.cv(params, matrix, 60, nfold=3, early_stopping_rounds=2, as_pandas=False, seed=1)
    run = recording.run()
    best = min(values(run, "test-logloss-mean"))
    assert run.metrics.get("best_score") == pytest.approx(best, rel=1e-5)


@pytest.mark.quirk("xgboost-cpu-distribution-name")
def test_the_version_is_known_whatever_the_distribution_is_called(guarded: bool) -> None:
    look_up = importlib.metadata.version
    version = resolve("xgboost", None).version if guarded else look_up("xgboost")
    assert version == xgboost.__version__


# --- in every cell -----------------------------------------------------------------------------


@pytest.mark.edge_case("EC-X9")
@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("train", {"params", "dtrain", "num_boost_round", "evals", "early_stopping_rounds"}),
        ("train", {"callbacks", "xgb_model", "custom_metric", "obj", "evals_result"}),
        ("cv", {"params", "dtrain", "num_boost_round", "nfold", "early_stopping_rounds"}),
        ("cv", {"callbacks", "custom_metric", "obj", "metrics"}),
    ],
)
def test_the_hooked_functions_take_what_the_hooks_give_and_read(
    function: str, names: set[str]
) -> None:
    assert names <= inspect.signature(getattr(xgboost, function)).parameters.keys()


@pytest.mark.edge_case("EC-X1", "EC-X8", "EC-X9")
@pytest.mark.parametrize("stops", ["argument", "callback"])
def test_the_series_and_the_best_round_are_the_frameworks_own(
    recording: Any, stops: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before 3.1.2 callbacks are a set, where this is the last place.
    monkeypatch.setattr(xgboost.callback.EarlyStopping, "__hash__", lambda _: 7)
    autolog.autolog("xgboost")
    sets = matrices()
    told: dict[str, Any] = {}
    how: dict[str, Any] = {"early_stopping_rounds": 3}
    if stops == "callback":
        how = {"callbacks": [xgboost.callback.EarlyStopping(rounds=3)]}
    params = {**PARAMS, "eval_metric": ["logloss", "error"], "eta": 0.9}
    booster = xgboost.train(
        params, sets[0][0], 200, evals=sets, evals_result=told, verbose_eval=False, **how
    )
    run = recording.run()
    for data, metrics in told.items():
        for metric, log in metrics.items():
            assert values(run, f"{data}-{metric}") == log
    rounds = len(told["test"]["error"])
    assert run.metrics["best_iteration"] == booster.best_iteration < 200
    assert run.metrics["best_score"] == booster.best_score
    assert run.metrics["stopped_iteration"] == rounds - 1
    assert run.status == "FINISHED"


@pytest.mark.edge_case("EC-X3", "EC-X9")
def test_an_estimator_is_one_run_with_its_parameters_its_rounds_and_its_model(
    recording: Any,
) -> None:
    pytest.importorskip("sklearn")
    autolog.autolog("xgboost")
    model = xgboost.XGBClassifier(
        n_estimators=4, max_depth=2, n_jobs=1, random_state=np.random.RandomState(3)
    )
    shown = xgboost.XGBClassifier(n_estimators=4, max_depth=2, n_jobs=1).get_params()
    fitted = model.fit(DATA, TARGET, eval_set=[(DATA[80:], TARGET[80:])], verbose=False)
    run = recording.run()
    assert shown.keys() <= run.params.keys()
    assert run.params["n_estimators"] == run.params["num_boost_round"] == 4
    assert run.tags["estimator"] == "xgboost.sklearn.XGBClassifier"
    told = fitted.evals_result()["validation_0"]["logloss"]
    assert values(run, "validation_0-logloss") == told
    loaded = autolog.load_model(run.run_id)
    assert type(loaded) is xgboost.XGBClassifier
    assert loaded.predict_proba(DATA).tobytes() == model.predict_proba(DATA).tobytes()


def test_a_cross_validation_is_one_run_with_the_frames_series(recording: Any) -> None:
    autolog.autolog("xgboost")
    (matrix, _), _ = matrices()
    frame = xgboost.cv(PARAMS, matrix, 5, nfold=4, as_pandas=False, seed=1)
    run = recording.run()
    assert run.kind == "cv"
    assert run.params["cv.nfold"] == 4
    for key, column in frame.items():
        assert values(run, key) == [float(value) for value in column]
