"""XGBoost for autolog: what is watched, declared without importing XGBoost."""

from __future__ import annotations

from autolog.integration import API, Attach, Format, Integration

__all__ = ["INTEGRATION"]

INTEGRATION = Integration(
    api=API,
    name="xgboost",
    distributions=("xgboost", "xgboost-cpu"),
    modules=("xgboost",),
    sites=(
        Attach(module="xgboost.training", attach="autolog_xgboost.hooks:attach"),
        Attach(module="xgboost.core", attach="autolog_xgboost.predictions:attach_boosters"),
        Attach(module="xgboost.sklearn", attach="autolog_xgboost.estimators:attach"),
        Attach(module="xgboost.dask", attach="autolog_xgboost.on_dask:attach"),
        Attach(module="xgboost.spark", attach="autolog_xgboost.on_spark:attach"),
    ),
    formats=(
        Format(
            name="xgboost-ubj",
            save="autolog_xgboost.formats:save",
            load="autolog_xgboost.formats:load",
            safe=True,
            native=True,
        ),
    ),
    options="autolog_xgboost.options:Options",
    aliases=("xgb",),
    example="autolog_xgboost.example:EXAMPLE",
)
