"""scikit-learn for autolog: what is watched, declared without importing scikit-learn."""

from __future__ import annotations

from autolog.integration import API, Attach, Format, Integration

__all__ = ["INTEGRATION"]

INTEGRATION = Integration(
    api=API,
    name="sklearn",
    distributions=("scikit-learn",),
    modules=("sklearn",),
    sites=(
        Attach(module="sklearn.base", attach="autolog_sklearn.estimators:attach"),
        Attach(module="sklearn.metrics", attach="autolog_sklearn.evaluations:attach"),
        Attach(
            module="sklearn.model_selection._validation",
            attach="autolog_sklearn.validation:attach",
        ),
    ),
    bridges=(
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
    aliases=("scikit-learn", "scikit_learn"),
    example="autolog_sklearn.example:EXAMPLE",
)
