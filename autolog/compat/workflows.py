"""Writes the workflows of GitHub Actions that run the rows of the matrix.

`commit.yml` runs on every push what a maintainer waits for, `nightly.yml` every row, and
`outdated.yml` asks once a week for releases that nobody looked at. A job is one row, and a row
fails alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from autolog.compat.matrix import Matrix
from autolog.compat.rows import Tier, rows

__all__ = ["FOLDER", "generated"]

FOLDER: Final = ".github/workflows"

_ACTIONS: Final = {
    "@checkout": "actions/checkout@v5",
    "@setup-uv": "astral-sh/setup-uv@v7",
    "@upload": "actions/upload-artifact@v5",
}

_HEAD = """\
# Generated from compat_matrix.yaml by `python -m autolog.compat compile`; do not edit.
name: {name}
"on":
{on}
permissions:
  contents: read
concurrency:
  group: ${{ github.workflow }}-${{ github.ref }}
  cancel-in-progress: {cancel}
env:
  # Machines of GitHub have no GPU: take the builds of torch for the CPU alone.
  UV_TORCH_BACKEND: cpu
  PIP_EXTRA_INDEX_URL: https://download.pytorch.org/whl/cpu
jobs:
"""

_PYTHON = """\
      - name: A Python to run the matrix with
        run: |
          uv venv --python 3.11
          uv pip install --editable . {needs}
"""

_ROWS = """\
  row:
    name: ${{ matrix.row }}
    runs-on: ubuntu-latest
    timeout-minutes: 45
    strategy:
      fail-fast: false
      matrix:
        row:
{rows}
    steps:
      - uses: @checkout
      - uses: @setup-uv
        with:
          enable-cache: true
          cache-suffix: ${{ matrix.row }}
{python}      - name: Run the row
        run: .venv/bin/python -m autolog.compat matrix --row "$ROW"
        env:
          ROW: ${{ matrix.row }}
      - uses: @upload
        if: ${{ !cancelled() }}
        with:
          name: ${{ matrix.row }}
          path: |
            tests/matrix/results/${{ matrix.row }}.json
            .matrix/logs/${{ matrix.row }}*.log
          # The logs lie in a hidden folder.
          include-hidden-files: true
          if-no-files-found: error
"""

_TEST = """\
  test:
    runs-on: ubuntu-latest
    timeout-minutes: 90
    steps:
      - uses: @checkout
      - uses: @setup-uv
        with:
          enable-cache: true
      - name: A Python for the tests
        run: |
          uv venv --python 3.11 "$RUNNER_TEMP/python"
          echo "$RUNNER_TEMP/python/bin" >> "$GITHUB_PATH"
      - run: .ci/run
        env:
          MATRIX_ROWS: elsewhere
"""

_OUTDATED = """\
  outdated:
    runs-on: ubuntu-latest
    timeout-minutes: 15
    steps:
      - uses: @checkout
      - uses: @setup-uv
{python}      - name: Compare with the package index
        run: .venv/bin/autolog compat outdated
"""

_ON_COMMIT = "  push:\n  pull_request:"
_ON_SCHEDULE = '  schedule:\n    - cron: "{cron}"\n  workflow_dispatch:'


def generated(root: Path, matrix: Matrix) -> dict[Path, str]:
    """Return the text that each workflow should have, by its path."""
    nightly = _ON_SCHEDULE.replace("{cron}", "23 2 * * *")
    weekly = _ON_SCHEDULE.replace("{cron}", "41 5 * * 1")
    outdated = _OUTDATED.replace("{python}", _PYTHON.replace("{needs}", "pypi-simple"))
    texts = {
        "commit": _head("commit", _ON_COMMIT, cancel=True) + _TEST + _rows(matrix, "commit"),
        "nightly": _head("nightly", nightly, cancel=False) + _rows(matrix, "full"),
        "outdated": _head("outdated", weekly, cancel=False) + outdated,
    }
    return {root / FOLDER / f"{name}.yml": _pinned(text) for name, text in texts.items()}


def _head(name: str, on: str, *, cancel: bool) -> str:
    head = _HEAD.replace("{name}", name).replace("{on}", on)
    return head.replace("{cancel}", str(cancel).lower())


def _rows(matrix: Matrix, tier: Tier) -> str:
    # Quoted: a row's id may be a word that YAML reads as something else.
    named = "\n".join(f'          - "{row.id}"' for row in rows(matrix, tier))
    python = _PYTHON.replace("{needs}", "PyYAML")
    return _ROWS.replace("{rows}", named).replace("{python}", python)


def _pinned(text: str) -> str:
    for word, action in _ACTIONS.items():
        text = text.replace(word, action)
    return text
