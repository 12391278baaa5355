"""Evaluations after a fit: whose they are and what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog()


@pytest.fixture
def model():
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y_train)


def evaluations(recording, **query):
    return {key: val for key, val in recording.run(**query).metrics.items() if "/" in key}


def test_a_score_is_named_after_its_data(recording, model):
    train, test = model.score(X_train, y_train), model.score(X_test, y_test)
    assert evaluations(recording) == {"train/score": train, "test/score": test}


def test_a_metric_states_its_averaging_and_has_sklearns_value(recording, model):
    predicted = model.predict(X_test)
    values = {
        "test/accuracy": accuracy_score(y_test, predicted),
        "test/f1": f1_score(y_test, predicted),
        "test/f1_macro": f1_score(y_test, predicted, average="macro"),
        "test/f1_weighted": f1_score(y_test, predicted, average="weighted"),
        "test/matthews_corrcoef": metrics.matthews_corrcoef(y_test, predicted),
    }
    assert evaluations(recording) == values


def test_a_view_of_probabilities_is_recognised(recording, model):
    proba = model.predict_proba(X_test)
    auc = metrics.roc_auc_score(y_test, proba[:, 1])
    loss = metrics.log_loss(y_test, proba)
    assert evaluations(recording) == {"test/roc_auc": auc, "test/log_loss": loss}


def test_predictions_on_the_training_data_are_called_train(recording, model):
    fitted_on_other_name = X_train
    predicted = model.predict(fitted_on_other_name)
    accuracy_score(y_train, predicted)
    assert list(evaluations(recording)) == ["train/accuracy"]


def test_data_without_a_name_is_called_eval(recording, model):
    accuracy_score(y[:50], model.predict(X[:50]))
    assert list(evaluations(recording)) == ["eval/accuracy"]


def test_a_name_inside_a_function_is_read_too(recording, model):
    def evaluate(X_holdout, y_holdout):
        guess = model.predict(X_holdout)
        return accuracy_score(y_holdout, guess)

    evaluate(X_test, y_test)
    assert list(evaluations(recording)) == ["holdout/accuracy"]


def test_nondescript_names_fall_back_to_the_data_of_the_prediction(recording, model):
    def report(y_true, y_pred):
        return accuracy_score(y_true, y_pred)

    report(y_test, model.predict(X_test))
    assert list(evaluations(recording)) == ["test/accuracy"]


@pytest.mark.edge_case("EC-I5", "EC-S1")
def test_names_imported_before_the_start_are_seen_and_scorers_pickle(recording, model):
    import pickle

    scorer = pickle.loads(pickle.dumps(make_scorer(f1_score)))
    assert pickle.loads(pickle.dumps(f1_score)) is f1_score
    scorer(model, X_test, y_test)
    assert "test/f1" in evaluations(recording)


def test_a_report_gives_its_averages_without_computing_them_again(recording, model):
    text = metrics.classification_report(y_test, model.predict(X_test))
    report = metrics.classification_report(y_test, model.predict(X_test), output_dict=True)
    found = evaluations(recording)
    assert found["test/accuracy"] == report["accuracy"]
    assert found["test/f1_macro"] == report["macro avg"]["f1-score"]
    assert found["test/recall_weighted"] == report["weighted avg"]["recall"]
    assert "macro avg" in text


def test_a_regression_is_evaluated(recording):
    target = X_train[:, 0]
    regression = LinearRegression().fit(X_train[:, 1:], target)
    X_val = X_test[:, 1:]
    predicted = regression.predict(X_val)
    y_val = X_test[:, 0]
    r2 = metrics.r2_score(y_val, predicted)
    mse = metrics.mean_squared_error(y_val, predicted)
    assert evaluations(recording) == {"val/r2": r2, "val/mean_squared_error": mse}


def test_each_model_gets_its_own_evaluations(recording):
    first = LogisticRegression(max_iter=5000).fit(X_train, y_train)
    second = LogisticRegression(max_iter=5000, C=1e-5).fit(X_train, y_train)
    a, b = first.score(X_test, y_test), second.score(X_test, y_test)
    assert a != b
    assert [run.metrics["test/score"] for run in recording.runs()] == [a, b]


def test_an_evaluation_in_a_users_run_goes_to_the_models_run(recording):
    with autolog.start_run("mine"):
        one = LogisticRegression(max_iter=5000).fit(X_train, y_train)
        two = LogisticRegression(max_iter=5000, C=1e-5).fit(X_train, y_train)
        two.score(X_test, y_test)
        one.score(X_train, y_train)
    mine, child = recording.runs()
    assert "train/score" in mine.metrics
    assert "test/score" in child.metrics


def test_scores_inside_a_training_are_no_evaluations(recording):
    from sklearn.model_selection import cross_val_score

    cross_val_score(LogisticRegression(max_iter=5000), X_train, y_train, cv=2)
    assert evaluations(recording) == {}


def test_what_scikit_learn_computes_for_itself_is_no_evaluation(recording, model):
    from sklearn.inspection import permutation_importance

    permutation_importance(model, X_test, y_test, n_repeats=2, scoring="f1")
    assert evaluations(recording) == {}


def test_a_scorer_gives_the_metrics_own_value(recording, model):
    scorer = metrics.get_scorer("neg_log_loss")
    assert scorer(model, X_test, y_test) < 0
    with autolog.suspend():
        loss = metrics.log_loss(y_test, model.predict_proba(X_test))
    assert evaluations(recording) == {"test/log_loss": loss}


def test_a_metric_of_an_unknown_array_is_counted_and_shown(recording, model):
    thresholded = (model.predict_proba(X_test)[:, 1] > 0.3).astype(int)
    f1_score(y_test, thresholded)
    assert evaluations(recording) == {}
    notices = [one for one in autolog.status().notices if one.key == "unattributed_evaluation"]
    assert "log_metric" in notices[0].text


def test_a_metric_without_any_model_is_none_of_our_business(recording):
    accuracy_score([0, 1], [0, 1])
    assert recording.runs() == []


def test_the_same_evaluation_twice_gives_two_points(recording, model):
    model.score(X_test, y_test)
    model.score(X_test, y_test)
    run = recording.run()
    assert len(autolog.metric_history(run.run_id, "test/score").value) == 2


@pytest.mark.edge_case("EC-D12")
def test_a_recycled_id_is_not_mistaken_for_a_prediction(recording, model):
    for _ in range(50):
        model.predict(X_test)
        unrelated = np.ones(len(y_test), dtype=int)
        accuracy_score(y_test, unrelated)
    assert evaluations(recording) == {}


def test_a_user_estimators_own_metrics_are_its_business(recording):
    iris = load_iris()
    model = LogisticRegression(max_iter=5000).fit(iris.data, iris.target)
    value = accuracy_score(iris.target, model.predict(iris.data))
    assert evaluations(recording) == {"train/accuracy": value}


def test_an_option_that_makes_another_quantity_is_named(recording, model):
    predicted = model.predict(X_test)
    count = accuracy_score(y_test, predicted, normalize=False)
    share = accuracy_score(y_test, predicted)
    found = {"test/accuracy_normalize_false": count, "test/accuracy": share}
    assert evaluations(recording) == found


def test_whoever_asks_for_the_parameters_of_a_fit_gets_them():
    import inspect

    class Mine(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            return self

    assert "sample_weight" in inspect.getfullargspec(Mine.fit).args


def test_options_that_change_the_quantity_are_named(recording, model):
    predicted = model.predict(X_test)
    scorer = make_scorer(metrics.recall_score, pos_label=0)
    values = {
        "test/accuracy": accuracy_score(y_test, predicted),
        "test/accuracy_normalize_false": accuracy_score(y_test, predicted, normalize=False),
        "test/f1": f1_score(y_test, predicted, pos_label=1),
        "test/f1_pos_label_0": f1_score(y_test, predicted, pos_label=0),
        "test/fbeta_beta_2": metrics.fbeta_score(y_test, predicted, beta=2),
        "test/precision_sample_weight": metrics.precision_score(
            y_test, predicted, sample_weight=np.arange(len(predicted))
        ),
        "test/recall_pos_label_0": scorer(model, X_test, y_test),
    }
    assert evaluations(recording) == values


def test_an_area_under_several_curves_says_which(recording):
    flowers, kinds = load_iris(return_X_y=True)
    classifier = LogisticRegression(max_iter=5000).fit(flowers, kinds)
    proba = classifier.predict_proba(flowers)
    one = metrics.roc_auc_score(kinds, proba, multi_class="ovo", average="weighted")
    rest = metrics.roc_auc_score(kinds, proba, multi_class="ovr")
    assert evaluations(recording) == {"train/roc_auc_ovo_weighted": one, "train/roc_auc_ovr": rest}


def test_some_rows_of_a_prediction_are_not_the_whole_data(recording, model):
    predicted = model.predict(X_test)
    whole = accuracy_score(y_test, predicted)
    part = accuracy_score(y_test[:20], predicted[:20])
    assert evaluations(recording) == {"test/accuracy": whole, "eval/accuracy": part}


def test_a_name_that_is_nothing_but_its_prefix_is_none(recording, model):
    X_, y_ = X_test, y_test
    accuracy_score(y_, model.predict(X_))
    assert list(evaluations(recording)) == ["eval/accuracy"]


def test_several_labels_and_outputs_say_which(recording):
    flowers, kinds = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[kinds]
    classifier = LogisticRegression(max_iter=5000).fit(flowers, names)
    each = f1_score(names, classifier.predict(flowers), average=None)
    regression = LinearRegression().fit(flowers[:, :2], flowers[:, 2:])
    X_val, y_val = flowers[::2, :2], flowers[::2, 2:]
    raw = metrics.r2_score(y_val, regression.predict(X_val), multioutput="raw_values")
    weighted = metrics.r2_score(y_val, regression.predict(X_val), multioutput="variance_weighted")
    first, second = recording.runs()
    wanted = {"setosa": each[0], "versicolor": each[1], "virginica": each[2]}
    found = {key: value for key, value in first.metrics.items() if "/" in key}
    assert found == {f"train/f1_class_{name}": value for name, value in wanted.items()}
    found = {key: value for key, value in second.metrics.items() if "/" in key}
    assert found == {
        "val/r2_output_0": raw[0],
        "val/r2_output_1": raw[1],
        "val/r2_variance_weighted": weighted,
    }


def test_swapped_arguments_are_still_an_evaluation(recording, model):
    value = accuracy_score(model.predict(X_test), y_test)
    assert evaluations(recording) == {"test/accuracy": value}


def test_agreement_of_two_raters_is_one(recording, model):
    kappa = metrics.cohen_kappa_score(y_test, model.predict(X_test))
    assert evaluations(recording) == {"test/cohen_kappa": kappa}


@pytest.mark.edge_case("EC-S7")
def test_a_clustering_is_judged_by_its_data(recording):
    from sklearn.cluster import KMeans

    flowers, kinds = load_iris(return_X_y=True)
    clustering = KMeans(3, n_init=1, random_state=0)
    labels = clustering.fit_predict(flowers)
    parts = metrics.homogeneity_completeness_v_measure(kinds, labels)
    values = {
        "train/silhouette": metrics.silhouette_score(flowers, labels),
        "train/davies_bouldin": metrics.davies_bouldin_score(flowers, labels),
        "train/adjusted_rand": metrics.adjusted_rand_score(kinds, labels),
        **dict(
            zip(("train/homogeneity", "train/completeness", "train/v_measure"), parts, strict=True)
        ),
    }
    assert evaluations(recording) == values


def test_labels_that_the_model_keeps_are_its_own(recording):
    from sklearn.cluster import KMeans

    flowers, _ = load_iris(return_X_y=True)
    clustering = KMeans(3, n_init=1, random_state=0).fit(flowers)
    value = metrics.silhouette_score(flowers, clustering.labels_)
    assert evaluations(recording) == {"train/silhouette": value}


def table(recording, name):
    return autolog.load_table(recording.run().run_id, name).columns


@pytest.mark.edge_case("EC-S6")
def test_a_confusion_matrix_that_was_computed_is_kept_with_its_classes(recording):
    names = np.array(["bad", "good"])[y_train]
    classifier = LogisticRegression(max_iter=5000).fit(X_train, names)
    truth = np.array(["bad", "good"])[y_test]
    matrix = metrics.confusion_matrix(truth, classifier.predict(X_test))
    assert table(recording, "test/confusion_matrix") == {
        "true": ["bad", "good"],
        "predicted bad": matrix[:, 0].tolist(),
        "predicted good": matrix[:, 1].tolist(),
    }


def test_a_confusion_matrix_of_many_classes_lists_its_cells(recording):
    from sklearn.neighbors import KNeighborsClassifier

    labels = np.arange(60).repeat(2)
    data = labels[:, None].astype(float)
    neighbors = KNeighborsClassifier(1).fit(data, labels)
    metrics.confusion_matrix(labels, neighbors.predict(data))
    kept = table(recording, "train/confusion_matrix")
    assert kept == {"true": list(range(60)), "predicted": list(range(60)), "count": [2] * 60}


def test_the_curves_that_were_computed_are_kept_and_the_areas_below_them(recording, model):
    scores = model.predict_proba(X_test)[:, 1]
    fpr, tpr, thresholds = metrics.roc_curve(y_test, scores)
    precision, recall, _ = metrics.precision_recall_curve(y_test, scores)
    areas = {"test/roc_auc": metrics.auc(fpr, tpr), "test/pr_auc": metrics.auc(recall, precision)}
    assert evaluations(recording) == areas
    assert table(recording, "test/roc_curve") == {
        "fpr": fpr.tolist(),
        "tpr": tpr.tolist(),
        "threshold": thresholds.tolist(),
    }
    kept = table(recording, "test/precision_recall_curve")
    assert kept["precision"] == precision.tolist()
    assert kept["threshold"][-1] is None


def test_a_very_long_curve_is_thinned_and_says_so(recording, model, monkeypatch):
    from autolog_sklearn import curves

    monkeypatch.setattr(curves, "ROWS", 20)
    scores = model.predict_proba(X_test)[:, 1]
    fpr, tpr, _ = metrics.roc_curve(y_test, scores, drop_intermediate=False)
    assert len(fpr) > 100
    kept = table(recording, "test/roc_curve")
    assert len(kept["fpr"]) <= 21
    assert (kept["fpr"][0], kept["fpr"][-1]) == (0.0, 1.0)
    assert set(kept["tpr"]) <= set(tpr.tolist())
    assert [notice["key"] for notice in recording.events("notice")] == ["thinned_curve"]


def test_a_report_keeps_its_rows(recording, model):
    report = metrics.classification_report(
        y_test, model.predict(X_test), target_names=["malignant", "benign"], output_dict=True
    )
    kept = table(recording, "test/classification_report")
    assert kept["class"] == ["malignant", "benign"]
    assert kept["f1"] == [report["malignant"]["f1-score"], report["benign"]["f1-score"]]
    assert kept["support"] == [report["malignant"]["support"], report["benign"]["support"]]


def test_a_calibration_curve_is_kept(recording, model):
    from sklearn.calibration import calibration_curve

    true, predicted = calibration_curve(y_test, model.predict_proba(X_test)[:, 1])
    kept = table(recording, "test/calibration_curve")
    assert kept == {"prob_true": true.tolist(), "prob_pred": predicted.tolist()}


def test_a_permutation_importance_is_kept_with_the_features(recording):
    import pandas as pd
    from sklearn.inspection import permutation_importance

    frame = pd.DataFrame(X_train[:, :3], columns=["radius", "texture", "perimeter"])
    classifier = LogisticRegression(max_iter=5000).fit(frame, y_train)
    found = permutation_importance(classifier, frame, y_train, n_repeats=2, random_state=0)
    kept = table(recording, "train/permutation_importance")
    assert kept["feature"] == ["radius", "texture", "perimeter"]
    assert kept["importance_mean"] == found["importances_mean"].tolist()


@pytest.mark.edge_case("EC-S6", "EC-D13")
def test_a_picture_keeps_what_it_shows(recording, model):
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    shown = metrics.ConfusionMatrixDisplay.from_estimator(model, X_test, y_test)
    curve = metrics.RocCurveDisplay.from_predictions(y_test, model.predict_proba(X_test)[:, 1])
    assert len(plt.get_fignums()) == 2
    plt.close("all")
    kept = table(recording, "test/confusion_matrix")
    assert kept["predicted 0"] == shown.confusion_matrix[:, 0].tolist()
    assert table(recording, "test/roc_curve")["fpr"] == curve.fpr.tolist()


def test_matrix_and_curves_are_computed_where_they_are_asked_for(recording, model):
    autolog.autolog(sklearn={"curves": True})
    labels, scores = model.predict(X_test), model.predict_proba(X_test)[:, 1]
    accuracy_score(y_test, labels)
    f1_score(y_test, labels)
    metrics.roc_auc_score(y_test, scores)
    with autolog.suspend():
        matrix = metrics.confusion_matrix(y_test, labels)
        fpr, _, _ = metrics.roc_curve(y_test, scores)
    assert table(recording, "test/confusion_matrix")["predicted 1"] == matrix[:, 1].tolist()
    assert table(recording, "test/roc_curve")["fpr"] == fpr.tolist()
    assert "precision" in table(recording, "test/precision_recall_curve")
    names = [told["name"] for told in recording.events("table")]
    assert names.count("test/confusion_matrix") == 1


def test_without_asking_nothing_is_computed(recording, model):
    accuracy_score(y_test, model.predict(X_test))
    names = [told["name"] for told in recording.events("table")]
    assert names == ["coefficients"]
