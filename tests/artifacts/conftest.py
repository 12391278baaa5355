from __future__ import annotations

from pathlib import Path

import pytest

from autolog.artifacts.repository import Repository
from autolog.ids import new_id


@pytest.fixture(params=["folder", "memory"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    """A repository in a folder, and one in an object store without renames."""
    if request.param == "folder":
        return Repository(tmp_path / "artifacts")
    return Repository(f"memory://{new_id()}/artifacts")


@pytest.fixture
def folder(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "artifacts")
