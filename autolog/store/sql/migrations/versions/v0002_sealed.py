"""Sealed series, attempts, jobs, beats, and what was taken over from other stores.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    Text,
    text,
)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Big = BigInteger().with_variant(Integer(), "sqlite")


def _run_id() -> Column[Any]:
    return Column("run_id", Big, ForeignKey("run.id"), primary_key=True)


def _number(name: str) -> Column[Any]:
    return Column(name, Big, nullable=False)


def _key(name: str) -> Column[Any]:
    return Column(name, Big, primary_key=True, autoincrement=False)


def _index(name: str, table: str, columns: list[str], *, where: str) -> None:
    condition = text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    """Add tables and columns; no revision before this one has written to `chunk`."""
    op.create_table(
        "meta",
        Column("key", Text, primary_key=True),
        Column("value", Text, nullable=False),
    )
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint("uq_key_kind_name", "key")
        op.create_index("uq_key_digest", "key", ["kind", text("md5(name)")], unique=True)
        op.create_index("ix_key_name", "key", ["name"], postgresql_using="hash")
    op.add_column("writer", Column("beat_us", Big))
    op.add_column("writer", Column("beat_every_us", Big))
    _index(
        "ix_writer_watched",
        "writer",
        ["id"],
        where="beat_us IS NOT NULL AND state IN ('open', 'silent')",
    )
    op.add_column("run", Column("joined", Boolean, nullable=False, server_default=text("false")))
    op.add_column("run", Column("job", Text))
    op.add_column("run", Column("tail_n", Big, nullable=False, server_default="0"))
    op.execute(
        "UPDATE run SET tail_n ="
        " coalesce((SELECT sum(tail.n) FROM tail WHERE tail.run_id = run.id), 0)"
    )
    # Runs whose recipe is not known yet are looked for too.
    op.drop_index("ix_run_recipe", "run")
    op.create_index("ix_run_recipe", "run", ["recipe"])
    _index("ix_run_job", "run", ["job"], where="job IS NOT NULL")
    _index("ix_run_unsealed", "run", ["tail_n"], where="tail_n >= 4096")
    op.create_table(
        "attempt",
        _run_id(),
        _key("attempt"),
        Column("writer_id", Big),
        _number("start_us"),
        Column("restored_step", Big),
        Column("status", Text),
        Column("ended_by", Text),
        Column("end_us", Big),
        Column("error", Text),
    )
    op.drop_index("ix_series_last", "series")
    values = ["key_id", "last_value", "shown"]
    _index("ix_series_last", "series", ["experiment_id", *values], where="shown")
    _index("ix_series_key", "series", values, where="shown")
    op.create_table(
        "axis",
        _run_id(),
        _key("id"),
        _number("n"),
        _number("shared"),
        _number("step_min"),
        _number("step_max"),
        _number("us_min"),
        _number("us_max"),
        _number("codec"),
        Column("data", LargeBinary, nullable=False),
    )
    op.drop_table("chunk")
    op.create_table(
        "chunk",
        _run_id(),
        Column("key_id", Big, primary_key=True),
        _key("context_id"),
        _key("attempt"),
        _key("axis_id"),
        _number("n"),
        _number("nan_count"),
        Column("first_value", Double),
        Column("last_value", Double),
        Column("min_value", Double),
        Column("max_value", Double),
        _number("codec"),
        Column("data", LargeBinary, nullable=False),
    )
    op.create_table(
        "imported",
        _run_id(),
        Column("source", Text, primary_key=True),
        _number("ver"),
    )
