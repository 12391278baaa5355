"""A training computes, prints and warns the same with LightGBM's integration and without."""

from __future__ import annotations

import contextlib
import gc
import io
import random
import warnings
import weakref

import lightgbm as lgb
import numpy as np
import pytest
import scipy.sparse

import autolog

AUTO = ("lightgbm", "sklearn")


def native(data):
    history = {}
    train = data.train()
    valid = data.valid(train)
    stop = lgb.early_stopping(3)
    callbacks = [lgb.log_evaluation(2), lgb.record_evaluation(history), stop]
    params = {**data.params, "bagging_freq": 1, "bagging_fraction": 0.7, "unknown": 1}
    booster = lgb.train(params, train, 60, valid_sets=[train, valid], callbacks=callbacks)
    orders = [vars(one).get("order") for one in callbacks]
    return booster, history, params, orders, sorted(vars(train)), train.data is None


def kept(data):
    booster = data.booster(6, {"boosting": "dart"}, keep_training_booster=True)
    return booster, booster.eval_train(), booster.eval_valid()


def estimator(data):
    model = data.estimator(random_state=np.random.RandomState(1), subsample=0.7, subsample_freq=1)
    model.fit(data.X, data.y, **data.evals((data.X, data.y)))
    known = {key: str(value) for key, value in vars(model).items() if key != "_Booster"}
    known = {key: text for key, text in known.items() if " at 0x" not in text}
    return model.booster_, model.random_state.get_state()[1].tolist(), model.evals_result_, known


def cross_validation(data):
    found = lgb.cv(
        data.params,
        data.train(),
        6,
        nfold=3,
        return_cvbooster=True,
        callbacks=[lgb.log_evaluation()],
    )
    boosters = found.pop("cvbooster")
    return boosters.boosters[0], found, boosters.best_iteration


def sparse(data):
    rows = scipy.sparse.random(200, 40, density=0.1, random_state=0, format="csr")
    train = lgb.Dataset(rows, np.arange(200.0) % 3, free_raw_data=False)
    booster = lgb.train({**data.params, "objective": "l2"}, train, 5)
    return booster, train.data is rows, type(rows).__name__


def observed(data, train):
    """All that a user sees of a training: what it gives, prints and warns of."""
    random.seed(0)
    np.random.seed(0)
    said = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(said):
        warnings.simplefilter("always")
        booster, *rest = train(data)
    state = [random.getstate(), np.random.get_state()[1].tolist()]
    texts = [(one.category.__name__, str(one.message), one.filename) for one in caught]
    width = booster.num_feature()
    return {
        "model": booster.model_to_string(num_iteration=-1),
        "predictions": booster.predict(np.ones((2, width))).tolist(),
        "attributes": sorted(vars(booster)),
        "best": (booster.best_iteration, str(booster.best_score)),
        "rest": rest,
        "said": said.getvalue(),
        "warnings": texts,
        "random": state,
    }


@pytest.mark.edge_case("EC-D5", "EC-D9", "EC-D10", "EC-I8")
@pytest.mark.parametrize("train", [native, kept, estimator, cross_validation, sparse])
def test_a_training_is_the_same_with_autolog_and_without(data, recording, train):
    autolog.disable()
    plain = observed(data, train)
    autolog.autolog(*AUTO)
    watched = observed(data, train)
    assert [key for key in plain if watched[key] != plain[key]] == []
    assert len(recording.runs()) == 1


@pytest.mark.edge_case("EC-D12")
def test_nothing_of_a_training_is_kept_alive(data, recording):
    rows = data.X.copy()
    train = lgb.Dataset(rows, data.y, free_raw_data=False)
    booster = lgb.train(data.params, train, 3, valid_sets=[train])
    references = [weakref.ref(one) for one in (rows, train, booster)]
    del rows, train, booster
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


def test_a_notice_says_that_series_were_left_out(data, recording):
    from sklearn.ensemble import BaggingClassifier

    autolog.autolog("sklearn", "lightgbm", lightgbm={"importances": False})
    BaggingClassifier(data.estimator(), n_estimators=22).fit(data.X, data.y)
    assert recording.run().name.startswith("BaggingClassifier")
    assert any("LightGBM trainings" in notice.text for notice in autolog.status().notices)
