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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autolog import settings
from autolog.errors import StoreError, UsageError

__all__ = ["DATABASE_NAME", "FOLDER_NAME", "Location", "locate", "prepare"]

FOLDER_NAME: Final = ".autolog"
DATABASE_NAME: Final = "store.db"

_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3")
_LATER: Final = ("http", "https", "mlflow+http", "mlflow+https", "databricks")
_POSTGRES: Final = ("postgresql", "postgres")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?://)?")
"""At least two characters, so that `C:\\runs` stays a path."""


@dataclass(frozen=True, slots=True)
class Location:
    """The places that belong to one store.

    `uri` is absolute, equal for every spelling of the same place and without a password; `address`
    is what to connect to, which may hold one. `root` is the folder around an embedded database; for
    a server, a folder of this user on this host that holds what was not shipped yet. `notice` is
    what the user should be told once about the choice, if anything.
    """

    uri: str
    address: str = field(repr=False)
    scheme: str
    database: Path | None
    root: Path
    journal: Path
    artifacts: Path
    notice: str | None = None

    @property
    def remote(self) -> bool:
        """Whether the store is a server, to which another process ships the journals."""
        return self.database is None


def locate(
    uri: str | os.PathLike[str] | None = None, *, cwd: str | os.PathLike[str] | None = None
) -> Location:
    """Find the store that `uri` names, or the default one of the working directory.

    Without a URI (and without the setting `store`) it is the nearest `.autolog` folder upwards,
    else `.autolog` at the top of the main git work tree, else in the working directory; where
    that cannot be written, the user's data folder.

    Args:
        uri: a folder (the database is `store.db` in it), a `*.db` or `*.sqlite` file,
            `sqlite:///path` (`sqlite:////path` is absolute), or
            `postgresql://user@host:port/database`.
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
    text = os.fspath(uri)
    if _scheme(text) in _POSTGRES:
        return _server(text)
    return _at(_database(text, here), None)


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


def _scheme(text: str) -> str:
    """Return the scheme of a URI without its driver; the empty text for a path."""
    match = _SCHEME.match(text)
    scheme = match.group(1).lower() if match else text if text == "databricks" else ""
    embedded = scheme.startswith(("postgres", "sqlite"))
    return scheme.partition("+")[0] if embedded else scheme


def _database(text: str, here: Path) -> Path:
    """Read a URI as the path of a database file."""
    scheme = _scheme(text)
    if scheme == "sqlite":
        return _sqlite_path(text, here)
    if scheme in _LATER:
        raise StoreError(
            f"this version of autolog stores to SQLite and Postgres and cannot use"
            f" {_masked(text)!r}. Write a folder, a file such as runs.db, sqlite:///runs.db or"
            " postgresql://host/database instead."
        )
    if scheme:
        raise UsageError(
            f"unknown store scheme {scheme!r} in {_masked(text)!r}. Known are: a path, sqlite:///,"
            " postgresql:// (this version), http(s)://, mlflow+http(s)://, databricks"
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


def _server(text: str) -> Location:
    """Place a Postgres database: what is not shipped yet lies in the user's data folder."""
    from hashlib import sha256
    from urllib.parse import parse_qs, unquote, urlsplit

    try:
        parts = urlsplit(text)
    except ValueError:
        raise UsageError(f"store {_masked(text)!r} cannot be read as an address") from None
    query = parse_qs(parts.query)
    try:
        port = parts.port or int(query.get("port", ["5432"])[0])
    except ValueError:
        raise UsageError(f"store {_masked(text)!r} has a port that is no number") from None
    host = unquote(parts.hostname or query.get("host", ["localhost"])[0])
    name = unquote(parts.path.lstrip("/"))
    if not name or "/" in name:
        raise UsageError(
            f"store {_masked(text)!r} names no database: write postgresql://user@host/database"
        )
    uri = f"postgresql://{host}:{port}/{name}"
    digest = sha256(uri.encode()).hexdigest()[:12]
    root = _user_data() / "stores" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}-{digest}"
    return Location(
        uri=uri,
        address=f"postgresql://{text.partition('://')[2]}",
        scheme="postgresql",
        database=None,
        root=root,
        journal=_journal_setting() or root / "journal",
        artifacts=root / "artifacts",
    )


def _journal_setting() -> Path | None:
    given = settings.value("journal_dir")
    return Path(os.path.abspath(os.path.expanduser(given))) if given else None


def _masked(text: str) -> str:
    """Return a URI without what may be a password: all in front of the last `@`, and its query.

    A path is returned as it is.
    """
    if "://" not in text and re.match(r"[^/\\]*:[^/\\]*@", text) is None:
        return text
    front, at, rest = text.rpartition("@")
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/*", front if at and "://" in front else "")
    masked = f"{scheme[0] if scheme else ''}***@{rest}" if at else text
    return re.sub(r"\?.*", "?***", masked, flags=re.DOTALL)


def _at(database: Path, notice: str | None) -> Location:
    database = Path(os.path.realpath(database))
    root = database.parent
    # Two databases in one folder must not read each other's journals.
    prefix = "" if database.name == DATABASE_NAME else f"{database.stem}."
    uri = f"sqlite:///{database.as_posix()}"
    return Location(
        uri=uri,
        address=uri,
        scheme="sqlite",
        database=database,
        root=root,
        journal=_journal_setting() or root / f"{prefix}journal",
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
