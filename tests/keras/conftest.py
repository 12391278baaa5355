"""The package under test, and what TensorFlow and JAX themselves warn of.

`AUTOLOG_TEST_KERAS` names the package (`keras` or `tf_keras`), `KERAS_BACKEND` the backend.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import autolog

pytest.register_assert_rewrite("tests.keras.twice")

NAMESPACE = os.environ.get("AUTOLOG_TEST_KERAS", "keras")
BACKEND = "tensorflow" if NAMESPACE == "tf_keras" else os.environ.get("KERAS_BACKEND", "tensorflow")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_OWN = (
    "ignore:.*np.object.*:FutureWarning",
    "ignore::DeprecationWarning:tensorflow.*",
    "ignore::DeprecationWarning:tf_keras.*",
    "ignore::DeprecationWarning:keras.*",
    "ignore::DeprecationWarning:jax.*",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for one in _OWN:
                item.add_marker(pytest.mark.filterwarnings(one))


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras 3 on one of its backends, or tf_keras."""
    return import_module(NAMESPACE)


@pytest.fixture(scope="session")
def backend() -> str:
    """Name of the backend that is under test."""
    return BACKEND


@pytest.fixture
def on(recording: Any, keras: Any) -> Any:
    """Autologging of Keras switched on, with a store of its own."""
    autolog.autolog("keras")
    return recording
