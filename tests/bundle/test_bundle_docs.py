from __future__ import annotations

import re
from pathlib import Path

from autolog.bundle.layout import TABLES

PAGE = Path(__file__).parents[2] / "docs" / "bundle.md"


def test_the_page_lists_every_table_with_its_columns() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|$", PAGE.read_text(), re.MULTILINE))
    assert {name: columns.split() for name, columns in rows.items()} == {
        name: list(columns) for name, columns in TABLES.items()
    }
