"""The project's own files agree with each other: names, packages, entry points, commands."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGINS = sorted(path.parent.name for path in ROOT.glob("integrations/*/__init__.py"))


@pytest.mark.parametrize("name", ["autolog", "autolog.integration"])
def test_public_names_are_sorted_and_there(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    assert len(module.__all__) == len(set(module.__all__))
    assert [one for one in module.__all__ if not hasattr(module, one)] == []


def test_every_name_of_the_contract_is_public() -> None:
    tree = ast.parse((ROOT / "autolog/integration.py").read_text())
    defined = {node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    contract = importlib.import_module("autolog.integration")
    assert {name for name in defined if not name.startswith("_")} == set(contract.__all__)


def test_every_name_offered_to_type_checkers_is_public() -> None:
    tree = ast.parse((ROOT / "autolog/__init__.py").read_text())
    offered = {
        alias.name
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("autolog")
        for alias in node.names
    }
    public = importlib.import_module("autolog").__all__
    assert offered | {"autolog", "__version__"} == set(public)


def test_the_version_is_the_projects() -> None:
    assert importlib.import_module("autolog").__version__ == PROJECT["project"]["version"]


def test_the_wheel_holds_the_core_and_every_integration() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(packages) == ["autolog", *(f"integrations/{name}" for name in PLUGINS)]
    assert not (ROOT / "integrations/__init__.py").exists()


def test_every_integration_has_an_entry_point_that_names_it() -> None:
    points = PROJECT["project"]["entry-points"]["autolog.integrations"]
    assert sorted(point.partition(":")[0] for point in points.values()) == PLUGINS
    for name, point in points.items():
        module, _, attribute = point.partition(":")
        assert getattr(importlib.import_module(module), attribute).name == name


def test_every_integration_has_an_extra_of_its_name_that_all_includes() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for name in PROJECT["project"]["entry-points"]["autolog.integrations"]:
        assert name in extras
        assert any(re.search(rf"[\[,]{name}[\],]", line) for line in extras["all"])


def test_every_integration_is_typed_and_kept_from_the_core() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    kept = [one for one in contracts if one["name"].startswith("Integrations see")]
    assert sorted(kept[0]["source_modules"]) == PLUGINS
    for name in PLUGINS:
        assert (ROOT / "integrations" / name / "py.typed").exists()


def test_every_part_of_the_core_is_closed_to_integrations() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (closed,) = [one for one in contracts if one["name"].startswith("Integrations see")]
    parts = {path.parent.name for path in ROOT.glob("autolog/*/__init__.py")}
    parts |= {path.stem for path in ROOT.glob("autolog/*.py") if not path.stem.startswith("_")}
    parts -= {"integration"}
    assert sorted(closed["forbidden_modules"]) == sorted(f"autolog.{part}" for part in parts)


def test_the_test_command_of_ci_is_the_readmes() -> None:
    body = (ROOT / ".ci/run").read_text().split("test_command() {\n", 1)[1]
    command = body.partition("\n")[0].strip()
    assert command.startswith("python3 -m venv")
    assert command in (ROOT / "README.md").read_text()


def test_the_changelog_knows_this_version() -> None:
    assert f"## [{PROJECT['project']['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_page_of_the_documentation_is_in_its_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = re.findall(r": ([\w/-]+\.md)$", navigation, re.MULTILINE)
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")]
    assert sorted(listed) == sorted(pages)
