"""`autolog store`, on stores that real programs have written."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Invoke
from tests.cli.recording import strict_json


def test_it_says_how_large_each_part_is(recorded: Path, invoke: Invoke) -> None:
    found = strict_json(invoke("store", "--json", store=recorded).stdout)
    assert found["runs"] == {"active": 5}
    assert found["database"]["bytes"] > 0
    assert found["artifacts"]["bytes"] > 0
    assert found["journals"] == {"folder": str(recorded / "journal"), "files": 0, "bytes": 0}
    lines = invoke("store", store=recorded).stdout.splitlines()
    assert {"journals     0 B in 0 files", "runs         5 active"} <= set(lines)


def test_an_embedded_store_has_the_newest_schema_already(recorded: Path, invoke: Invoke) -> None:
    said = strict_json(invoke("store", "upgrade", "--json", store=recorded).stdout)
    assert said["before"] == said["after"]
