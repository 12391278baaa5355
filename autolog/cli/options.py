"""Options that several commands have, and the store that they name."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from autolog.cli.format import size

if TYPE_CHECKING:
    from autolog.store import Store

__all__ = [
    "examples",
    "json_option",
    "reading",
    "require_experiment",
    "store_option",
    "writing",
]

_NOTICEABLE: Final = 4_000_000
"""Bytes of journals that take long enough to say so."""

json_option: Any = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)

store_option: Any = click.option(
    "--store",
    metavar="URI",
    help="A folder, a *.db file, sqlite:///path or postgresql://user@host/database. Default:"
    " AUTOLOG_STORE, else the nearest .autolog folder.",
)


def examples(*lines: str) -> str:
    """Return the end of a command's help: examples that keep their lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


@contextmanager
def reading(uri: str | None) -> Generator[Store]:
    """Open a store with everything in it that was logged until now."""
    from autolog.cli.output import notify, screen
    from autolog.cli.volume import journal_bytes
    from autolog.store.location import locate
    from autolog.tracking.reading import open_store

    waiting = journal_bytes(locate(uri))
    if waiting > _NOTICEABLE:
        with screen(stderr=True).status(f"Reading {size(waiting)} of journals"):
            store = open_store(uri)
    else:
        store = open_store(uri)
    try:
        if store.location.notice:
            notify(store.location.notice)
        yield store
    finally:
        store.close()


@contextmanager
def writing(uri: str | None, *, create: bool = False) -> Generator[Store]:
    """Open a store to change it, with everything in it that was logged until now.

    Raises:
        StoreError: it may not be written, or it is not there and is not to be created.
    """
    from autolog.errors import StoreError
    from autolog.store import open_store
    from autolog.store.fold import fold
    from autolog.store.location import locate

    location = locate(uri)
    store = open_store(location, create=create)
    try:
        if not store.writable:
            raise StoreError(
                f"{location.uri} is not there or may not be written; --store or AUTOLOG_STORE"
                " name another place"
            )
        fold(store)
        yield store
    finally:
        store.close()


def require_experiment(store: Store, name: str) -> None:
    """Raise a NotFoundError that lists near names if there is no such experiment."""
    import difflib

    from autolog.errors import NotFoundError

    names = [experiment.name for experiment in store.experiments()]
    if name in names:
        return
    near = difflib.get_close_matches(name, names, 3) or names[:10]
    known = f" There are: {', '.join(near)}." if near else " The store is empty."
    raise NotFoundError(f"no experiment {name!r}.{known}")
