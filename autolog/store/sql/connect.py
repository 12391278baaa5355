"""Connections to a database: transactions, and errors that say what to do."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import sqlite3
import time
import weakref
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool, Pool, QueuePool, StaticPool
from sqlalchemy.util import LRUCache

from autolog.errors import RefusedError, StoreError
from autolog.journal.filesystem import is_network
from autolog.query.words import is_like

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = [
    "Database",
    "create_file",
    "explained",
    "inherited_locks",
    "open_file",
    "open_memory",
    "writes",
]

_log = logging.getLogger("autolog")

_BUSY_SECONDS: Final = 30
_PAGE_SIZE: Final = 8192
_RETRIES: Final = 20
_UNDONE: Final = frozenset({"40001", "40P01"})
"""What Postgres says when it has undone a transaction for the sake of another one."""

_SHARED: Final[dict[str, Any]] = {"compiled_cache": LRUCache(500)}

_T = TypeVar("_T")
_inherited: list[Any] = []
_users: Counter[Engine] = Counter()
"""How many stores that are open use an engine."""


class Database:
    """An engine with the two kinds of transaction that this store knows.

    A write transaction takes SQLite's write lock at its start: one that began with a read could
    not wait for another writer, it would fail at once. `name` is what errors call the database,
    `path` its file if it is one.
    """

    def __init__(
        self, engine: Engine, name: str, path: Path | None = None, lock: BaseFileLock | None = None
    ) -> None:
        self.engine = engine
        self.name = name
        self.path = path
        self.may_write = True
        """False for a guest of a server, whose transactions all only read."""
        self._lock = lock
        self._pids = [os.getpid()]
        # A store that nobody closes must not warn of it (Python 3.13 does) in the user's program.
        _users[engine] += 1
        self._close = weakref.finalize(self, _leave, engine, self._pids)

    @property
    def in_memory(self) -> bool:
        """Whether the database is a copy that this process alone sees."""
        return isinstance(self.engine.pool, StaticPool)

    @contextlib.contextmanager
    def read(self) -> Generator[Connection]:
        """Open a transaction that sees one state of the database."""
        with self._begin(write=False) as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Generator[Connection]:
        """Open a transaction that may write; committed at the end, undone by an exception."""
        with (
            self._lock or contextlib.nullcontext(),
            self._begin(write=self.may_write) as connection,
        ):
            yield connection

    def transact(self, work: Callable[[Connection], _T]) -> _T:
        """Do `work` in a write transaction; again, if another transaction made it undone."""
        for turn in range(_RETRIES):
            try:
                with self.write() as connection:
                    return work(connection)
            except StoreError as error:
                if turn == _RETRIES - 1 or not _undone(error):
                    raise
                time.sleep(secrets.randbelow(1000 * (turn + 1)) / 50_000)
        raise AssertionError

    def sync(self) -> None:
        """Make committed transactions safe against a loss of power.

        In WAL mode with synchronous=NORMAL a commit is written to the log but not synced. What is
        no longer in the log was synced by its checkpoint, and without a log SQLite syncs itself.
        The database file is never opened here: POSIX gives up all locks that a process has on a
        file when it closes any descriptor of it, and whoever closed the database next would take
        itself for the last user and remove the log under the others.
        """
        if self.path is None:
            return
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self.path.with_name(f"{self.path.name}-wal"), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Close every connection, unless another store of this process uses them too."""
        self._close()

    @contextlib.contextmanager
    def _begin(self, *, write: bool) -> Generator[Connection]:
        if self._pids[-1] != os.getpid():
            if self.path is not None and inherited_locks():
                raise StoreError(
                    f"{self.name} was in use when this process was forked: open it anew here"
                )
            if not self.in_memory:  # a database in memory was copied by the fork
                _let_go(self.engine, self._pids)
            self._pids.append(os.getpid())
        with explained(self.name), self.engine.connect() as raw:
            options: dict[str, Any] = {"autolog_write": write}
            if not write and self.engine.dialect.name == "postgresql":
                # A read of several statements sees one state, as on SQLite.
                options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            connection = raw.execution_options(**options)
            with connection.begin():
                yield connection


class _Forks:
    """What the forks that led to this process have brought along."""

    in_use = False
    inherited = False


_forks = _Forks()


def inherited_locks() -> bool:
    """Whether this process was forked in the middle of a transaction on a file.

    SQLite here takes locks for held that the parent has: it must not touch that file again.
    """
    return _forks.inherited


def writes(connection: Connection) -> bool:
    """Whether the transaction of `connection` may write: what is only computed may be kept then."""
    return bool(connection.get_execution_options().get("autolog_write"))


def _leave(engine: Engine, pids: list[int]) -> None:
    _users[engine] -= 1
    if not _users[engine]:
        del _users[engine]
        _let_go(engine, pids)


def _let_go(engine: Engine, pids: list[int]) -> None:
    """Close the connections of this process; those that a fork brought along are left alone.

    SQLite forbids to use one in a child, and closing it is a use; to a server, too, it would say
    good-bye in the parent's name.
    """
    if pids[-1] == os.getpid():
        engine.dispose()
    else:
        _inherited.append(engine.pool)
        engine.dispose(close=False)


def open_file(path: Path) -> Database:
    """Connect to the database at `path`, which must exist."""
    network = is_network(path)
    lock = None
    if network:
        from filelock import FileLock

        _log.warning(
            "%s lies on a network file system: writers take turns, without WAL."
            " A store on a local disk is faster (--store or AUTOLOG_STORE).",
            path,
        )
        lock = FileLock(path.with_name(f"{path.name}.write-lock"), timeout=2 * _BUSY_SECONDS)

    def connect() -> Any:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        # On a network file system a rollback journal is all there is against a torn page.
        connection.execute(f"PRAGMA synchronous = {'FULL' if network else 'NORMAL'}")
        return _with_functions(connection)

    engine = _engine(QueuePool(connect, dialect=_dialect()))
    return Database(_with_transactions(engine), str(path), path, lock)


def open_memory(connection: sqlite3.Connection) -> Database:
    """Use a database in memory that `connection` (isolation level None) holds."""
    connection.execute("PRAGMA foreign_keys = ON")
    _with_functions(connection)
    engine = _engine(StaticPool(lambda: cast("Any", connection), dialect=_dialect()))
    return Database(_with_transactions(engine), "the store")


def _engine(pool: Pool) -> Engine:
    """Return an engine that shares the statements it compiles with all others of the process.

    Each call that reads opens a store of its own; compiling its statements anew took two thirds of
    the time of a search.
    """
    return Engine(pool, _dialect(), make_url("sqlite://"), execution_options=_SHARED)


@functools.cache
def _dialect() -> Dialect:
    engine = create_engine("sqlite://", poolclass=NullPool)
    with engine.connect():  # tells the dialect what this SQLite can do
        return engine.dialect


def _with_functions(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Add what SQLite's own LIKE is not: exact in case or in ignoring it, and at ease with NUL."""

    def like(text: str | None, pattern: str, ignore_case: int) -> bool | None:
        return None if text is None else is_like(text, pattern, ignore_case=bool(ignore_case))

    connection.create_function("autolog_like", 3, like, deterministic=True)
    return connection


def create_file(path: Path, *, wal: bool) -> None:
    """Create an empty database. The caller holds the upgrade lock.

    The journal mode is a property of the file, and switching it waits for nobody: it is done
    once, here, and not per connection.
    """
    with explained(path), contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as made:
        made.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        made.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")


@contextlib.contextmanager
def explained(name: object) -> Generator[None]:
    """Turn errors of the database called `name` into StoreErrors that name it and what to do."""
    try:
        yield
    except (OverflowError, UnicodeError) as exc:  # raised by a driver before it asks the database
        raise RefusedError(f"{name}: {exc}") from exc
    except (DBAPIError, sqlite3.Error) as exc:
        cause = exc.orig if isinstance(exc, DBAPIError) else exc
        kind = RefusedError if _refused(exc, cause) else StoreError
        raise kind(f"{name}: {_advice(cause, name)}") from exc


def _refused(exc: BaseException, cause: BaseException | None) -> bool:
    """Whether it is the data that is at fault: out of range, too long, not unique."""
    state: str | None = getattr(cause, "sqlstate", None)
    if state is not None:
        return state[:2] in {"22", "23", "54"}
    by_kind = (DataError, IntegrityError, sqlite3.DataError, sqlite3.IntegrityError)
    return isinstance(exc, by_kind) or "too big" in str(cause)


def _undone(error: StoreError) -> bool:
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", None) in _UNDONE


def _advice(cause: BaseException | None, name: object) -> str:
    message = " ".join(str(cause).split())
    lowered = message.lower()
    state = getattr(cause, "sqlstate", "")
    if state is None or (state and state[:2] in {"08", "57"}):
        return (
            f"the database cannot be reached ({message}). Check the URI, the network and that the"
            " server runs. What is logged meanwhile waits in journals and is stored later."
        )
    if state == "42501" or state == "25006":
        return f"{message}. Ask for the right to write there, or open the store with write=False."
    if "not a database" in lowered or "malformed" in lowered:
        return (
            f"the file is damaged or no SQLite database ({message}). Move it aside"
            f" (mv {name} {name}.damaged) and restore a copy, or go on with a new, empty store;"
            " journals that were not folded yet are kept and read into it."
        )
    if "locked" in lowered:
        return f"another process kept it locked for {_BUSY_SECONDS} s; try again ({message})"
    if "full" in lowered:
        return f"the disk is full ({message}). Nothing is lost: free space and try again."
    if "unable to open" in lowered or "readonly" in lowered:
        return f"{message}. Check its permissions, or open the store with write=False."
    return message


def _with_transactions(engine: Engine) -> Engine:
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes(connection) else "BEGIN")

    event.listen(engine, "begin", begin)
    return engine


def _before_fork() -> None:
    """Close the idle connections to files: what SQLite knows of its locks must not be inherited.

    A child has none of its parent's locks, but SQLite in it would hold them for taken, and other
    processes would remove the log that the child goes on to write.
    """
    _forks.in_use = False
    for engine in list(_users):
        pool = engine.pool
        if isinstance(pool, QueuePool) and engine.dialect.name == "sqlite":
            _forks.in_use |= pool.checkedout() > 0
            engine.dispose()


def _after_fork() -> None:
    _forks.inherited |= _forks.in_use


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
