"""Settings: precedence, origins, and mistakes by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from autolog import settings
from autolog.errors import SettingsError


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("AUTOLOG_EXPERIMENT", raising=False)
    before = settings.assigned()
    settings._files.clear()
    yield
    settings.reassign(before)
    settings._files.clear()


def test_argument_beats_environment_beats_project_beats_user(tmp_path, monkeypatch):
    def found() -> tuple[str, str]:
        settings._files.clear()
        setting = settings.lookup("experiment")
        return setting.value, Path(setting.origin).name

    assert settings.lookup("experiment").origin == "default"
    (tmp_path / "config" / "autolog").mkdir(parents=True)
    (tmp_path / "config" / "autolog" / "config.toml").write_text('experiment = "user"')
    assert found() == ("user", "config.toml")
    (tmp_path / "pyproject.toml").write_text('[tool.autolog]\nexperiment = "project"')
    assert found() == ("project", "pyproject.toml")
    (tmp_path / "autolog.toml").write_text('experiment = "own file"')
    assert found() == ("own file", "autolog.toml")
    monkeypatch.setenv("AUTOLOG_EXPERIMENT", "variable")
    assert found() == ("variable", "AUTOLOG_EXPERIMENT")
    settings.assign("experiment", "argument")
    assert found() == ("argument", "argument")


def test_a_project_file_is_found_from_a_folder_below(tmp_path, monkeypatch):
    (tmp_path / "autolog.toml").write_text('experiment = "above"')
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert settings.value("experiment") == "above"


@pytest.mark.parametrize(
    ("name", "value"),
    [("finish_timeout", "soon"), ("strict", "maybe"), ("durability", "none"), ("tags", "x")],
)
def test_a_value_that_cannot_be_read_is_an_error_that_names_its_origin(monkeypatch, name, value):
    monkeypatch.setenv(f"AUTOLOG_{name.upper()}", value)
    with pytest.raises(SettingsError, match=f"AUTOLOG_{name.upper()} sets {name} to '{value}'"):
        settings.value(name)


def test_an_unknown_key_of_a_file_is_an_error_that_lists_the_known(tmp_path):
    (tmp_path / "autolog.toml").write_text('expriment = "typo"')
    with pytest.raises(SettingsError, match=r"expriment.*experiment"):
        settings.value("experiment")


def test_a_file_that_is_no_toml_is_an_error_that_names_it(tmp_path):
    (tmp_path / "autolog.toml").write_text("experiment = ")
    with pytest.raises(SettingsError, match=r"autolog\.toml is not valid TOML"):
        settings.value("experiment")


def test_the_guide_lists_every_setting():
    guide = (Path(__file__).parents[1] / "docs" / "guide.md").read_text()
    table = guide.partition("## Settings")[2]
    listed = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert listed == list(settings.KNOWN)
