"""`Capture.strategy`: which code path the matrix names for the installed version."""

from __future__ import annotations

import pytest

from autolog.capture.options import Options
from autolog.capture.port import Port
from autolog.errors import IntegrationError
from autolog.patching import Engine
from autolog_sklearn import INTEGRATION


def port(strategies: dict[str, str]) -> Port:
    return Port(
        INTEGRATION,
        Engine(strict=True),
        own_options=None,
        options=Options,
        guards=frozenset,
        bridging=False,
        strategies=lambda: strategies,
    )


def test_the_code_path_of_the_version_is_given() -> None:
    assert port({"loop": "callbacks", "data": "frames"}).strategy("loop") == "callbacks"


def test_a_name_that_the_matrix_has_not_is_an_error_that_names_those_it_has() -> None:
    with pytest.raises(IntegrationError, match=r"sklearn .* 'lop', .* \(it names: data, loop\)"):
        port({"loop": "callbacks", "data": "frames"}).strategy("lop")
    with pytest.raises(IntegrationError, match="no strategy"):
        port({}).strategy("loop")
