"""Sessions around the compatibility matrix; what they do is in `python -m autolog.compat`.

nox -s matrix                                  every row of compat_matrix.yaml
nox -s matrix -- --tier commit                 the rows of the commit tier
nox -s matrix -- --framework torch --resume    any arguments of `python -m autolog.compat matrix`
nox -s check                                   matrix, guards, tests, results and project agree

The rows have environments of their own, made with uv, so the sessions need none: nox runs from the
one that autolog is installed in for development.
"""

from __future__ import annotations

import sys

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["matrix"]


@nox.session(venv_backend="none")
def matrix(session: nox.Session) -> None:
    """Run tests/matrix in the environment of each row."""
    session.run(sys.executable, "-m", "autolog.compat", "matrix", *session.posargs)


@nox.session(venv_backend="none")
def check(session: nox.Session) -> None:
    """Prove that the matrix agrees with the project."""
    session.run(sys.executable, "-m", "autolog.compat", "check")
