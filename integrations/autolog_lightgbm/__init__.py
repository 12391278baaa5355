"""LightGBM for autolog: what is watched, declared without importing LightGBM."""

from __future__ import annotations

from autolog.integration import API, Attach, Format, Integration

__all__ = ["INTEGRATION"]

INTEGRATION = Integration(
    api=API,
    name="lightgbm",
    distributions=("lightgbm",),
    modules=("lightgbm",),
    sites=(
        Attach(module="lightgbm.engine", attach="autolog_lightgbm.training:attach"),
        Attach(module="lightgbm.engine", attach="autolog_lightgbm.validation:attach"),
        Attach(module="lightgbm.sklearn", attach="autolog_lightgbm.estimators:attach"),
        Attach(module="lightgbm.dask", attach="autolog_lightgbm.cluster:attach"),
    ),
    formats=(
        Format(
            name="lightgbm-text",
            save="autolog_lightgbm.formats:save",
            load="autolog_lightgbm.formats:load",
            safe=True,
            native=True,
        ),
    ),
    options="autolog_lightgbm.options:Options",
    aliases=("lgb", "lgbm"),
    example="autolog_lightgbm.example:EXAMPLE",
)
