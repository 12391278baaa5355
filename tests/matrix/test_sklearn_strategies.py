"""Code paths for some versions of scikit-learn: the one that is named works, the other does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autolog
from autolog.compat.view import resolve
from tests.matrix import logged

sklearn = pytest.importorskip("sklearn")

from sklearn.base import BaseEstimator  # noqa: E402

from autolog_sklearn.train_metrics import STRATEGIES  # noqa: E402

TAGS = hasattr(BaseEstimator, "__sklearn_tags__")


class BySign(BaseEstimator):
    """A clusterer that says so in the way of the installed version, and in no other."""

    if TAGS:

        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.estimator_type = "clusterer"
            return tags

    else:
        _estimator_type = "clusterer"

    def fit(self, X: Any, y: Any = None) -> Any:
        self.labels_ = (X[:, 0] > 0).astype(int)
        return self


def answer(strategy: str) -> str | None:
    try:
        return STRATEGIES[strategy](BySign())
    except AttributeError:  # what it asks is not there
        return None


def test_what_an_estimator_is_can_be_told_in_one_way_only(recording: Any) -> None:
    chosen = resolve("sklearn", sklearn).strategies["estimator_kind"]
    told = {name: answer(name) for name in STRATEGIES}
    assert told == {**dict.fromkeys(STRATEGIES), chosen: "clusterer"}
    autolog.autolog(sklearn={"train_metrics": True})
    BySign().fit(np.array([[-1.0], [-2.0], [1.0], [2.0]]))
    assert "train/silhouette" in recording.run().metrics
    logged.expect_sound("sklearn")
