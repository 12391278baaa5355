"""One small fitted model of every estimator that scikit-learn has."""

from __future__ import annotations

import copy
import inspect
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.discovery import all_estimators

ROWS = np.abs(np.random.default_rng(0).normal(size=(60, 4))) + 0.1
CLASSES = np.arange(60) % 3
METHODS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")

_MODELS = [("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))]
_REGRESSIONS = [("a", Ridge()), ("b", DecisionTreeRegressor(random_state=0))]
_ARGUMENTS = {
    "ClassifierChain": {"estimator": LogisticRegression()},
    "ColumnTransformer": {"transformers": [("a", StandardScaler(), [0, 1])]},
    "FeatureUnion": {"transformer_list": [("a", StandardScaler())]},
    "FixedThresholdClassifier": {"estimator": LogisticRegression()},
    "FrozenEstimator": {"estimator": LogisticRegression().fit(ROWS, CLASSES)},
    "GridSearchCV": {"estimator": Ridge(), "param_grid": {"alpha": [0.1, 1.0]}, "cv": 2},
    "HalvingGridSearchCV": {"estimator": Ridge(), "param_grid": {"alpha": [0.1, 1.0]}, "cv": 2},
    "HalvingRandomSearchCV": {
        "estimator": Ridge(),
        "param_distributions": {"alpha": [0.1, 1.0]},
        "cv": 2,
    },
    "MultiOutputClassifier": {"estimator": LogisticRegression()},
    "MultiOutputRegressor": {"estimator": Ridge()},
    "OneVsOneClassifier": {"estimator": LogisticRegression()},
    "OneVsRestClassifier": {"estimator": LogisticRegression()},
    "OutputCodeClassifier": {"estimator": LogisticRegression()},
    "Pipeline": {"steps": [("a", StandardScaler()), ("b", LogisticRegression())]},
    "RFE": {"estimator": LogisticRegression()},
    "RFECV": {"estimator": LogisticRegression(), "cv": 2},
    "RandomizedSearchCV": {
        "estimator": Ridge(),
        "param_distributions": {"alpha": [0.1, 1.0]},
        "n_iter": 2,
        "cv": 2,
    },
    "RegressorChain": {"estimator": Ridge()},
    "SelectFromModel": {"estimator": LogisticRegression()},
    "SelfTrainingClassifier": {"estimator": LogisticRegression()},
    "SequentialFeatureSelector": {"estimator": LogisticRegression(), "cv": 2},
    "SparseCoder": {"dictionary": np.eye(4)},
    "StackingClassifier": {"estimators": _MODELS, "cv": 2},
    "StackingRegressor": {"estimators": _REGRESSIONS, "cv": 2},
    "TunedThresholdClassifierCV": {"estimator": LogisticRegression(), "cv": 2},
    "VotingClassifier": {"estimators": _MODELS},
    "VotingRegressor": {"estimators": _REGRESSIONS},
}
_SPECIAL = {
    "CCA": {"n_components": 1},
    "OrthogonalMatchingPursuitCV": {"max_iter": 2},
    "PatchExtractor": {"patch_size": (2, 2)},
    "PLSCanonical": {"n_components": 1},
    "PLSSVD": {"n_components": 1},
    "SpectralBiclustering": {"n_components": 3},
    "TSNE": {"max_iter": 250, "perplexity": 5},
}
_SIZES = {"n_estimators": 3, "max_iter": 20, "n_components": 2, "n_init": 1, "cv": 2}
_TEXTS = ["a plain text", "another text", "one more"] * 20


def fitted(name):
    """Fit one estimator; return it and the data that it can be asked about."""
    cls = dict(all_estimators())[name]
    arguments = dict(_ARGUMENTS.get(name, {}))
    taken = inspect.signature(cls).parameters
    for key, value in _SIZES.items():
        if key in taken and key not in arguments and "Search" not in name:
            arguments[key] = value
    if "random_state" in taken:
        arguments["random_state"] = 0
    arguments.update(_SPECIAL.get(name, {}))
    data, target = _data(name)
    estimator = cls(**arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what tiny data makes of iterations is not the subject
        if target is None:
            estimator.fit(data)
        else:
            estimator.fit(data, target)
    return estimator, copy.deepcopy(data)  # some compute otherwise for the very array of the fit


def _data(name):
    """Return what an estimator can be fitted on; None for a target that it does not take."""
    binary = CLASSES % 2
    if name in ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"):
        return _TEXTS, None
    if name in ("DictVectorizer", "FeatureHasher"):
        return [{"a": 1, "b": 2}, {"a": 2}] * 30, None
    if name == "MultiLabelBinarizer":
        return [[1, 2], [3]] * 30, None
    if name in ("LabelBinarizer", "LabelEncoder"):
        return CLASSES, None
    if name == "PatchExtractor":
        return np.arange(108.0).reshape(3, 6, 6), None
    if name == "KernelCenterer":
        return ROWS @ ROWS.T, None
    if name == "IsotonicRegression":
        return ROWS[:, 0], ROWS[:, 1]
    if name == "GammaRegressor":
        return ROWS, CLASSES + 1.0
    if name in ("SelfTrainingClassifier", "LabelPropagation", "LabelSpreading"):
        return ROWS, np.where(np.arange(60) % 5 == 0, -1, CLASSES)
    if name in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"):
        return ROWS, binary
    if name.startswith("MultiOutput") or name in ("ClassifierChain", "RegressorChain"):
        return ROWS, np.stack([binary, 1 - binary], axis=1)
    return ROWS, ROWS[:, :2] if name.startswith("MultiTask") else CLASSES


def answers(model, data):
    """Return what a model computes, as bytes by method."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for method in METHODS:
            if not hasattr(model, method):
                continue
            result = getattr(model, method)(data)
            parts = result if isinstance(result, list) else [result]
            parts = [part.toarray() if hasattr(part, "toarray") else part for part in parts]
            found[method] = [np.asarray(part).tobytes() for part in parts]
    return found
