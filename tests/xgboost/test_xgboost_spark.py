"""What is said of `xgboost.spark`, as far as that can be seen without Spark.

PySpark takes hundreds of megabytes to build, so no test starts it: tested are the notice, and that
the site waits without harm where PySpark is missing.
"""

from __future__ import annotations

import importlib

import pytest
import xgboost

import autolog
from autolog.capture.options import Options
from autolog.capture.port import Port
from autolog.patching import Engine
from autolog_xgboost import INTEGRATION, on_spark
from tests.xgboost.tables import PARAMS, matrices


def test_without_spark_the_site_waits_and_trainings_are_recorded(recording):
    autolog.autolog("xgboost")
    with pytest.raises(ImportError):
        importlib.import_module("xgboost.spark")
    train, _ = matrices()
    xgboost.train(PARAMS, train, 1)
    assert recording.run().status == "FINISHED"


def test_with_spark_a_notice_says_what_is_not_recorded(recording):
    port = Port(
        INTEGRATION,
        Engine(strict=True),
        own_options=None,
        options=Options,
        guards=frozenset,
        bridging=False,
    )
    detach = on_spark.attach(port)
    detach()
    (told,) = [one for one in autolog.status().notices if one.key == "xgboost_spark"]
    assert "not recorded" in told.text
