"""scikit-learn for autolog: what is watched, declared without importing scikit-learn."""

from __future__ import annotations

from autolog.integration import API, Attach, Format, Integration, Patch

__all__ = ["INTEGRATION"]

_VALIDATION = "sklearn.model_selection._validation"
_PARTS = (
    (_VALIDATION, "_fit_and_score"),
    (_VALIDATION, "_fit_and_predict"),
    (_VALIDATION, "_incremental_fit_estimator"),
    (_VALIDATION, "_permutation_test_score"),
    ("sklearn.feature_selection._rfe", "_rfe_single_fit"),
    ("sklearn.model_selection._classification_threshold", "_fit_and_score_over_thresholds"),
)
"""What fits a fold; the module of the last one is there since scikit-learn 1.5."""

INTEGRATION = Integration(
    api=API,
    name="sklearn",
    distributions=("scikit-learn",),
    modules=("sklearn",),
    sites=(
        Attach(module="sklearn.base", attach="autolog_sklearn.estimators:attach"),
        Attach(module="sklearn.metrics", attach="autolog_sklearn.evaluations:attach"),
        Attach(
            module="sklearn.calibration", attach="autolog_sklearn.evaluations:attach_calibration"
        ),
        Attach(
            module="sklearn.inspection._permutation_importance",
            attach="autolog_sklearn.evaluations:attach_inspection",
        ),
        Attach(module=_VALIDATION, attach="autolog_sklearn.validation:attach"),
    ),
    bridges=(
        Attach(module="sklearn.base", attach="autolog_sklearn.containers:attach"),
        Attach(module=_VALIDATION, attach="autolog_sklearn.containers:attach_validation"),
        Attach(
            module="sklearn.model_selection._search",
            attach="autolog_sklearn.containers:attach_searches",
        ),
        *(Patch(module=module, target=name, hook=None, role="part") for module, name in _PARTS),
        Attach(
            module="joblib.parallel",
            attach="autolog_sklearn.joblib_bridge:attach",
            requires_guard="joblib_bridge",
        ),
    ),
    formats=(
        Format(
            name="skops",
            save="autolog_sklearn.formats:save_skops",
            load="autolog_sklearn.formats:load_skops",
            safe=True,
            unknown="autolog_sklearn.formats:unknown_to_skops",
        ),
    ),
    options="autolog_sklearn.options:Options",
    aliases=("scikit-learn", "scikit_learn"),
    example="autolog_sklearn.example:EXAMPLE",
)
