"""Every estimator of scikit-learn does with autolog what it does without, to the bit.

Two processes fit all of them, the one with autolog, the other without; see `leg.py` for what they
look at.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LEG = Path(__file__).with_name("leg.py")

ASPECTS = {
    "results": ("returns itself", "gives"),
    "random states": ("random state", "random state at the end"),
    "attributes": ("attributes", "attributes at the end", "referrers", "params", "repr"),
    "pickles": ("pickle", "pickle of the unfitted"),
    "warnings": ("warnings",),
    "errors": ("error",),
    "checks of scikit-learn": ("checks",),
}


@pytest.fixture(scope="module")
def legs(tmp_path_factory):
    """What both processes found."""
    folder = tmp_path_factory.mktemp("legs")
    names = ("plain", "autolog")
    env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
    env |= {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "AUTOLOG_STORE": str(folder / "store")}
    running = [
        subprocess.Popen(
            [sys.executable, str(LEG), str(folder / f"{name}.json"), name],
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    said = [process.communicate(timeout=600) for process in running]
    for process, (_, err) in zip(running, said, strict=True):
        assert process.returncode == 0, err
    answers = [json.loads((folder / f"{name}.json").read_text()) for name in names]
    return (*answers, said)


def leaves(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, found


@pytest.mark.edge_case("EC-D9", "EC-D10")
@pytest.mark.parametrize("aspect", ASPECTS)
def test_every_estimator_has_the_same(legs, aspect):
    plain, watched, _ = legs
    before, now = (
        {path: value for path, value in leaves(leg) if path[-1] in ASPECTS[aspect]}
        for leg in (plain, watched)
    )
    assert len(before) > 3
    changed = [(path, was, now.get(path)) for path, was in before.items() if now.get(path) != was]
    assert changed == []
    assert now.keys() == before.keys()


def test_every_aspect_is_compared(legs):
    plain, _, _ = legs
    compared = {name for names in ASPECTS.values() for name in names}
    assert {path[-1] for path, _ in leaves(plain)} == compared
    assert len(plain["estimators"]) > 150


def test_both_processes_print_the_same(legs):
    _, _, (plain, watched) = legs
    assert watched == plain


def test_no_hook_failed(legs):
    _, watched, _ = legs
    assert watched["faults"] == []
