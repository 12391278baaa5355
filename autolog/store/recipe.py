"""The recipe of a run: a digest over what it was made of, so that equal attempts are found.

It covers the source (commit, entry script, and in a changed work tree the loaded modules), the
parameters, the data, and the versions of the frameworks. It leaves out what differs between two
tries of the same thing: seeds, host, time, temporary folders, and the build of Python.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec

__all__ = ["Ingredients", "digest", "is_seed"]

_SEED: Final = re.compile(
    r"(?:^|[^a-z])(?:seeds?|seed_?\d+|seed_everything|random_?state|rng)$", re.IGNORECASE
)
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TEMPORARY: Final = re.compile(
    rf"(?:{re.escape(tempfile.gettempdir())}|/tmp|/var/tmp|/private/var/folders|/var/folders|/dev/shm)"
    r"(?:/|$)|[A-Za-z]:\\(?:[^\\]+\\)*Temp\\",
    re.IGNORECASE,
)


class Ingredients(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe is made of.

    `subject` is the class or function that was trained, `inputs` are pairs of role and digest,
    `modules` sha256 by path relative to the work tree. `dirty` is None while it is not known.
    """

    kind: str
    subject: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    entry: str | None = None
    modules: dict[str, str] = {}
    versions: dict[str, str] = {}
    params: dict[str, Any] = {}
    inputs: Iterable[tuple[str, str]] = ()


def digest(of: Ingredients) -> str:
    """Return the recipe, a sha256 as 64 hex digits."""
    clean = of.commit is not None and not of.dirty
    body = {
        "kind": of.kind,
        "subject": of.subject,
        "commit": of.commit,
        "entry": of.entry,
        "modules": {} if clean else of.modules,
        "versions": of.versions,
        "params": _stripped(of.params),
        "inputs": sorted(set(of.inputs)),
    }
    text = json.dumps(_canonical(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_seed(name: str) -> bool:
    """Whether a parameter is a seed by its name: `seed`, `model.random_state`, `fit__np_seed`."""
    return _SEED.search(_CAMEL.sub("_", name)) is not None


def _stripped(params: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out seeds, in nested parameters too, and where temporary files lie."""
    return {name: _plain(value) for name, value in params.items() if not is_seed(name)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _stripped(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return [_plain(one) for one in cast("list[Any]", value)]
    if isinstance(value, str) and _TEMPORARY.match(value):
        return "<temporary>"
    return value


def _canonical(value: Any) -> Any:
    """Write a number as the same text whatever its type: `1` and `1.0` train the same."""
    if isinstance(value, dict):
        return {name: _canonical(one) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(one) for one in cast("list[Any]", value)]
    if isinstance(value, float):
        return int(value) if value.is_integer() else repr(value)
    return value
