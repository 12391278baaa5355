"""Reads `compat_matrix.yaml` by a strict schema; used in development and for an override.

Unknown keys, wrong types, duplicate keys and versions that PEP 440 cannot read are errors that
name the line and the path inside the file: `line 12: frameworks.sklearn.tested[3].python: ...`.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from autolog.compat.data import FrameworkData, MatrixData, QuirkData, TestedData
from autolog.errors import SettingsError

__all__ = [
    "CoPin",
    "Environment",
    "Framework",
    "Logs",
    "Matrix",
    "MatrixError",
    "Quirk",
    "Strategy",
    "Tested",
    "load",
    "to_data",
]

Kebab = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]*$")]
Python = Annotated[str, msgspec.Meta(pattern=r"^3\.\d+$")]


class MatrixError(SettingsError):
    """The matrix cannot be read; the message names the file, the line and the key."""


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of every part of the file: a key that is not in the schema is an error."""


class Tested(_Strict, frozen=True, kw_only=True):
    """One environment in which CI runs the suite."""

    version: Text
    python: Python
    tier: Literal["commit", "full"]
    distribution: Text | None = None
    """What is installed: one of the framework's distributions, by default the first."""
    with_: tuple[Text, ...] = msgspec.field(name="with", default=())
    label: Kebab | None = None
    """Tells two rows of one version and Python apart: `jax`, `torch`."""
    env: dict[Variable, str] = {}
    """Environment variables that the framework reads: `KERAS_BACKEND`."""


class Environment(_Strict, frozen=True, kw_only=True):
    """One environment in which CI runs tests that belong to no single framework."""

    python: Python
    tier: Literal["commit", "full"]
    tests: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    with_: tuple[Text, ...] = msgspec.field(name="with", default=())
    env: dict[Variable, str] = {}


class CoPin(_Strict, frozen=True, kw_only=True):
    """What some versions need beside them that their own metadata does not ask for."""

    when: Text
    needs: Text
    """A requirement, `numpy<2`: broken only if that distribution is there in another version."""
    because: Text


class Logs(_Strict, frozen=True, kw_only=True):
    """What is logged of a training by default, a phrase each; proved by tests/matrix."""

    params: Text
    series: Text
    """Metrics with steps or epochs."""
    evaluations: Text
    data: Text
    model: Text
    more: Text | None = None


class Strategy(_Strict, frozen=True, kw_only=True):
    """A code path for some versions; the first match of a list counts."""

    when: Text
    use: Name


class Quirk(_Strict, frozen=True, kw_only=True):
    """A behaviour of some versions, the guard that answers it and the test that proves both."""

    id: Kebab
    when: Text
    symptom: Text
    guard: Name
    fails_with: Text
    test: Text
    upstream: str | None
    since: Text


class Framework(_Strict, frozen=True, kw_only=True):
    """Everything the file says of one framework."""

    integration: Name
    distributions: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    modules: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    supported: Text
    because: Text
    """Why the range begins where it does."""
    on_unsupported: Literal["warn", "skip"] = "warn"
    latest_known: Text | dict[Text, Text]
    """Of all distributions, or of each by its name where they are numbered each in its own way."""
    tested: Annotated[tuple[Tested, ...], msgspec.Meta(min_length=1)]
    strategies: dict[Name, tuple[Strategy, ...]] = {}
    co_pins: tuple[CoPin, ...] = ()
    quirks: tuple[Quirk, ...] = ()
    logs: Logs


class Matrix(_Strict, frozen=True, kw_only=True):
    """The whole file."""

    schema: Literal[1]
    frameworks: dict[Name, Framework]
    environments: dict[Name, Environment] = {}


def load(path: Path) -> Matrix:
    """Read and validate a matrix.

    Raises:
        MatrixError: PyYAML is missing, or the file cannot be read or breaks the schema.
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe or a device may have no end
            raise MatrixError(f"{path} cannot be read: it is no file")
        if path.stat().st_size > _LARGEST:
            raise MatrixError(f"{path} is larger than {_LARGEST} bytes: it is no matrix")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        raise MatrixError(f"{path} cannot be read: {exc}") from None
    plain, lines = _parse(path, text)
    try:
        matrix = msgspec.convert(plain, Matrix)
    except msgspec.ValidationError:
        problem, where = _first_problem(plain)
        raise MatrixError(_at(path, lines, where, problem)) from None
    for where, problem in _unreadable_versions(matrix):
        raise MatrixError(_at(path, lines, where, problem))
    return matrix


def to_data(matrix: Matrix) -> MatrixData:
    """Return what the run time needs of a matrix."""
    return {name: _framework_data(one) for name, one in matrix.frameworks.items()}


def _framework_data(one: Framework) -> FrameworkData:
    return FrameworkData(
        distributions=one.distributions,
        modules=one.modules,
        supported=one.supported,
        because=one.because,
        on_unsupported=one.on_unsupported,
        latest_known=one.latest_known,
        tested=tuple(
            TestedData(
                version=row.version,
                python=row.python,
                tier=row.tier,
                distribution=row.distribution or one.distributions[0],
                pins=row.with_,
                env=row.env,
            )
            for row in one.tested
        ),
        strategies={
            name: tuple((case.when, case.use) for case in cases)
            for name, cases in one.strategies.items()
        },
        co_pins=tuple((pin.when, pin.needs, pin.because) for pin in one.co_pins),
        quirks=tuple(
            QuirkData(
                id=quirk.id,
                when=quirk.when,
                symptom=quirk.symptom,
                guard=quirk.guard,
                fails_with=quirk.fails_with,
                test=quirk.test,
                upstream=quirk.upstream,
            )
            for quirk in one.quirks
        ),
        logs={topic: text for topic, text in msgspec.structs.asdict(one.logs).items() if text},
    )


# --- YAML with line numbers -----------------------------------------------------------------

Where = tuple[str | int, ...]

_LARGEST: Final = 1_000_000
"""Bytes of a file; ours has 30 thousand, and a training waits while an override is read."""
_MOST_PARTS: Final = 200_000
_DEEPEST: Final = 20
"""Limits of what aliases make of a short file: each is written out, and one may be in itself."""


def _parse(path: Path, text: str) -> tuple[Any, dict[Where, int]]:
    """Return the file as plain data, and the line of every key and item."""
    try:
        yaml: Any = importlib.import_module("yaml")
    except ModuleNotFoundError:
        raise MatrixError(
            f"reading {path} needs PyYAML, which autolog itself does not depend on: "
            "pip install PyYAML"
        ) from None
    lines: dict[Where, int] = {(): 1}
    parts = 0

    def plain(node: Any, where: Where) -> Any:
        nonlocal parts
        parts += 1
        if parts > _MOST_PARTS or len(where) > _DEEPEST:
            raise MatrixError(f"{path} is no matrix: its aliases make too much of it")
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = str(key_node.value)
                inner = (*where, key)
                if key in found:
                    line = key_node.start_mark.line + 1
                    raise MatrixError(_at(path, {inner: line}, inner, "is given twice"))
                lines[inner] = key_node.start_mark.line + 1
                found[key] = plain(value_node, inner)
            return found
        if isinstance(node, yaml.SequenceNode):
            items: list[Any] = []
            for index, item in enumerate(node.value):
                lines[(*where, index)] = item.start_mark.line + 1
                items.append(plain(item, (*where, index)))
            return items
        return loader.construct_object(node)

    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            return (plain(root, ()) if root is not None else None), lines
        finally:
            loader.dispose()
    except RecursionError:
        raise MatrixError(f"{path} is not valid YAML: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as exc:  # a ValueError is of a date, or a number
        raise MatrixError(f"{path} is not valid YAML: {exc}") from None


def _first_problem(plain: Any) -> tuple[str, Where]:
    """Find what breaks the schema, with the keys that msgspec shows as `[...]` spelt out."""
    for kind, part, where in _parts(plain):
        try:
            msgspec.convert(part, kind)
        except msgspec.ValidationError as exc:
            message, _, path = str(exc).partition(" - at `")
            steps = re.findall(r"\.([A-Za-z_]\w*)|\[(\d+)\]", path)
            return message, (*where, *(key or int(index) for key, index in steps))
    raise AssertionError("the schema failed as a whole but in no part")


def _parts(plain: Any) -> list[tuple[Any, Any, Where]]:
    """List the parts of a file, innermost first, with the type each must have."""
    parts: list[tuple[Any, Any, Where]] = []
    for name, one in _table(_table(plain).get("frameworks")).items():
        here: Where = ("frameworks", name)
        for case, cases in _table(_table(one).get("strategies")).items():
            parts.append((tuple[Strategy, ...], cases, (*here, "strategies", case)))
        parts.append((Framework, one, here))
    parts.append((Matrix, plain, ()))
    return parts


def _table(part: Any) -> dict[str, Any]:
    return part if isinstance(part, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _unreadable_versions(matrix: Matrix) -> list[tuple[Where, str]]:
    problems: list[tuple[Where, str]] = []

    def version(text: str, *where: str | int) -> None:
        try:
            Version(text)
        except InvalidVersion:
            problems.append((where, f"{text!r} is no version"))

    def specifier(text: str, *where: str | int) -> None:
        try:
            SpecifierSet(text)
        except InvalidSpecifier:
            problems.append((where, f"{text!r} is no version specifier"))

    def requirement(text: str, *where: str | int) -> None:
        try:
            Requirement(text)
        except InvalidRequirement:
            problems.append((where, f"{text!r} is no requirement, as pip reads them"))

    for name, environment in matrix.environments.items():
        for at, text in enumerate(environment.with_):
            requirement(text, "environments", name, "with", at)
    for name, one in matrix.frameworks.items():
        here: Where = ("frameworks", name)
        specifier(one.supported, *here, "supported")
        if isinstance(one.latest_known, str):
            version(one.latest_known, *here, "latest_known")
        else:
            if set(one.latest_known) != set(one.distributions):
                wanted = ", ".join(one.distributions)
                problems.append(((*here, "latest_known"), f"must name each of {wanted}"))
            for distribution, text in one.latest_known.items():
                version(text, *here, "latest_known", distribution)
        for index, row in enumerate(one.tested):
            version(row.version, *here, "tested", index, "version")
            for at, text in enumerate(row.with_):
                requirement(text, *here, "tested", index, "with", at)
        for strategy, cases in one.strategies.items():
            for index, case in enumerate(cases):
                specifier(case.when, *here, "strategies", strategy, index, "when")
        for index, pin in enumerate(one.co_pins):
            specifier(pin.when, *here, "co_pins", index, "when")
            requirement(pin.needs, *here, "co_pins", index, "needs")
        for index, quirk in enumerate(one.quirks):
            specifier(quirk.when, *here, "quirks", index, "when")
            version(quirk.since, *here, "quirks", index, "since")
    return problems


def _at(path: Path, lines: dict[Where, int], where: Where, problem: str) -> str:
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    while where not in lines:
        where = where[:-1]
    return f"{path}, line {lines[where]}: {shown.lstrip('.') or 'the file'}: {problem}"
