"""Says what is not recorded of `xgboost.spark`.

Its estimators train inside Spark's executors, where there is no autolog, and the history of the
rounds does not come back to the driver.
"""

from __future__ import annotations

from autolog.integration import Capture, Detach

__all__ = ["attach"]


def attach(capture: Capture) -> Detach:
    """Tell the user once."""
    capture.notice(
        "xgboost_spark",
        "trainings of xgboost.spark are not recorded: their rounds run inside Spark's executors."
        " with autolog.start_run(): and log_params(estimator.extractParamMap()) record the rest",
    )
    return lambda: None
