"""Settings and where they come from: argument > environment > project file > user file.

The project file is the nearest `autolog.toml`, or `pyproject.toml` with a `[tool.autolog]` table,
upwards from the working directory; the user file is `autolog/config.toml` in the user's
configuration folder. `autolog doctor` prints each value with its origin.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from autolog.errors import SettingsError

__all__ = [
    "KNOWN",
    "Setting",
    "assign",
    "assigned",
    "every",
    "lookup",
    "parse_tags",
    "reassign",
    "value",
]


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a setting and the place that decided it (`"default"` if none did)."""

    name: str
    value: Any
    origin: str


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError("expected text")
    return raw


def _flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"", "0", "false", "no", "off"}:
        return False
    raise ValueError("expected 1 or 0")


def _seconds(raw: object) -> float:
    number = float(str(raw))
    if not 0 <= number < float("inf"):
        raise ValueError("expected seconds, 0 or more")
    return number


def _megabytes(raw: object) -> int:
    number = int(str(raw))
    if number < 0:
        raise ValueError("expected megabytes, or 0 for no limit")
    return number


def _names(raw: object) -> tuple[str, ...]:
    parts: list[Any] = raw.split(",") if isinstance(raw, str) else list(raw)  # type: ignore[call-overload]
    return tuple(str(part).strip() for part in parts if str(part).strip())


def parse_tags(raw: object) -> dict[str, str]:
    """Read tags from a table or from `"key=value,key=value"`."""
    if isinstance(raw, Mapping):
        return {str(key): str(val) for key, val in raw.items()}  # type: ignore[reportUnknownVariableType]
    tags: dict[str, str] = {}
    for part in _names(raw):
        key, sign, val = part.partition("=")
        if not sign:
            raise ValueError("expected key=value,key=value")
        tags[key.strip()] = val.strip()
    return tags


def _choice(*choices: str) -> Callable[[object], str]:
    def parse(raw: object) -> str:
        word = str(raw).strip().lower()
        if word not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return word

    return parse


KNOWN: Final[dict[str, tuple[Callable[[object], Any], Any]]] = {
    "store": (_text, None),
    "experiment": (_text, None),
    "run_name": (_text, None),
    "tags": (parse_tags, {}),
    "user": (_text, None),
    "run_id": (_text, None),
    "parent_run_id": (_text, None),
    "journal_dir": (_text, None),
    "journal_max_mb": (_megabytes, 10_000),
    "journal_full": (_choice("keep", "raise"), "keep"),
    "finish_timeout": (_seconds, 5.0),
    "disabled": (_names, ()),
    "strict": (_flag, False),
    "durability": (_choice("process", "power"), "process"),
    "print": (_choice("auto", "always", "never", "0", "1"), "auto"),
    "compat_matrix": (_text, None),
    "system_metrics": (_choice("auto", "always", "never"), "auto"),
}
"""Every setting: how its value is read and its default. `AUTOLOG_<NAME>` is its variable."""

_assigned: dict[str, Any] = {}
_lasting: dict[str, Any] = {}
_files: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {}


def assign(name: str, given: Any, *, lasting: bool = False) -> None:
    """Set a setting by argument, above every other origin.

    What is `lasting` outlives the activation that it was set under.
    """
    _assigned[name] = _parse(name, given, "argument")
    if lasting:
        _lasting[name] = _assigned[name]


def assigned() -> dict[str, Any]:
    """Return a copy of what is set by argument, for `reassign`."""
    return dict(_assigned)


def reassign(before: dict[str, Any]) -> None:
    """Set by argument what `assigned` returned, and what is lasting."""
    _assigned.clear()
    _assigned.update({**before, **_lasting})


def lookup(name: str) -> Setting:
    """Find a setting and its origin.

    Raises:
        SettingsError: the value cannot be read; the message names its origin.
    """
    if name in _assigned:
        return Setting(name, _assigned[name], "argument")
    variable = f"AUTOLOG_{name.upper()}"
    raw = os.environ.get(variable)
    if raw is not None:
        return Setting(name, _parse(name, raw, variable), variable)
    for path, table in _tables():
        if name in table:
            return Setting(name, _parse(name, table[name], path), path)
    return Setting(name, KNOWN[name][1], "default")


def value(name: str) -> Any:
    """Return the value of a setting alone."""
    return lookup(name).value


def every() -> list[Setting]:
    """Look up all settings, in the order of `KNOWN`."""
    return [lookup(name) for name in KNOWN]


def _parse(name: str, raw: object, origin: str) -> Any:
    try:
        return KNOWN[name][0](raw)
    except (ValueError, TypeError) as exc:
        raise SettingsError(f"{origin} sets {name} to {raw!r}: {exc}") from None


def _tables() -> tuple[tuple[str, dict[str, Any]], ...]:
    try:
        here = os.getcwd()  # noqa: PTH109  half the cost of Path.cwd, and this is on a fit's path
    except OSError:  # the working directory was deleted
        here = ""
    if here not in _files:
        found = [_project_table(Path(here))] if here else []
        found.append(_read(_user_file(), ()))
        _files[here] = tuple(table for table in found if table is not None)
    return _files[here]


def _project_table(start: Path) -> tuple[str, dict[str, Any]] | None:
    for folder in (start, *start.parents):
        table = _read(folder / "autolog.toml", ())
        if table is None:
            table = _read(folder / "pyproject.toml", ("tool", "autolog"))
        if table is not None:
            return table
    return None


def _user_file() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or str(Path.home())
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    return Path(base) / "autolog" / "config.toml"


def _read(path: Path, keys: tuple[str, ...]) -> tuple[str, dict[str, Any]] | None:
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    if keys and ".".join(keys).encode() not in raw:  # spares most projects the parser's import
        return None
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        table: Any = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not valid TOML: {exc}") from None
    for key in keys:
        table = cast("dict[str, Any]", table).get(key) if type(table) is dict else None
    if type(table) is not dict:
        return None
    found = cast("dict[str, Any]", table)
    unknown = sorted(set(found) - set(KNOWN))
    if unknown:
        raise SettingsError(
            f"{path} sets unknown {', '.join(unknown)}; known settings: {', '.join(KNOWN)}"
        )
    return str(path), found
