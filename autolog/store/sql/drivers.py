"""Where a search may begin: queries of the runs that can pass a filter, each read from an index."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import func, select, text, union

from autolog.query.nodes import (
    And,
    Between,
    Clause,
    Comparison,
    Field,
    In,
    IsNull,
    Node,
    Not,
    Or,
    Value,
)
from autolog.store.sql.clauses import VALUES, Filters, attribute, shown, word
from autolog.store.sql.documents import NO_EXPERIMENT
from autolog.store.sql.schema import metadata

__all__ = ["driver"]

_run = metadata.tables["run"]
_experiment = metadata.tables["experiment"]
_found: Any = _run.alias("found_run")

_INDEXED: Final = {"run_id", "name", "parent_id", "root_id"}
_HEAD: Final = (text("1"), text("128"))  # as the index has it


def driver(filters: Filters, node: Node) -> Any:
    """Return a query of run ids with all that pass a filter, or a few more; None without an index.

    Of an And each part can be asked for its own.
    """
    if isinstance(node, Or):
        parts = [driver(filters, part) for part in node.parts]
        if any(part is None for part in parts):
            return None
        return select(union(*(select(part.subquery()) for part in parts)).subquery())
    if isinstance(node, (And, Not)):
        return None
    field = node.field
    own = _of_attribute(filters, node) if field.kind == "attribute" else _of_key(filters, node)
    return own if own is None or not field.relation else _related(field, own)


def _related(field: Field, own: Any) -> Any:
    if field.relation == "children":
        uids = select(_run.c.parent_uid).where(_run.c.id.in_(own))
        return select(_run.c.id).where(_run.c.uid.in_(uids))
    uids = select(_run.c.uid).where(_run.c.id.in_(own))
    return select(_run.c.id).where(_run.c[f"{field.relation}_uid"].in_(uids))


def _of_attribute(filters: Filters, clause: Clause) -> Any:
    name = clause.field.name
    wanted = _text(clause)
    query = select(_found.c.id)
    if name == "experiment" and wanted not in (None, NO_EXPERIMENT):
        number = select(_experiment.c.id).where(_experiment.c.name == wanted)
        return query.where(_found.c.experiment_id == number.scalar_subquery())
    listed = isinstance(clause, In) and not clause.negated
    if name not in _INDEXED or (wanted is None and not listed):
        return None
    return query.where(filters.holds(clause, attribute(_found, name), None))


def _of_key(filters: Filters, clause: Clause) -> Any:
    field = clause.field
    table = VALUES[field.kind]
    query = select(table.c.run_id).where(table.c.key_id == filters.key(field))
    if field.kind == "metric":
        query = query.where(shown(table))
    if isinstance(clause, IsNull):
        return query if clause.negated else None
    if field.part != "last":
        return query
    wanted = _text(clause)
    if wanted is not None:
        query = query.where(func.substr(table.c.text, *_HEAD) == func.substr(word(wanted), *_HEAD))
    elif field.kind == "param" and _is_numeric(clause):
        query = query.where(table.c.num.is_not(None))
    return query.where(filters.holds_of_row(clause, table))


def _text(clause: Clause) -> str | None:
    """Return the one text that a value must be to pass, if it is one."""
    if isinstance(clause, Comparison) and clause.operator == "=" and isinstance(clause.value, str):
        return clause.value
    return None


def _is_numeric(clause: Clause) -> bool:
    """Whether a parameter must be a number to pass."""
    if isinstance(clause, Comparison):
        return clause.operator != "!=" and _is_number(clause.value)
    return isinstance(clause, Between) and not clause.negated and _is_number(clause.low)


def _is_number(value: Value) -> bool:
    return not isinstance(value, (bool, str))
