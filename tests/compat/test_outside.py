"""What happens at run time outside of the supported range, with the installed scikit-learn."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import sklearn
import yaml

from autolog import autolog
from autolog.compat.view import matrix_data, resolve
from autolog.errors import CompatError, IntegrationError, SettingsError
from autolog.tracking import notices
from tests.cli.recording import python

REPOSITORY = Path(__file__).parents[2]

VERSION = sklearn.__version__


def override(
    folder: Path, supported: str, latest: str, on_unsupported: str = "warn", **more: Any
) -> Path:
    """Write a matrix for scikit-learn alone."""
    whole = yaml.safe_load((REPOSITORY / "compat_matrix.yaml").read_text())
    whole["frameworks"] = {
        "sklearn": whole["frameworks"]["sklearn"]
        | {
            "supported": supported,
            "on_unsupported": on_unsupported,
            "latest_known": latest,
            "tested": [{"version": latest, "python": "3.10", "tier": "full"}],
            "quirks": [],
            "co_pins": [],
            **more,
        }
    }
    whole["environments"] = {}
    path = folder / "matrix.yaml"
    path.write_text(yaml.safe_dump(whole))
    return path


@pytest.fixture
def matrix(recording, tmp_path, monkeypatch):
    """Put a matrix in force, in a process that is not strict: `matrix("<1.3", "1.2.2")`."""

    def put(*words: str, strict: str = "0", **more: Any) -> None:
        monkeypatch.setenv("AUTOLOG_COMPAT_MATRIX", str(override(tmp_path, *words, **more)))
        monkeypatch.setenv("AUTOLOG_STRICT", strict)

    return put


def fit() -> None:
    from sklearn.linear_model import LogisticRegression

    LogisticRegression().fit([[0.0], [1.0]], [0, 1])


def told(text: str) -> list[str]:
    return [one.text for one in notices.every() if one.key == "compat" and text in one.text]


def test_outside_the_range_it_is_on_with_one_line(matrix, recording, caplog, capsys):
    logging.getLogger("autolog")
    matrix(">=1.2,<1.2.5", "1.2.2")
    with autolog():
        fit()
    with autolog():
        fit()
    assert len(recording.runs()) == 2
    (line,) = told(">=1.2,<1.2.5")
    assert f"sklearn {VERSION} is outside the supported range" in line
    assert "exclude='sklearn'" in line
    assert [one.message for one in caplog.records if one.name == "autolog"] == [line]
    assert capsys.readouterr().out == ""


def test_a_matrix_may_leave_a_version_alone(matrix, recording):
    matrix(">=1.2,<1.2.6", "1.2.2", "skip")
    with autolog() as active:
        assert "sklearn" in active.frameworks
        fit()
        mine = [one for one in autolog.status().sites if one.integration == "sklearn"]
    assert recording.runs() == []
    assert {one.state for one in mine} <= {"skipped", "waiting"}
    skipped = [one.reason for one in mine if one.state == "skipped"]
    assert skipped
    assert all(reason and ">=1.2,<1.2.6" in reason for reason in skipped)
    assert "it is left alone" in told(">=1.2,<1.2.6")[0]


def test_a_version_newer_than_known_is_on_with_one_line(matrix, recording):
    matrix(">=1.2,<2", "1.2.4")
    for _ in range(2):
        with autolog():
            fit()
    assert len(recording.runs()) == 2
    assert told("newer than 1.2.4") == [
        f"sklearn {VERSION} is newer than 1.2.4, the newest that autolog has seen"
    ]


def test_a_framework_that_is_named_is_refused_with_the_line_to_install_one(matrix, recording):
    matrix(">=1.2,<1.2.7", "1.2.2")
    with pytest.raises(CompatError) as caught:
        autolog("sklearn")
    assert str(caught.value) == (
        f"sklearn {VERSION} is outside the supported range >=1.2,<1.2.7 (releases after 1.2.2"
        " were never tried). A version that is supported: pip install 'scikit-learn==1.2.2'"
    )
    assert not autolog.status().active


def test_an_older_version_is_refused_with_the_reason_of_the_range(matrix, recording):
    matrix(">=9", "9.0")
    because = matrix_data(override=False)["sklearn"]["because"]
    with pytest.raises(CompatError, match=re.escape(f">=9 ({because})")):
        autolog("sklearn")


def test_strict_refuses_what_is_imported_already(matrix, recording):
    matrix(">=1.2,<1.2.8", "1.2.2", strict="1")
    with pytest.raises(CompatError, match=r"pip install 'scikit-learn==1\.2\.2'"):
        autolog()
    assert not autolog.status().active


def test_strict_never_fails_an_import(tmp_path):
    program = (
        "from autolog import autolog\n"
        "autolog()\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "LogisticRegression().fit([[0.0], [1.0]], [0, 1])\n"
        "status = autolog.status()\n"
        "mine = [one for one in status.sites if one.integration == 'sklearn']\n"
        "print({one.state for one in mine} - {'waiting'})\n"
        "print([one.text for one in status.notices if one.key == 'compat'])\n"
    )
    matrix = override(tmp_path, ">=1.2,<1.3", "1.2.2")
    env = {"AUTOLOG_STRICT": "1", "AUTOLOG_COMPAT_MATRIX": str(matrix)}
    done = python("-c", program, store=tmp_path / "store", cwd=tmp_path, **env)
    assert done.returncode == 0, done.stderr
    states, said = done.stdout.splitlines()
    assert states == "{'skipped'}"
    assert said.count("strict: sklearn") == 1
    assert "pip install 'scikit-learn==1.2.2'" in said
    assert not (tmp_path / "store" / "journal").exists()


@pytest.mark.parametrize("broken", ["missing", "unreadable", "without PyYAML"])
def test_a_matrix_that_cannot_be_read_ends_no_training(
    broken, recording, tmp_path, monkeypatch, request
):
    path = tmp_path / f"{request.node.name}.yaml"
    if broken == "unreadable":
        path.write_text("frameworks: [")
    elif broken == "without PyYAML":
        path.write_text("schema: 1")
        monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.setenv("AUTOLOG_COMPAT_MATRIX", str(path))
    with pytest.raises(SettingsError, match="yaml"):
        autolog("sklearn")
    monkeypatch.setenv("AUTOLOG_STRICT", "0")
    with autolog():
        fit()
    assert recording.run().status == "FINISHED"
    (line,) = told(str(path))
    assert line.endswith("autolog's own matrix is used")


def test_what_to_install_is_the_distribution_that_is_there() -> None:
    class Old:
        __version__ = "0.9"
        __name__ = "xgboost"

    refusal = resolve("xgboost", Old()).refusal
    assert refusal is not None
    assert "pip install 'xgboost-cpu==" in refusal


def test_no_version_is_proposed_that_needs_more_than_pip_knows(matrix, recording, tmp_path) -> None:
    matrix(">=1.2,<1.2.9", "1.2.2", co_pins=[{"when": "<1.4", "needs": "numpy<2", "because": "x"}])
    with pytest.raises(CompatError, match=r"pip install 'scikit-learn>=1\.2,<1\.2\.9'"):
        autolog("sklearn")


def test_a_second_namespace_has_versions_of_its_own() -> None:
    class Old:
        __version__ = "2.15.1"
        __name__ = "tf_keras"

    refusal = resolve("keras", Old()).refusal
    assert refusal is not None
    assert refusal.endswith("pip install 'tf-keras>=2.16,<4'")


def test_what_is_switched_off_is_not_refused(matrix, monkeypatch) -> None:
    matrix("<1.3", "1.2.2")
    monkeypatch.setenv("AUTOLOG_DISABLED", "sklearn")
    with autolog("sklearn", "xgboost") as active:
        assert set(active.frameworks) == {"xgboost"}


def test_strict_refuses_a_matrix_that_cannot_be_read(recording, monkeypatch) -> None:
    monkeypatch.setenv("AUTOLOG_COMPAT_MATRIX", "/nowhere/matrix.yaml")
    monkeypatch.setenv("AUTOLOG_STRICT", "1")
    with pytest.raises(SettingsError, match="cannot be read"):
        autolog()


def test_a_third_partys_matrix_of_another_shape_ends_no_training(recording, monkeypatch) -> None:
    import types

    from autolog.capture import activation
    from autolog.discovery import by_name

    odd = types.ModuleType("odd_matrix")
    odd.DATA = {"sklearn": {"distributions": ("scikit-learn",), "supported": ">=1"}}
    monkeypatch.setitem(sys.modules, "odd_matrix", odd)
    known = by_name("sklearn")
    object.__setattr__(known, "compat", "odd_matrix:DATA")
    monkeypatch.setenv("AUTOLOG_STRICT", "0")
    try:
        autolog()
        fit()
        assert autolog.status().sites
        assert "its versions are not judged" in told("odd_matrix:DATA, cannot be used")[0]
        with pytest.raises(IntegrationError, match="cannot be used: KeyError"):
            autolog("sklearn")
    finally:
        activation.disable()
        object.__setattr__(known, "compat", None)
    assert len(recording.runs()) == 1


def test_a_matrix_without_a_strategy_costs_what_asks_for_it_alone(matrix, recording) -> None:
    matrix(">=1.2,<2", "1.9.9", strategies={})
    with autolog(sklearn={"train_metrics": True}):
        fit()
    (run,) = recording.runs()
    assert "fit_seconds" in run.metrics
    assert "train/accuracy" not in run.metrics
