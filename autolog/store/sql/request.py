"""What a search asks for, and what has to be known before it is planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal, or_, select

from autolog.query.nodes import Node, OrderKey, fields
from autolog.query.printer import print_filter, print_order
from autolog.store.sql.documents import NO_EXPERIMENT
from autolog.store.sql.schema import metadata

__all__ = ["Known", "Scope", "Search"]

_run = metadata.tables["run"]
_key = metadata.tables["key"]
_experiment = metadata.tables["experiment"]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for.

    Attributes:
        filter: which runs; None is all.
        order: by what they are sorted; then, or if empty, newest first.
        experiments: names of the only ones to search; None is the whole store.
        limit: the most runs that are returned; None is no limit.
        token: the `next` of the page before.
        total: whether all runs that pass are counted.
        deleted: whether deleted runs are searched as well.
    """

    filter: Node | None = None
    order: tuple[OrderKey, ...] = ()
    experiments: tuple[str, ...] | None = None
    limit: int | None = 100
    token: str | None = None
    total: bool = False
    deleted: bool = False

    @property
    def identity(self) -> list[Any]:
        """What a page token is bound to."""
        order = [print_order(key) for key in self.order]
        return [print_filter(self.filter), order, self.experiments, self.deleted]


class Scope:
    """The experiments that are searched.

    Attributes:
        condition: that a run is in one of them; None is the whole store.
        single: the id of the only one, as a subquery.
    """

    def __init__(self, wanted: Search) -> None:
        self.condition: ColumnElement[bool] | None = None
        self.single: Any = None
        if wanted.experiments is None:
            return
        numbers = select(_experiment.c.id).where(_experiment.c.name.in_(wanted.experiments))
        if NO_EXPERIMENT in wanted.experiments:
            missing = _run.c.experiment_id.is_(None)
            self.condition = or_(_run.c.experiment_id.in_(numbers), missing)
        elif len(wanted.experiments) == 1:
            self.single = numbers.scalar_subquery()
            self.condition = _run.c.experiment_id == self.single
        else:
            self.condition = _run.c.experiment_id.in_(numbers)


class Known:
    """What a search has to know before it plans; asked in one statement, or none.

    Attributes:
        keys: the ids of the names in it.
        size: about how many runs there are.
        unread: what makes a run one whose metrics are summarised first.
        dirty: whether there is such a run.
    """

    def __init__(self, connection: Connection, wanted: Search, scope: Scope) -> None:
        named = [*fields(wanted.filter), *(key.field for key in wanted.order)]
        metrics = [field for field in named if field.kind == "metric"]
        self.unread = [_run.c.tail_no > _run.c.clean_no]
        if scope.condition is not None and not any(field.relation for field in metrics):
            self.unread.append(scope.condition)
        queries: list[Any] = []
        for kind in ("metric", "param", "tag"):
            names = {field.name for field in named if field.kind == kind}
            if names:
                query = select(_key.c.kind, _key.c.name, _key.c.id)
                queries.append(query.where(_key.c.kind == kind, _key.c.name.in_(names)))
        if metrics:
            dirty = select(_run.c.id).where(*self.unread).limit(1).scalar_subquery()
            queries.append(select(literal("run"), literal("dirty"), dirty))
        if wanted.filter is not None or scope.condition is not None:
            size = select(func.max(_run.c.id)).scalar_subquery()
            queries.append(select(literal("run"), literal("size"), size))
        self.keys: dict[tuple[str, str], int] = {}
        if queries:
            found: Any = connection.execute(queries[0].union_all(*queries[1:]))
            self.keys.update(((kind, name), number) for kind, name, number in found)
        self.dirty = self.keys.get(("run", "dirty")) is not None
        self.size = self.keys.get(("run", "size")) or 0
