"""The rows of the matrix: one environment each, what is installed into it, and what runs there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from autolog.compat.matrix import Framework, Matrix, Tested

__all__ = ["Row", "Tier", "rows"]

Tier = Literal["commit", "full"]


@dataclass(frozen=True, slots=True)
class Row:
    """One environment of the matrix.

    Args:
        id: `sklearn-1.9.1-py3.13`, with the row's label behind it if it has one; the name of an
            environment that belongs to no single framework.
        framework: its key in the matrix, or None.
        python: `3.11`.
        tier: the smallest tier it belongs to; the full one is all rows.
        requirements: what is installed beside autolog and what its tests need.
        env: variables that the tests are started with.
        tests: patterns of files below the root.
        quirks: ids of the framework's quirks, which the tests prove.
        digest: over all that the result of the row depends on in the file.
    """

    id: str
    framework: str | None
    python: str
    tier: Tier
    requirements: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]
    quirks: tuple[str, ...]
    digest: str


def rows(matrix: Matrix, tier: Tier = "full", framework: str | None = None) -> list[Row]:
    """List the rows of a tier, in the order of the file; of one framework, or of all.

    The environments of no single framework count as a framework of their own name.
    """
    found = [*_of_frameworks(matrix), *_of_environments(matrix)]
    found = [row for row in found if tier == "full" or row.tier == "commit"]
    if framework is None:
        return found
    return [row for row in found if framework in (row.framework, row.id)]


def _of_frameworks(matrix: Matrix) -> Iterator[Row]:
    for name, one in matrix.frameworks.items():
        quirks = [[quirk.id, quirk.when, quirk.guard, quirk.fails_with] for quirk in one.quirks]
        for tested in one.tested:
            yield _row(
                _id(name, tested),
                framework=name,
                python=tested.python,
                tier=tested.tier,
                requirements=_requirements(one, tested),
                env=tested.env,
                tests=(f"tests/matrix/test_{name}_*.py",),
                quirks=quirks,
            )


def _of_environments(matrix: Matrix) -> Iterator[Row]:
    for name, one in matrix.environments.items():
        yield _row(
            name,
            framework=None,
            python=one.python,
            tier=one.tier,
            requirements=one.with_,
            env=one.env,
            tests=one.tests,
            quirks=[],
        )


def _row(identifier: str, *, env: dict[str, str], quirks: list[list[str]], **rest: Any) -> Row:
    about = [rest["python"], rest["requirements"], env, rest["tests"], quirks]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    ids = tuple(quirk[0] for quirk in quirks)
    return Row(id=identifier, env=tuple(env.items()), quirks=ids, digest=digest, **rest)


def _id(framework: str, tested: Tested) -> str:
    label = f"-{tested.label}" if tested.label else ""
    return f"{framework}-{tested.version}-py{tested.python}{label}"


def _requirements(one: Framework, tested: Tested) -> tuple[str, ...]:
    distribution = tested.distribution or one.distributions[0]
    return (f"{distribution}=={tested.version}", *tested.with_)
