"""Removes for good what nobody needs any more: what `autolog gc` does.

A file goes only if nothing names it. Whoever stores a file names it a moment later, in a journal,
and a journal reaches the database when somebody folds it. So a file stays while it is younger than
a day, or than a day before the beginning of any journal that is not folded to its end or whose
process may still live; storing the same content again makes a file young. Journals that lie where
this machine cannot see them are the one thing that this does not know of: fold them first.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Generator, Iterator
from typing import Final

import msgspec

from autolog.artifacts.repository import Repository, Stored
from autolog.errors import StoreError
from autolog.journal.files import WriterFiles, list_writers
from autolog.journal.reader import Cursor, read
from autolog.store import Store
from autolog.store.removal import Doomed, Removal, Retention

__all__ = ["Collected", "Plan", "collect", "make_plan"]

_DAY: Final = 86_400.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would go.

    Attributes:
        runs: deleted runs that go with all that they have.
        stripped: runs that keep their points, params and tags, and lose files and models.
        files: stored files that nothing else names; equal contents count once.
        bytes: their sizes.
        temporary: files that writers have left unfinished.
        temporary_bytes: their sizes.
        young: files that nothing names and that stay, because somebody may be about to.
    """

    runs: list[Doomed]
    stripped: list[Doomed]
    files: int
    bytes: int
    temporary: int
    temporary_bytes: int
    young: int


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What is gone, and what could not be removed and why."""

    runs: int
    stripped: int
    files: int
    bytes: int
    temporary: int
    temporary_bytes: int
    errors: list[str]


def make_plan(
    store: Store, *, older_than: float, rules: Retention | None, experiment: str | None
) -> Plan:
    """Find out what would go, and change nothing. The journals are folded.

    Args:
        store: of which the journals were folded.
        older_than: days since the deletion of runs that go.
        rules: which runs keep their files; all by default.
        experiment: only runs of this experiment. Files that nothing names go in any case.

    Raises:
        NotFoundError: no run has the metric of the rules.
    """
    removal = store.removal()
    runs = removal.deleted(int((time.time() - older_than * _DAY) * 1e6), experiment)
    stripped = [] if rules is None else removal.outside(rules, experiment)
    repository = Repository(store.location.artifacts)
    before = _safe_before(store)
    files = size = young = 0
    for stored in _unnamed(repository, removal, {run.id for run in runs}, {r.id for r in stripped}):
        if stored.modified < before:
            files += 1
            size += stored.blob.size
        else:
            young += 1
    stale = [octets for _, octets, written in repository.temporary() if written < before]
    return Plan(
        runs=runs,
        stripped=stripped,
        files=files,
        bytes=size,
        temporary=len(stale),
        temporary_bytes=sum(stale),
        young=young,
    )


def collect(
    store: Store,
    plan: Plan,
    rules: Retention | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> Collected:
    """Remove what a plan says. What cannot be removed is told, and stops nothing else.

    Args:
        store: that the plan was made for.
        plan: what goes; files are looked at again, as somebody may have named them since.
        rules: those of the plan.
        progress: called after each run, with the number of runs.
    """
    removal, errors = store.removal(), list[str]()
    repository = Repository(store.location.artifacts)
    steps = len(plan.runs) + len(plan.stripped)
    removed = stripped = 0
    for run in plan.runs:
        with _noted(errors, run.name):
            removed += removal.remove(run)
        if progress is not None:
            progress(steps)
    for run in plan.stripped:
        with _noted(errors, run.name):
            assert rules is not None
            removal.strip(run, rules)
            stripped += 1
        if progress is not None:
            progress(steps)
    store.sync()  # before the files that its older state names
    before = _safe_before(store)
    repository.put_back()
    files = size = 0
    for stored in _unnamed(repository, removal, (), ()):
        with _noted(errors, stored.blob.uri):
            if stored.modified < before and repository.discard(stored.blob.uri, before=before):
                files += 1
                size += stored.blob.size
    temporary = temporary_bytes = 0
    for path, octets, written in repository.temporary():
        with _noted(errors, str(path)):
            if written < before:
                repository.drop(path)
                temporary += 1
                temporary_bytes += octets
    return Collected(
        runs=removed,
        stripped=stripped,
        files=files,
        bytes=size,
        temporary=temporary,
        temporary_bytes=temporary_bytes,
        errors=errors,
    )


def _unnamed(
    repository: Repository,
    removal: Removal,
    without: Collection[int],
    stripped: Collection[int],
) -> Iterator[Stored]:
    """Yield the blobs that nothing names once runs are removed and others stripped.

    Blobs are compared with the database by the first two digits of their names, so that neither
    all blobs nor all names are in memory at once.
    """
    spoken = removal.spoken_of(without)
    ignored = {*without, *stripped}
    for group in repository.iterate():
        if group:
            named = removal.named(group[0].blob.sha256[:2], ignored)
            for stored in group:
                if stored.blob.sha256 not in named and stored.blob.sha256 not in spoken:
                    yield stored


def _safe_before(store: Store) -> float:
    """Return since when a file must not have been written to go."""
    moment = time.time()
    for files in list_writers(store.location.journal):
        oldest = WriterFiles(files.uid, {min(files.segments): files.segments[min(files.segments)]})
        header = oldest.header()
        if header is not None and header.store not in ("", store.uri):
            continue  # a folder of several stores
        if not _is_over(files, store.cursor(files.uid)):
            moment = min(moment, 0.0 if header is None else header.wall_us / 1e6)
    return moment - _DAY


def _is_over(files: WriterFiles, cursor: Cursor) -> bool:
    """Whether a journal is folded to its end, and nobody will write to it again."""
    newest = max(files.segments)
    try:
        size = files.segments[newest].stat().st_size
    except FileNotFoundError:  # a fold has removed it
        return True
    if (newest, size) != (cursor.segment, cursor.offset):
        return False
    return files.state() == "dead" or read(files, cursor).ended


@contextlib.contextmanager
def _noted(errors: list[str], name: str) -> Generator[None]:
    try:
        yield
    except (StoreError, OSError) as exc:
        errors.append(f"{name}: {exc}")
