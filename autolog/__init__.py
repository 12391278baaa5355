"""One line, or none, records every training.

    from autolog import autolog
    autolog()                       # every supported framework that is, or will be, imported

or, without a line, `autolog run train.py` from the shell. Everything below can be reached as
`autolog.<name>` after either `import autolog` or `from autolog import autolog`.

Importing this package imports the standard library only; each name is loaded when it is used.
"""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False  # type checkers take it for true; importing `typing` would take 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from autolog.capture.activation import Activation, disable
    from autolog.capture.status import status
    from autolog.capture.suspension import suspend
    from autolog.errors import (
        AutologError,
        CompatError,
        IntegrationError,
        JournalError,
        ModelError,
        NewerStoreError,
        NotFoundError,
        QueryError,
        SettingsError,
        StoreError,
        UsageError,
    )
    from autolog.tracking.fluent import (
        active_run,
        end_run,
        last_run,
        log,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_input,
        log_metric,
        log_metrics,
        log_model,
        log_param,
        log_params,
        log_table,
        log_text,
        set_experiment,
        set_tag,
        set_tags,
        start_run,
    )
    from autolog.tracking.reading import (
        get_artifact,
        get_run,
        list_artifacts,
        load_model,
        load_table,
        metric_history,
        open_store,
        search_experiments,
        search_runs,
    )

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "AutologError",
    "CompatError",
    "IntegrationError",
    "JournalError",
    "ModelError",
    "NewerStoreError",
    "NotFoundError",
    "QueryError",
    "SettingsError",
    "StoreError",
    "UsageError",
    "__version__",
    "active_run",
    "autolog",
    "disable",
    "end_run",
    "get_artifact",
    "get_run",
    "last_run",
    "list_artifacts",
    "load_model",
    "load_table",
    "log",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_input",
    "log_metric",
    "log_metrics",
    "log_model",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "metric_history",
    "open_store",
    "search_experiments",
    "search_runs",
    "set_experiment",
    "set_tag",
    "set_tags",
    "start_run",
    "status",
    "suspend",
]

_ERRORS = (
    "AutologError CompatError IntegrationError JournalError ModelError NewerStoreError"
    " NotFoundError QueryError SettingsError StoreError UsageError"
)
_FLUENT = (
    "active_run end_run last_run log log_artifact log_artifacts log_dict log_figure log_input"
    " log_metric log_metrics log_model log_param log_params log_table log_text set_experiment"
    " set_tag set_tags start_run"
)
_READING = (
    "get_artifact get_run list_artifacts load_model load_table metric_history open_store"
    " search_experiments search_runs"
)

_HOMES = {
    **dict.fromkeys(_ERRORS.split(), "autolog.errors"),
    **dict.fromkeys(_FLUENT.split(), "autolog.tracking.fluent"),
    **dict.fromkeys(_READING.split(), "autolog.tracking.reading"),
    "Activation": "autolog.capture.activation",
    "disable": "autolog.capture.activation",
    "status": "autolog.capture.status",
    "suspend": "autolog.capture.suspension",
}


class Autolog:
    """The callable `autolog`, which also carries every public name of the package."""

    def __call__(
        self,
        *frameworks: str,
        exclude: Iterable[str] = (),
        log_models: str | bool = "auto",
        max_model_mb: float = 100,
        log_datasets: bool = True,
        store: str | None = None,
        experiment: str | None = None,
        tags: Mapping[str, Any] | None = None,
        silent: bool = False,
        strict: bool = False,
        **by_framework: Any,
    ) -> Activation:
        """Record every training of the supported frameworks from here on.

        Args:
            *frameworks: names (`"sklearn"`, `"scikit-learn"`, ...); none means all that are, or
                will be, imported.
            exclude: names of frameworks to leave out.
            log_models: `"auto"` stores fitted models within `max_model_mb`, and those that hold
                training rows only below 16 MB; `"always"`, `"never"`.
            max_model_mb: a larger model is not stored, and a notice says so.
            log_datasets: describe training data (shape, dtypes, columns, fingerprint; no values).
            store: a path or a store URI; default: `AUTOLOG_STORE`, else the nearest `.autolog`.
            experiment: default: `AUTOLOG_EXPERIMENT`, the project file, the script's name.
            tags: set on every run.
            silent: print neither of the two lines.
            strict: let errors of autolog's own hooks raise (for tests).
            **by_framework: options of one framework, `sklearn={...}`.

        Returns:
            A handle that is also a context manager: leaving it restores what was before.

        Raises:
            IntegrationError: a named framework is unknown or not installed.
            CompatError: a named framework has an unsupported version.
            UsageError: an option or a store scheme is unknown.
        """
        from autolog.capture.activation import activate

        return activate(
            *frameworks,
            exclude=exclude,
            log_models=log_models,
            max_model_mb=max_model_mb,
            log_datasets=log_datasets,
            store=store,
            experiment=experiment,
            tags=tags,
            silent=silent,
            strict=strict,
            **by_framework,
        )

    def __repr__(self) -> str:
        return "<autolog: call it to record trainings>"

    def __dir__(self) -> list[str]:
        return __all__

    if TYPE_CHECKING:
        active_run = staticmethod(active_run)
        disable = staticmethod(disable)
        end_run = staticmethod(end_run)
        get_artifact = staticmethod(get_artifact)
        get_run = staticmethod(get_run)
        list_artifacts = staticmethod(list_artifacts)
        last_run = staticmethod(last_run)
        load_model = staticmethod(load_model)
        load_table = staticmethod(load_table)
        log = staticmethod(log)
        log_artifact = staticmethod(log_artifact)
        log_artifacts = staticmethod(log_artifacts)
        log_dict = staticmethod(log_dict)
        log_figure = staticmethod(log_figure)
        log_input = staticmethod(log_input)
        log_metric = staticmethod(log_metric)
        log_metrics = staticmethod(log_metrics)
        log_model = staticmethod(log_model)
        log_param = staticmethod(log_param)
        log_params = staticmethod(log_params)
        log_table = staticmethod(log_table)
        log_text = staticmethod(log_text)
        metric_history = staticmethod(metric_history)
        open_store = staticmethod(open_store)
        search_experiments = staticmethod(search_experiments)
        search_runs = staticmethod(search_runs)
        set_experiment = staticmethod(set_experiment)
        set_tag = staticmethod(set_tag)
        set_tags = staticmethod(set_tags)
        start_run = staticmethod(start_run)
        status = staticmethod(status)
        suspend = staticmethod(suspend)
    else:

        def __getattr__(self, name: str) -> Any:
            return getattr(sys.modules[__name__], name)


autolog = Autolog()


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
