"""What the scikit-learn API records, alone and where scikit-learn's integration is on as well."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog

TOGETHER = [("lightgbm",), ("lightgbm", "sklearn"), ("sklearn", "lightgbm")]


def switch_on(names):
    """Switch integrations on one after the other: the first has its hooks asked first."""
    autolog.disable()
    for name in names:
        autolog.autolog(name)


@pytest.mark.edge_case("EC-X3", "EC-N8")
@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
def test_a_fit_is_one_run_with_the_params_of_wrapper_and_booster(data, recording, series, names):
    switch_on(names)
    model = data.estimator().fit(
        data.X[:100], data.y[:100], **data.evals((data.X[100:], data.y[100:]))
    )
    run = recording.run()
    assert run.name.startswith("LGBMClassifier-")
    assert run.tags["estimator"] == "lightgbm.sklearn.LGBMClassifier"
    assert {key: run.params[key] for key in model.get_params()} == model.get_params()
    assert run.params["native.objective"] == "binary"
    assert series("valid_0-binary_logloss") == model.evals_result_["valid_0"]["binary_logloss"]
    assert run.metrics["fit_seconds"] > 0
    inputs = sorted(one.role for one in recording.details().inputs)
    assert inputs == ["train", "train_target", "validation", "validation_target"]
    (stored,) = recording.details().models
    assert stored.manifest["convert_to"] == "lightgbm-text"


@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
def test_a_score_belongs_to_the_models_run_and_is_there_once(data, recording, names):
    switch_on(names)
    X_test, y_test = data.X[100:], data.y[100:]
    model = data.estimator().fit(data.X[:100], data.y[:100])
    expected = model.score(X_test, y_test)
    assert recording.run().metrics["test/score"] == expected


@pytest.mark.edge_case("EC-N4")
def test_a_pipeline_is_one_run_with_its_own_params_and_the_series_of_the_booster(
    data, recording, series
):
    switch_on(("lightgbm", "sklearn"))
    step = data.estimator()
    pipeline = make_pipeline(StandardScaler(), step)
    pair = data.evals((data.X[100:], data.y[100:]))
    pipeline.fit(data.X, data.y, **{f"lgbmclassifier__{key}": sets for key, sets in pair.items()})
    run = recording.run()
    assert run.name.startswith("Pipeline-")
    assert run.params["lgbmclassifier__num_leaves"] == 5
    assert "num_leaves" not in run.params
    assert series("valid_0-binary_logloss") == step.evals_result_["valid_0"]["binary_logloss"]


def test_series_of_several_boosters_in_one_training_are_told_apart(data, recording):
    switch_on(("lightgbm", "sklearn"))
    autolog.autolog("lightgbm", lightgbm={"train_metrics": True})
    VotingClassifier([("a", data.estimator()), ("b", data.estimator())]).fit(data.X, data.y)
    names = {name for name in recording.run().metrics if "logloss" in name}
    assert names == {"training-binary_logloss", "fit.2.training-binary_logloss"}


@pytest.mark.edge_case("EC-N6")
def test_a_fit_that_calls_its_parents_fit_is_one_run_of_the_child_class(data, recording):
    class Child(lgb.LGBMClassifier):
        def fit(self, X, y):
            return super().fit(X, y)

    data.estimator(Child).fit(data.X, data.y)
    assert recording.run().name.startswith("Child-")


def test_a_ranking_is_recorded(data, recording, series):
    group = {"group": [50, 50]}
    pair = data.evals((data.X[100:], data.y[100:]))
    model = data.estimator(lgb.LGBMRanker).fit(
        data.X[:100], data.y[:100], **group, **pair, eval_group=[[60]], eval_at=[3]
    )
    assert series("valid_0-ndcg@3") == model.evals_result_["valid_0"]["ndcg@3"]


@pytest.mark.edge_case("EC-I5")
@pytest.mark.parametrize("estimator", [False, True])
def test_a_metric_of_the_predictions_lands_in_the_run_of_the_model(data, recording, estimator):
    autolog.autolog("sklearn")
    if estimator:
        model = data.estimator().fit(data.X[:100], data.y[:100])
        X_test, y_test = data.X[100:], data.y[100:]
        expected = roc_auc_score(y_test, model.predict_proba(X_test)[:, 1])
    else:
        model = data.booster()
        X_test, y_test = data.X[100:], data.y[100:]
        expected = roc_auc_score(y_test, model.predict(X_test))
    assert recording.run().metrics["test/roc_auc"] == expected


def test_nothing_is_left_on_the_classes_when_it_is_off(data, recording):
    classes = (lgb.LGBMClassifier, lgb.LGBMModel, lgb.Booster)
    autolog.disable()
    before = [dict(vars(cls)) for cls in classes]
    autolog.autolog("lightgbm")
    data.estimator().fit(data.X, data.y).predict(data.X)
    autolog.disable()
    assert [dict(vars(cls)) for cls in classes] == before
    assert np.shape(data.X) == (160, 4)


@pytest.mark.parametrize("on", [("lightgbm",), ("sklearn", "lightgbm")], ids="+".join)
def test_trainings_inside_one_container_have_series_of_their_own(recording, data, series, on):
    from sklearn.multioutput import MultiOutputRegressor

    autolog.disable()
    autolog.autolog(*on)
    outputs = MultiOutputRegressor(data.estimator(lgb.LGBMRegressor))
    both = np.column_stack([data.X[:, 0], -3 * data.X[:, 0]])
    outputs.fit(data.X, both, **data.evals((data.X[100:], data.X[100:, 0])))
    for prefix, one in zip(("", "fit.2."), outputs.estimators_, strict=True):
        assert series(f"{prefix}valid_0-l2") == one.evals_result_["valid_0"]["l2"]
