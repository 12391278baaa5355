"""Everything in `cases` again, on other backends: one is chosen for a process as a whole.

On PyTorch they are a row of the matrix of their own, `keras_on_torch`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("leg", ["jax", "tf_keras"])
def test_the_cases_hold_on_every_backend(leg: str) -> None:
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow" if leg == "tf_keras" else leg,
        "AUTOLOG_TEST_KERAS": "tf_keras" if leg == "tf_keras" else "keras",
    }
    session = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert session.returncode == 0, session.stdout[-6000:] + session.stderr[-2000:]
