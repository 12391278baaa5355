"""A program that trains with XGBoost computes, prints and warns the same with autolog on."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
import xgboost
from xgboost.callback import EarlyStopping, TrainingCallback

import autolog
from tests.xgboost.tables import BINARY, MULTI, REAL, TEST, TRAIN, X


class Note(TrainingCallback):
    """Keeps all that a callback is told."""

    def __init__(self):
        self.told = []

    def before_training(self, model):
        self.told.append(("before", model.num_boosted_rounds(), model.attributes()))
        return model

    def after_iteration(self, model, epoch, evals_log):
        scores = {data: {k: list(v) for k, v in one.items()} for data, one in evals_log.items()}
        self.told.append((epoch, model.attributes(), scores))
        return False

    def after_training(self, model):
        self.told.append(("after", model.num_boosted_rounds(), model.attributes()))
        return model


def native(params, target, **extra):
    def train():
        note = Note()
        callbacks = [note, *extra.get("callbacks", list)()]
        arguments = {key: value for key, value in extra.items() if key != "callbacks"}
        dtrain = xgboost.DMatrix(X[TRAIN], label=target[TRAIN])
        dtest = xgboost.DMatrix(X[TEST], label=target[TEST])
        told = {}
        before = list(callbacks)
        booster = xgboost.train(
            {"nthread": 1, "max_depth": 3, "seed": 1, **params},
            dtrain,
            12,
            evals=[(dtrain, "train"), (dtest, "test")],
            evals_result=told,
            callbacks=callbacks,
            **{"verbose_eval": 3, **arguments},
        )
        assert callbacks == before
        return booster, [
            bytes(booster.save_raw("ubj")),
            bytes(booster.save_raw("json")),
            booster.save_config(),
            booster.attributes(),
            sorted(vars(booster)),
            booster.predict(dtest).tobytes(),
            told,
            note.told,
            booster.eval(dtest),
        ]

    return train


def estimator(make, target, **fit):
    def train():
        model = make()
        given = {**vars(model)}
        model.fit(X[TRAIN], target[TRAIN], eval_set=[(X[TEST], target[TEST])], **fit)
        return model, [
            sorted(vars(model)),
            given.keys(),
            str(model.get_params()),
            bytes(model.get_booster().save_raw("ubj")),
            model.get_booster().save_config(),
            model.predict(X[TEST]).tobytes(),
            model.evals_result(),
            model.get_booster().attributes(),
            model.score(X[TEST], target[TEST]),
        ]

    return train


def squared(predicted, matrix):
    return predicted - matrix.get_label(), np.ones(len(predicted))


def worst(predicted, matrix):
    return "worst", float(np.abs(predicted - matrix.get_label()).max())


BINARY_PARAMS = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"]}
TRAININGS = {
    "plain": native(BINARY_PARAMS, BINARY),
    "sampling": native({**BINARY_PARAMS, "subsample": 0.5, "colsample_bytree": 0.5}, BINARY),
    "early stopping": native({**BINARY_PARAMS, "eta": 0.9}, BINARY, early_stopping_rounds=2),
    "callback": native(
        {**BINARY_PARAMS, "eta": 0.9}, BINARY, callbacks=lambda: [EarlyStopping(rounds=2)]
    ),
    "custom": native({}, REAL, obj=squared, custom_metric=worst),
    "dart": native({"booster": "dart", "rate_drop": 0.5}, REAL),
    "gblinear": native({"booster": "gblinear", "max_depth": 0}, REAL, verbose_eval=True),
    "unused parameter": native({**BINARY_PARAMS, "no_such_thing": 1}, BINARY),
    "classifier": estimator(
        lambda: xgboost.XGBClassifier(n_estimators=6, n_jobs=1, subsample=0.5), MULTI, verbose=2
    ),
    "random state": estimator(
        lambda: xgboost.XGBRegressor(
            n_estimators=6, n_jobs=1, subsample=0.5, random_state=np.random.RandomState(4)
        ),
        REAL,
        verbose=True,
    ),
}


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("on", [("xgboost",), ()], ids=["xgboost", "all"])
@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_is_the_same_with_and_without_autolog(recording, capfd, name, on):
    def observed():
        random.seed(1)
        np.random.seed(1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _, facts = TRAININGS[name]()
        texts = [str(one.message).partition("WARNING")[2] or str(one.message) for one in caught]
        return facts, texts, capfd.readouterr(), random.getstate(), str(np.random.get_state())

    plain = observed()
    autolog.autolog(*on)
    watched = observed()
    assert recording.runs() != []
    autolog.disable()
    for seen, expected in zip(watched, plain, strict=True):
        assert seen == expected
    assert plain == observed()


@pytest.mark.edge_case("EC-D5")
def test_a_sparse_matrix_is_never_densified(recording):
    import scipy.sparse

    class Sparse(scipy.sparse.csr_matrix):
        def toarray(self, *_, **__):
            raise AssertionError("densified")

        todense = toarray

    autolog.autolog()
    model = xgboost.XGBRegressor(n_estimators=2, n_jobs=1)
    model.fit(Sparse(X), REAL, eval_set=[(Sparse(X), REAL)], verbose=False)
    assert recording.run().status == "FINISHED"
