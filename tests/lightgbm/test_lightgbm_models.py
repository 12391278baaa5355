"""Models come back from LightGBM's own text and predict the same bits."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

import autolog
from autolog_lightgbm import formats

KINDS = {
    "gbdt": {},
    "dart": {"boosting": "dart", "drop_rate": 0.5},
    "rf": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
    "linear": {"linear_tree": True},
    "multiclass": {"objective": "multiclass", "num_class": 3},
    "stump": {"min_data_in_leaf": 1000},
    "missing": {"use_missing": False, "zero_as_missing": True},
}


@pytest.mark.edge_case("EC-X6")
@pytest.mark.parametrize("kind", KINDS)
def test_a_booster_comes_back_from_text(data, tmp_path, kind):
    target = data.y + (data.X[:, 2] > 1) if kind == "multiclass" else data.y
    booster = lgb.train({**data.params, **KINDS[kind]}, lgb.Dataset(data.X, target), 6)
    formats.save(booster, tmp_path)
    loaded = formats.load(tmp_path)
    assert np.array_equal(loaded.predict(data.X), booster.predict(data.X))
    assert loaded.model_to_string() == booster.model_to_string()


@pytest.mark.edge_case("EC-X6")
def test_a_booster_of_categories_comes_back_from_text(data, tmp_path):
    colours = pd.Categorical(np.where(data.X[:, 0] > 0, "red", "blue"))
    frame = pd.DataFrame({"colour": colours, "size": data.X[:, 1]})
    booster = lgb.train(data.params, lgb.Dataset(frame, data.y), 6)
    formats.save(booster, tmp_path)
    loaded = formats.load(tmp_path)
    assert loaded.pandas_categorical == booster.pandas_categorical
    assert np.array_equal(loaded.predict(frame), booster.predict(frame))


@pytest.mark.parametrize("keep", [False, True])
def test_a_stopped_booster_comes_back_with_its_best_iteration(data, tmp_path, keep):
    stop = [lgb.early_stopping(3, verbose=False)]
    booster = data.booster(200, callbacks=stop, keep_training_booster=keep)
    formats.save(booster, tmp_path)
    loaded = formats.load(tmp_path)
    assert loaded.best_iteration == booster.best_iteration
    assert loaded.best_score == booster.best_score
    assert loaded.num_trees() == booster.num_trees()
    assert np.array_equal(loaded.predict(data.X), booster.predict(data.X))


@pytest.mark.parametrize("kind", ["LGBMClassifier", "LGBMRegressor", "LGBMRanker"])
def test_a_wrapper_comes_back_as_what_it_was(data, tmp_path, kind):
    options = {"group": [80, 80]} if kind == "LGBMRanker" else {}
    model = data.estimator(getattr(lgb, kind)).fit(
        data.X, data.y, **options, **data.evals((data.X, data.y)), **_groups(options)
    )
    formats.save(model, tmp_path)
    loaded = formats.load(tmp_path)
    assert type(loaded) is type(model)
    assert loaded.get_params() == model.get_params()
    assert loaded.evals_result_ == model.evals_result_
    assert vars(loaded).keys() == vars(model).keys()
    assert np.array_equal(loaded.predict(data.X), model.predict(data.X))


def _groups(options):
    return {"eval_group": [[80, 80]]} if options else {}


@pytest.mark.parametrize("dtype", [object, "U5"])
def test_a_classifier_of_names_comes_back_with_its_classes(data, tmp_path, dtype):
    names = np.array(["no", "yes"], dtype=dtype)[data.y]
    model = data.estimator().fit(data.X, names)
    formats.save(model, tmp_path)
    loaded = formats.load(tmp_path)
    assert loaded.classes_.tolist() == ["no", "yes"]
    assert loaded.predict(data.X).tolist() == model.predict(data.X).tolist()
    assert np.array_equal(loaded.predict_proba(data.X), model.predict_proba(data.X))


class Mine(lgb.LGBMRegressor):
    """A class of the user's, which a file of text cannot bring along."""


def test_what_text_cannot_hold_is_refused(data, tmp_path):
    own = data.estimator(Mine).fit(data.X, data.y)
    with pytest.raises(ValueError, match="no class of LightGBM's own"):
        formats.save(own, tmp_path)
    drawn = data.estimator(random_state=np.random.RandomState(0)).fit(data.X, data.y)
    with pytest.raises(ValueError, match="random_state holds a numpy"):
        formats.save(drawn, tmp_path)


def test_a_file_that_names_another_class_is_refused(data, tmp_path):
    formats.save(data.booster(2), tmp_path)
    written = (tmp_path / "wrapper.json").read_text().replace("Booster", "os.system")
    (tmp_path / "wrapper.json").write_text(written)
    with pytest.raises(ValueError, match="no class of LightGBM's own"):
        formats.load(tmp_path)


def test_the_text_that_training_wrote_is_stored_and_not_written_again(data, recording, monkeypatch):
    stored = []
    monkeypatch.setattr(
        "autolog.capture.spans.CaptureSpan.model",
        lambda span, snapshot: stored.append(formats._texts.get(snapshot.model)),
    )
    booster = data.booster(5)
    assert stored == [booster.model_to_string()]
    assert len(formats._texts) == 0


@pytest.mark.parametrize("estimator", [False, True])
def test_a_recorded_model_loads_and_predicts_the_same(data, recording, estimator):
    model = data.estimator().fit(data.X, data.y) if estimator else data.booster()
    loaded = autolog.load_model(recording.run().run_id)
    assert type(loaded) is type(model)
    assert np.array_equal(loaded.predict(data.X), model.predict(data.X))


def test_a_wrapper_inside_a_pipeline_is_stored_as_text_without_what_scikit_learn_lends_it(
    data, recording
):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), data.estimator()).fit(data.X, data.y)
    (stored,) = recording.details().models
    assert stored.format == "lightgbm-text"
    loaded = autolog.load_model(recording.run().run_id)
    scaled = pipeline[0].transform(data.X)
    assert np.array_equal(loaded.predict_proba(scaled), pipeline[-1].predict_proba(scaled))
    assert vars(loaded).keys() == vars(pipeline[-1]).keys()
