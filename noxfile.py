"""Runs tests/matrix in an environment for each tested row of compat_matrix.yaml.

nox -s matrix               every row
nox -s matrix -t commit     the rows of one tier
nox -s "matrix(sklearn-1.9.1-py3.13)"

Environments are made with uv and kept in .nox/ (`-R` reuses them without installing). A missing
interpreter or a failed install fails the row, it never skips it.
"""

from __future__ import annotations

from pathlib import Path

import nox
import yaml

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["matrix"]

MATRIX = yaml.safe_load(Path(__file__).with_name("compat_matrix.yaml").read_text())


def rows() -> list[nox.param]:
    """List the tested rows, each with its Python, its pins and its tier as a tag."""
    found = []
    for name, framework in MATRIX["frameworks"].items():
        for row in framework["tested"]:
            distribution = row.get("distribution", framework["distributions"][0])
            pins = (f"{distribution}=={row['version']}", *row.get("with", ()))
            found.append(
                nox.param(
                    row["python"],
                    name,
                    pins,
                    id=f"{name}-{row['version']}-py{row['python']}",
                    tags=[row["tier"], name],
                )
            )
    return found


@nox.session
@nox.parametrize(["python", "extra", "pins"], rows())
def matrix(session: nox.Session, extra: str, pins: tuple[str, ...]) -> None:
    """Run the tests of the matrix against one version of one framework."""
    session.install("-e", f".[{extra}]", "hypothesis>=6.100", "pytest>=8.2", *pins)
    session.run("python", "-m", "pytest", "tests/matrix", *session.posargs)
