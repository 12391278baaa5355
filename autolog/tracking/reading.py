"""Reading what was recorded, from the training process or any other.

These calls read the store of the settings after folding every journal into it, this process's
own included, so that they see all that was logged before. They are the only ones that import a
database into the program that calls them.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from autolog.artifacts.manifest import STAGED
from autolog.entities import TABLE, Artifact, Experiment, Model, Run
from autolog.errors import AutologError, NotFoundError, StoreError, UsageError
from autolog.tracking import abandoned, lifecycle
from autolog.tracking.recorder import current_recorder
from autolog.tracking.run import LiveRun

if TYPE_CHECKING:
    from autolog.store import Store
    from autolog.store.answers import RunList
    from autolog.store.points import History
    from autolog.store.tables import Table

__all__ = [
    "get_artifact",
    "get_run",
    "list_artifacts",
    "load_model",
    "load_table",
    "metric_history",
    "open_store",
    "search_experiments",
    "search_runs",
]

_kept: dict[tuple[int, str], Store] = {}
"""The embedded store that the last call used, by process and URI; one at most."""


def open_store(uri: str | None = None) -> Store:
    """Open a store with everything in it that was acknowledged until now.

    Args:
        uri: a path or a store URI; None takes the setting `store`, else the default place.

    Raises:
        StoreError: it cannot be opened; the message says what to do.
        NewerStoreError: it was written by a newer autolog.
    """
    from autolog.store import open_store as open_plain
    from autolog.store.fold import fold

    # A program that changes its folder still reads where it has written.
    store = open_plain(uri if uri is not None else current_recorder().location)
    lifecycle.settle()
    fold(store)
    abandoned.take_up(store)
    return store


_SEARCHES_BY: Final = ("filter", "experiment", "order_by", "limit", "page_token", "total")
_OF_MLFLOW: Final = {
    "filter_string": "write filter='...'",
    "max_results": "write limit=...",
    "experiment_names": "write experiment=[...], the names",
    "experiment_ids": "write experiment=[...], the names; without it all are searched",
    "search_all_experiments": "leave it out: all are searched unless experiment= is given",
    "output_format": "call .to_pandas() on the answer",
    "run_view_type": "deleted runs are found by open_store().search(..., deleted=True)",
}


def get_run(run: str | LiveRun) -> Run:
    """Find a run by its id, the beginning of its id, or its name.

    Raises:
        NotFoundError: there is none, or several fit; the message lists the nearest.
    """
    with _reading() as store:
        return store.run(_reference(run))


def search_runs(
    filter: str | None = None,  # noqa: A002  the field's standard name
    *,
    experiment: str | Sequence[str] | None = None,
    order_by: str | Sequence[str] | None = None,
    limit: int | None = 100,
    page_token: str | None = None,
    total: bool = False,
    **foreign: Any,
) -> RunList:
    """Search the runs of the whole store, or of some experiments.

        search_runs("metrics.val_acc > 0.9 and (params.opt = 'adam' or tags.best = '1')",
                    order_by=["metrics.val_acc desc"])

    The filter is MLflow's with `or`, `not`, parentheses, `in`, `between`, typed params
    (`params.lr < 0.01`; a value in quotes compares the text), `first() last() min() max()` of a
    metric, and `parent. root. children.` before a field of a related run.

    Args:
        filter: None returns all runs.
        experiment: only runs of this experiment, or of these.
        order_by: keys to sort by, each with `desc` or not. Runs without a value come last; equal
            runs, and all where no key is given, come newest first.
        limit: at most this many; None returns all.
        page_token: the `next` of an answer to the same search: the runs that follow it.
        total: also count how many runs pass in all.
        **foreign: nothing else; an argument of MLflow is answered with what to write here.

    Returns:
        A sequence of runs with `.complete`, `.next`, `.total`, `.to_pandas()`, `.to_polars()` and
        `.to_arrow()`.

    Raises:
        QueryError: the filter or an order cannot be read; the message points at the character.
        UsageError: the limit or the page token makes no sense, or an argument is unknown; for
            those of MLflow it says what to write.
    """
    for name in foreign:
        hint = _OF_MLFLOW.get(name) or f"its arguments are {', '.join(_SEARCHES_BY)}"
        raise UsageError(f"search_runs has no argument {name!r}: {hint}")
    with _reading() as store:
        return store.search(
            filter,
            experiment=experiment,
            order_by=order_by,
            limit=limit,
            page_token=page_token,
            total=total,
        )


def search_experiments() -> list[Experiment]:
    """Return all experiments with their numbers of runs."""
    with _reading() as store:
        return store.experiments()


def metric_history(
    run: str | LiveRun,
    key: str,
    *,
    context: str | Mapping[str, Any] | None = None,
    attempt: int | Literal["all"] | None = None,
    steps: tuple[int, int] | None = None,
) -> History:
    """Return every point of a metric that counts, ordered by step.

    Args:
        run: a run, its id or its name.
        key: the metric's name.
        context: only points of this phase, or whose context has all these entries.
        attempt: by default points that a later attempt of the run has gone over again are left
            out; a number chooses the points of that attempt, "all" all there are.
        steps: only points from the first of these steps to the last, both included.

    Returns:
        NumPy arrays `.step` (int64), `.value` (float64), `.timestamp` (int64, microseconds since
        the epoch), `.epoch`, `.attempt` and `.context`; `.to_pandas()` and the like make a table.

    Raises:
        NotFoundError: there is no such run, or it has no such metric.
    """
    with _reading() as store:
        return store.history(_reference(run), key, context=context, attempt=attempt, steps=steps)


def load_model(
    run: str | LiveRun,
    name: str | None = None,
    *,
    allow_pickle: bool = False,
    trusted: Sequence[str] | None = None,
) -> Any:
    """Load the model of a run.

    From an embedded store whose files belong to this user a pickle is loaded as it is, and is
    stored in the framework's safe format as well; from any other store only safe formats are
    loaded unless `allow_pickle` is true.

    Args:
        run: a run, its id or its name.
        name: which of its models, if it has several.
        allow_pickle: trust a pickle of another user.
        trusted: names of types whose code you trust. Given, even empty, only a safe format is
            loaded, and nothing is constructed but these types and those known as safe.

    Raises:
        NotFoundError: there is no such run or model.
        ModelError: it cannot be loaded, or a pickle or a type would have to be trusted; the
            message names the types.
    """
    from autolog.artifacts import loading
    from autolog.artifacts.repository import Repository

    reference = _reference(run)
    with _reading() as store:
        forms = _choose(store.details(reference).models, name, reference)
        repository = Repository(store.location.artifacts)
        database = store.location.database

        def is_own(model: Model) -> bool:
            files = [repository.path(file.uri) for file in model.files]
            return allow_pickle or loading.owned_by_this_user(database, *files)

        staged = [one for one in forms if one.format == STAGED]
        usable = [one for one in staged if trusted is None and is_own(one)]
        chosen = [*usable, *(one for one in forms if one.format != STAGED), *staged][0]
        instance = loading.load(chosen, repository, own=is_own(chosen), trusted=trusted)
        if store.writable and [chosen] == forms and "not_converted" not in chosen.manifest:
            try:
                converted = loading.convert(chosen, instance, repository)
            except AutologError as exc:  # the model itself has been loaded
                known = {**chosen.manifest, "not_converted": str(exc)}
                converted = msgspec.structs.replace(chosen, manifest=known)
            if converted is not None:
                with contextlib.suppress(AutologError):
                    store.record_model(reference, converted)
        lifecycle.model_loaded(instance, store.run(reference).run_id)
        return instance


def load_table(run: str | LiveRun, name: str) -> Table:
    """Load a table of a run, the last one of that name.

    Returns:
        `.columns`, lists by name; `.to_pandas()` and the like make a DataFrame.

    Raises:
        NotFoundError: there is no such run, or it has no such table.
        StoreError: its file is gone, or is not what was stored.
    """
    import json

    from autolog.artifacts.repository import Repository
    from autolog.store.tables import Table

    reference = _reference(run)
    with _reading() as store:
        details = store.details(reference)
        told = {one.data["name"]: one.data for one in details.events if one.kind == TABLE}
        if name not in told:
            known = ", ".join(told) or "none"
            raise NotFoundError(f"run {reference} has no table {name!r}; it has: {known}")
        columns = told[name].get("columns")
        if columns is None:
            path = told[name]["artifact"]
            file = next(one for one in reversed(details.artifacts) if one.path == path)
            split = json.loads(Repository(store.location.artifacts).read(file.uri))
            cells = zip(*split["data"], strict=True)
            columns = dict(zip(split["columns"], map(list, cells), strict=True))
        return Table(name=name, columns=columns)


def list_artifacts(run: str | LiveRun, path: str = "") -> list[Artifact]:
    """List the files of a run, by path.

    Args:
        run: a run, its id or its name.
        path: only this file, or those of this folder.

    Raises:
        NotFoundError: there is no such run, or it has no such file.
    """
    reference = _reference(run)
    with _reading() as store:
        return _below(store.details(reference).artifacts, path, reference)


def get_artifact(run: str | LiveRun, path: str = "", to: str | Path | None = None) -> Path:
    """Copy a file of a run, or a folder of its files, and compare it with what was stored.

    Args:
        run: a run, its id or its name.
        path: the file, or the folder, below the run's artifacts; nothing means all of them.
        to: the folder to copy into, keeping paths; a new temporary folder by default.

    Returns:
        Where the file or the folder is now.

    Raises:
        NotFoundError: there is no such run, or it has no such file.
        StoreError: a file is gone, or is not what was stored.
    """
    from autolog.artifacts.repository import Repository

    reference = _reference(run)
    with _reading() as store:
        wanted = _below(store.details(reference).artifacts, path, reference)
        repository = Repository(store.location.artifacts)
    place = Path(to) if to is not None else Path(tempfile.mkdtemp(prefix="autolog-"))
    for file in wanted:
        target = place / file.path
        if not target.resolve().is_relative_to(place.resolve()):
            raise StoreError(f"run {reference} names a file outside of its own: {file.path!r}")
        if not _copy_linked(file, target):
            repository.get(file.uri, target)
    return place / path


def _copy_linked(file: Artifact, target: Path) -> bool:
    """Copy a file that was linked to; False if it is one of the store's own.

    Raises:
        StoreError: it is not there any more, or is another one now.
    """
    from autolog.artifacts import copying, links

    state = links.state(file.uri)
    if state is None:
        return False
    place = links.place(file.uri)
    if state == "linked":
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if copying.copy(place, target) is not None and links.state(file.uri) == "linked":
                return True
    raise StoreError(
        f"{file.path} was too large to be copied (max_model_mb) and was linked to {place}, which is"
        f" {'gone' if state == 'gone' else 'another file now'}"
    )


def _below(files: list[Artifact], path: str, reference: str) -> list[Artifact]:
    wanted = path.strip("/")
    found = [f for f in files if not wanted or f.path == wanted or f.path.startswith(f"{wanted}/")]
    if wanted and not found:
        known = ", ".join(file.path for file in files[:20]) or "none"
        raise NotFoundError(f"run {reference} has no file {path!r}; it has: {known}")
    return found


@contextlib.contextmanager
def _reading() -> Generator[Store]:
    """Lend the store of this process: an embedded one stays open from call to call.

    Opening one took as long as a search. It is opened anew if its file is not what it was, in a
    forked child, and where it is a copy in memory or a server, whose connections are not ours to
    keep.
    """
    from autolog.store.fold import fold

    place = (os.getpid(), current_recorder().location.uri)
    store = _kept.pop(place, None)
    if store is not None and store.is_current():
        lifecycle.settle()
        fold(store)
        abandoned.take_up(store)
    else:
        _close_kept()
        store = open_store()
    try:
        yield store
    finally:
        if store.writable and not store.location.remote and not _kept:
            _kept[place] = store
        else:
            store.close()


def _close_kept() -> None:
    """Close the store that is kept; one that a fork brought along is its parent's."""
    while _kept:
        (pid, _), store = _kept.popitem()
        if pid == os.getpid():
            store.close()


def _reference(run: str | LiveRun) -> str:
    if isinstance(run, LiveRun):
        return run.run_id
    return run.run_id if isinstance(run, Run) else run


def _choose(saved: list[Model], name: str | None, reference: str) -> list[Model]:
    """Return the one model that is meant, in each format that it is stored in.

    Of a model that is there as its last and its best checkpoint, the best is meant; where it is
    there as it was at the end too, that.
    """
    names = sorted({model.name for model in saved})
    wanted = name if name is not None else names[0] if len(names) == 1 else None
    states = {str(model.manifest.get("group", model.name)) for model in saved}
    if wanted is None and len(states) == 1:
        best = [model.name for model in saved if model.manifest.get("role") == "best"]
        wanted = best[0] if best else names[0]
    ends = {model.name for model in saved if "group" not in model.manifest}
    if wanted is None and len(ends) == 1:
        wanted = ends.pop()
    if name is None and not names:
        raise NotFoundError(f"run {reference} has no model")
    fitting = [model for model in saved if model.name == wanted]
    if not fitting:
        raise NotFoundError(
            f"run {reference} has no model {name!r}; it has: {', '.join(names) or 'none'}"
            if name is not None
            else f"run {reference} has several models, name one: {', '.join(names)}"
        )
    return fitting
