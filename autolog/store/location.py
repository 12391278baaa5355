"""Where a store lies: its database, its journals and its artifacts.

Standard library only: the training process finds its journal folder here and imports no database.
Nothing is created by looking; `prepare` makes the folder once something is to be written.
"""

# os.path answers False where pathlib raises, as in a folder that may not be searched.
# ruff: noqa: PTH100, PTH109, PTH111, PTH112, PTH113
from __future__ import annotations

import contextlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autolog import settings
from autolog.errors import StoreError, UsageError

__all__ = ["DATABASE_NAME", "FOLDER_NAME", "Location", "locate", "prepare"]

FOLDER_NAME: Final = ".autolog"
DATABASE_NAME: Final = "store.db"

_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3")
_LATER: Final = ("postgresql", "http", "https", "mlflow+http", "mlflow+https", "databricks")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?://)?")
"""At least two characters, so that `C:\\runs` stays a path."""


@dataclass(frozen=True, slots=True)
class Location:
    """The places that belong to one store.

    `uri` is absolute and equal for every spelling of the same place. `root` is the folder around
    the database. `notice` is what the user should be told once about the choice, if anything.
    """

    uri: str
    scheme: str
    database: Path | None
    root: Path
    journal: Path
    artifacts: Path
    notice: str | None = None


def locate(
    uri: str | os.PathLike[str] | None = None, *, cwd: str | os.PathLike[str] | None = None
) -> Location:
    """Find the store that `uri` names, or the default one of the working directory.

    Without a URI (and without the setting `store`) it is the nearest `.autolog` folder upwards,
    else `.autolog` at the top of the main git work tree, else in the working directory; where
    that cannot be written, the user's data folder.

    Args:
        uri: a folder (the database is `store.db` in it), a `*.db` or `*.sqlite` file,
            or `sqlite:///path` (`sqlite:////path` is absolute).
        cwd: where relative paths and the search start; the working directory by default.

    Raises:
        StoreError: the scheme belongs to a later version.
        UsageError: the scheme is unknown or names no file.
    """
    if uri is None:
        uri = settings.value("store")
    here = Path(os.path.abspath(cwd if cwd is not None else _working_directory()))
    if uri is None or str(uri) == "":
        return _default(here)
    return _at(_database(os.fspath(uri), here), None)


def prepare(location: Location) -> None:
    """Create the store's folders; one called `.autolog` gets a `.gitignore` of its own.

    Raises:
        StoreError: a folder cannot be created.
    """
    try:
        location.root.mkdir(parents=True, exist_ok=True)
        location.journal.mkdir(parents=True, exist_ok=True)
        if location.root.name == FOLDER_NAME:
            with contextlib.suppress(FileExistsError), open(location.root / ".gitignore", "x") as f:
                f.write("*\n")
    except OSError as exc:
        raise StoreError(
            f"cannot create the store folder {location.root}: {exc.strerror or exc}."
            " Name another place with store=, --store or AUTOLOG_STORE."
        ) from exc


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return os.path.expanduser("~")


def _database(text: str, here: Path) -> Path:
    """Read a URI as the path of a database file."""
    match = _SCHEME.match(text)
    if match or text == "databricks":
        scheme = (match.group(1) if match else text).lower()
        base = scheme.partition("+")[0] if scheme.startswith(("postgresql", "sqlite")) else scheme
        if base == "sqlite":
            return _sqlite_path(text, here)
        if base in _LATER or scheme == "postgres":
            raise StoreError(
                f"this version of autolog stores to SQLite only and cannot use {_masked(text)!r}."
                " Write a folder, a file such as runs.db, or sqlite:///runs.db instead."
            )
        raise UsageError(
            f"unknown store scheme {scheme!r} in {_masked(text)!r}. Known are: a path, sqlite:///"
            " (this version), postgresql://, http(s)://, mlflow+http(s)://, databricks"
            " (later versions)."
        )
    path = here / os.path.expanduser(text)
    if os.path.isdir(path):
        return path / DATABASE_NAME
    is_file = path.suffix in _SUFFIXES or os.path.isfile(path)
    return path if is_file else path / DATABASE_NAME


def _sqlite_path(text: str, here: Path) -> Path:
    scheme, _, rest = text.partition(":")
    if not rest.startswith("///") or rest == "///" or scheme.lower() != "sqlite":
        raise UsageError(
            f"store {text!r} names no file: write sqlite:///relative/runs.db or"
            " sqlite:////absolute/runs.db"
        )
    return here / rest[3:]


def _masked(text: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", text)


def _at(database: Path, notice: str | None) -> Location:
    database = Path(os.path.realpath(database))
    root = database.parent
    # Two databases in one folder must not read each other's journals.
    prefix = "" if database.name == DATABASE_NAME else f"{database.stem}."
    journal_setting = settings.value("journal_dir")
    journal = root / f"{prefix}journal"
    if journal_setting:
        journal = Path(os.path.abspath(os.path.expanduser(journal_setting)))
    return Location(
        uri=f"sqlite:///{database.as_posix()}",
        scheme="sqlite",
        database=database,
        root=root,
        journal=journal,
        artifacts=root / f"{prefix}artifacts",
        notice=notice,
    )


def _default(here: Path) -> Location:
    folder = _nearest(here) or (_work_tree(here) or here) / FOLDER_NAME
    if _can_write(folder):
        return _at(folder / DATABASE_NAME, None)
    fallback = _user_data() / DATABASE_NAME
    return _at(
        fallback,
        f"{folder} cannot be written, runs go to {fallback.parent}"
        " (store=, --store or AUTOLOG_STORE name another place)",
    )


def _nearest(here: Path) -> Path | None:
    for folder in (here, *here.parents):
        if os.path.isdir(folder / FOLDER_NAME):
            return folder / FOLDER_NAME
    return None


def _work_tree(here: Path) -> Path | None:
    """Find the top of the main work tree: linked work trees share one store."""
    for folder in (here, *here.parents):
        dot_git = folder / ".git"
        if os.path.isdir(dot_git):
            return folder
        if os.path.isfile(dot_git):
            return _main_work_tree(folder, dot_git)
    return None


def _main_work_tree(folder: Path, dot_git: Path) -> Path:
    try:
        word, _, target = dot_git.read_text("utf-8", "surrogateescape").strip().partition(": ")
        if word != "gitdir":
            return folder
        git_dir = folder / target
        common = git_dir / (git_dir / "commondir").read_text("utf-8", "surrogateescape").strip()
    except OSError:  # a submodule has no commondir and is a project of its own
        return folder
    common = Path(os.path.realpath(common))
    return common.parent if common.name == ".git" else folder


def _can_write(folder: Path) -> bool:
    """Whether `folder` exists and is writable, or could be created."""
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            return os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)
    return False


def _user_data() -> Path:
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home, "autolog")
    if sys.platform == "darwin":
        return Path(home, "Library", "Application Support", "autolog")
    return Path(os.environ.get("XDG_DATA_HOME") or Path(home, ".local", "share"), "autolog")
