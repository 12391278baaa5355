"""The first schema.

Revision ID: 0001
Revises:
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
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Big = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Column[Any]:
    return Column("id", Big, Identity(), primary_key=True)


def _run_id() -> Column[Any]:
    return Column("run_id", Big, ForeignKey("run.id"), primary_key=True)


def _key_id() -> Column[Any]:
    return Column("key_id", Big, primary_key=True)


def _text(name: str, default: str | None = None) -> Column[Any]:
    return Column(name, Text, nullable=default is None, server_default=default)


def _model_id() -> Column[Any]:
    return Column("model_id", Big, ForeignKey("registered_model.id"), primary_key=True)


def _index(name: str, table: str, columns: list[str], *, where: str) -> None:
    condition = text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    """Create every table."""
    _writers()
    _runs()
    _points()
    _described()
    _registry()


def _writers() -> None:
    op.create_table(
        "experiment",
        _id(),
        Column("name", Text, nullable=False, unique=True),
        Column("created_us", Big, nullable=False),
        _text("lifecycle", "active"),
    )
    op.create_table(
        "key",
        _id(),
        Column("kind", Text, nullable=False),  # metric, param, tag, context
        Column("name", Text, nullable=False),
        UniqueConstraint("kind", "name"),
    )
    op.create_table(
        "writer",
        _id(),
        Column("uid", Text, nullable=False, unique=True),
        Column("last_seq", Big, nullable=False, server_default="0"),
        Column("segment", Big, nullable=False, server_default="0"),
        Column("byte_offset", Big, nullable=False, server_default="0"),
        Column("cursor_seq", Big, nullable=False, server_default="0"),
        Column("dictionary", LargeBinary),
        Column("started", Boolean, nullable=False, server_default=text("false")),
        _text("state", "open"),  # open, closed, silent, dead
        Column("start_us", Big, nullable=False),
        Column("last_us", Big, nullable=False),
        _text("host"),
        _text("machine"),
        _text("boot"),
        _text("pid_namespace"),
        Column("pid", Big),
        Column("pid_start", Big),
        _text("ancestors"),  # JSON [[pid, start], ...], nearest first
        _text("group_key"),
        Column("group_rank", Big),
        Column("group_size", Big),
        Index("ix_writer_process", "pid", "pid_start"),
    )
    op.create_table(
        "process",
        Column("writer_id", Big, ForeignKey("writer.id"), primary_key=True),
        Column("seq", Big, primary_key=True, autoincrement=False),
        Column("data", Text, nullable=False),  # JSON of records.Process
    )
    op.create_table(
        "span",
        Column("writer_id", Big, ForeignKey("writer.id"), primary_key=True),
        Column("span", Big, primary_key=True, autoincrement=False),
        Column("run_id", Big),
        _text("role"),
        _text("kind"),
        _text("name"),
        Column("open_us", Big),
        Column("close_us", Big),
    )


def _runs() -> None:
    op.create_table(
        "run",
        _id(),
        Column("uid", Text, nullable=False, unique=True),
        Column("experiment_id", Big, ForeignKey("experiment.id")),
        Column("name", Text, nullable=False),
        _text("kind", "run"),
        _text("status", "RUNNING"),
        _text("ended_by"),  # record, lease
        Column("opened", Boolean, nullable=False, server_default=text("false")),
        Column("attempt", Big, nullable=False, server_default="0"),
        _text("parent_uid"),
        Column("root_uid", Text, nullable=False),
        Column("depth", Big, nullable=False, server_default="0"),
        Column("user_opened", Boolean, nullable=False, server_default=text("false")),
        Column("adopt", Boolean, nullable=False, server_default=text("false")),
        Column("start_us", Big, nullable=False),
        Column("end_us", Big),
        Column("last_us", Big, nullable=False),
        Column("origin_id", Big),  # the writer of its RunOpen
        Column("process_seq", Big),
        Column("owner_id", Big),  # the writer that ends it
        _text("user_name"),
        _text("host"),
        _text("source"),
        _text("source_type"),
        _text("commit_id"),
        _text("branch"),
        Column("dirty", Boolean),
        _text("recipe"),
        _text("description"),
        Column("exit_code", Big),
        _text("error"),
        _text("lifecycle", "active"),
        Column("deleted_us", Big),
        Column("tail_no", Big, nullable=False, server_default="0"),
        Column("clean_no", Big, nullable=False, server_default="0"),
        Column("ver", Big, nullable=False, server_default="0"),
    )
    op.create_index("ix_run_list", "run", ["lifecycle", "start_us", "uid"])
    op.create_index("ix_run_experiment", "run", ["experiment_id", "lifecycle", "start_us", "uid"])
    op.create_index("ix_run_parent", "run", ["parent_uid", "start_us"])
    op.create_index("ix_run_root", "run", ["root_uid", "start_us"])
    op.create_index("ix_run_name", "run", ["name"])
    op.create_index("ix_run_owner", "run", ["owner_id", "status"])
    op.create_index("ix_run_origin", "run", ["origin_id"])
    _index("ix_run_dirty", "run", ["experiment_id"], where="tail_no > clean_no")
    _index("ix_run_adopt", "run", ["id"], where="adopt")
    _index("ix_run_recipe", "run", ["recipe"], where="recipe IS NOT NULL")


def _points() -> None:
    op.create_table(
        "tail",
        _run_id(),
        Column("no", Big, primary_key=True, autoincrement=False),  # counts the blobs of a run
        Column("writer_id", Big, nullable=False),
        Column("seq", Big, nullable=False),  # of the first point
        Column("n", Big, nullable=False),  # values, not records
        Column("data", LargeBinary, nullable=False),
    )
    op.create_table(
        "series",
        _run_id(),
        _key_id(),
        Column("context_id", Big, primary_key=True, autoincrement=False),
        Column("attempt", Big, primary_key=True, autoincrement=False),
        Column("experiment_id", Big),
        Column("shown", Boolean, nullable=False, server_default=text("false")),
        Column("n", Big, nullable=False),
        Column("nan_count", Big, nullable=False),
        Column("first_step", Big, nullable=False),
        Column("first_us", Big, nullable=False),
        Column("first_seq", Big, nullable=False),
        Column("first_value", Double),
        Column("last_step", Big, nullable=False),
        Column("last_us", Big, nullable=False),
        Column("last_seq", Big, nullable=False),
        Column("last_value", Double),
        Column("min_value", Double),
        Column("max_value", Double),
        Column("sum_value", Double),
        sqlite_with_rowid=False,
    )
    _index("ix_series_last", "series", ["experiment_id", "key_id", "last_value"], where="shown")
    op.create_table(
        "chunk",
        _run_id(),
        _key_id(),
        Column("context_id", Big, primary_key=True, autoincrement=False),
        Column("attempt", Big, primary_key=True, autoincrement=False),
        Column("idx", Big, primary_key=True, autoincrement=False),
        Column("n", Big, nullable=False),
        Column("step_min", Big, nullable=False),
        Column("step_max", Big, nullable=False),
        Column("us_min", Big, nullable=False),
        Column("us_max", Big, nullable=False),
        Column("min_value", Double),
        Column("max_value", Double),
        Column("codec", Big, nullable=False),
        Column("data", LargeBinary, nullable=False),
    )


def _described() -> None:
    op.create_table(
        "param",
        _run_id(),
        _key_id(),
        Column("type", Text, nullable=False),
        Column("json", Text),  # NULL for text, which stands in `text` as it is
        Column("num", Double),
        Column("text", Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_param_text", "param", ["key_id", text("substr(text, 1, 128)")])
    _index("ix_param_num", "param", ["key_id", "num"], where="num IS NOT NULL")
    op.create_table(
        "tag",
        _run_id(),
        _key_id(),
        Column("text", Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tag_text", "tag", ["key_id", text("substr(text, 1, 128)")])
    op.create_table(
        "run_doc",
        _run_id(),
        Column("ver", Big, nullable=False),  # of the run that the document shows
        Column("form", Big, nullable=False),  # a document of another form is made anew
        Column("data", LargeBinary, nullable=False),
    )
    op.create_table(
        "event",
        _id(),
        Column("run_id", Big, ForeignKey("run.id")),
        Column("writer_id", Big),
        Column("kind", Text, nullable=False),
        Column("wall_us", Big, nullable=False),
        Column("data", Text, nullable=False),
        Column("mark", Text, unique=True),  # an event with a mark is recorded once
        Index("ix_event_run", "run_id", "wall_us"),
        Index("ix_event_writer", "writer_id"),
    )
    op.create_table(
        "artifact",
        _run_id(),
        Column("path", Text, primary_key=True),
        Column("size", Big, nullable=False),
        Column("sha256", Text, nullable=False),
        Column("uri", Text, nullable=False),
        Index("ix_artifact_sha256", "sha256"),
    )
    op.create_table(
        "model",
        _run_id(),
        Column("name", Text, primary_key=True),
        Column("format", Text, primary_key=True),
        Column("safe", Boolean, nullable=False),
        Column("size", Big, nullable=False),
        Column("paths", Text, nullable=False),
        Column("manifest", Text, nullable=False),
        Column("wall_us", Big, nullable=False),
    )
    op.create_table(
        "dataset",
        _id(),
        Column("digest", Text, nullable=False, unique=True),  # of name and profile
        Column("name", Text, nullable=False),
        Column("profile", Text, nullable=False),
    )
    op.create_table(
        "run_input",
        _run_id(),
        Column("dataset_id", Big, ForeignKey("dataset.id"), primary_key=True),
        Column("role", Text, primary_key=True),
        Index("ix_run_input_dataset", "dataset_id"),
    )


def _registry() -> None:
    op.create_table(
        "registered_model",
        _id(),
        Column("name", Text, nullable=False, unique=True),
        _text("description"),
        Column("created_us", Big, nullable=False),
        Column("last_version", Big, nullable=False, server_default="0"),
    )
    op.create_table(
        "model_version",
        _model_id(),
        Column("version", Big, primary_key=True, autoincrement=False),
        Column("run_id", Big),
        _text("model_name"),
        _text("format"),
        _text("source"),
        _text("sha256"),
        _text("description"),
        _text("lifecycle", "active"),
        Column("created_us", Big, nullable=False),
        Index("ix_model_version_run", "run_id"),
    )
    op.create_table(
        "alias",
        _model_id(),
        Column("name", Text, primary_key=True),
        Column("version", Big, nullable=False),
    )
    op.create_table(
        "promotion",
        _id(),
        Column("model_id", Big, ForeignKey("registered_model.id"), nullable=False),
        Column("alias", Text, nullable=False),
        Column("from_version", Big),
        Column("to_version", Big),
        Column("outcome", Text, nullable=False),
        _text("actor"),
        Column("wall_us", Big, nullable=False),
        _text("gates"),
        Index("ix_promotion_model", "model_id", "wall_us"),
    )
