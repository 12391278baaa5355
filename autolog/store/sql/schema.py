"""The tables, as they are after the newest migration.

Points are appended as one columnar blob per run and batch (`tail`) and summarised later
(`series`): keeping summaries and value indexes up to date inside the write transaction cost as
much as a row per point. Every table of a run's data has the run's id in its key, so that a large
Postgres can be partitioned by run. NaN is stored as NULL: neither database compares it usefully.
Times are microseconds since the epoch.
"""

from __future__ import annotations

from typing import Any

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
    MetaData,
    Table,
    UniqueConstraint,
    and_,
    func,
    text,
)

from autolog.store.sql.words import Word

__all__ = ["Big", "metadata"]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Big = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite gives a key of its own only to a column of type INTEGER, which holds 64 bits there."""


def _id() -> Column[Any]:
    return Column("id", Big, Identity(), primary_key=True)


def _run_id() -> Column[Any]:
    return Column("run_id", Big, ForeignKey("run.id"), primary_key=True)


def _key_id() -> Column[Any]:
    return Column("key_id", Big, primary_key=True)


def _text(name: str, default: str | None = None) -> Column[Any]:
    return Column(name, Word, nullable=default is None, server_default=default)


meta = Table(
    "meta",
    metadata,
    Column("key", Word, primary_key=True),
    Column("value", Word, nullable=False),
)

experiment = Table(
    "experiment",
    metadata,
    _id(),
    Column("name", Word, nullable=False, unique=True),
    Column("created_us", Big, nullable=False),
    _text("lifecycle", "active"),
)

key = Table(
    "key",
    metadata,
    _id(),
    Column("kind", Word, nullable=False),  # metric, param, tag, context
    Column("name", Word, nullable=False),
    UniqueConstraint("kind", "name").ddl_if(dialect="sqlite"),
)
# An index entry of Postgres holds at most 2,704 bytes, and a metric's name may be longer.
Index("uq_key_digest", key.c.kind, func.md5(key.c.name), unique=True).ddl_if(dialect="postgresql")
Index("ix_key_name", key.c.name, postgresql_using="hash").ddl_if(dialect="postgresql")

writer = Table(
    "writer",
    metadata,
    _id(),
    Column("uid", Word, nullable=False, unique=True),
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
    Column("beat_us", Big),  # when somebody last said that its process lives
    Column("beat_every_us", Big),  # how often that was promised
    Index("ix_writer_process", "pid", "pid_start"),
)

_watched = and_(writer.c.beat_us.is_not(None), text("state IN ('open', 'silent')"))
Index("ix_writer_watched", writer.c.id, sqlite_where=_watched, postgresql_where=_watched)

process = Table(
    "process",
    metadata,
    Column("writer_id", Big, ForeignKey("writer.id"), primary_key=True),
    Column("seq", Big, primary_key=True, autoincrement=False),
    Column("data", Word, nullable=False),  # JSON of records.Process
)

span = Table(
    "span",
    metadata,
    Column("writer_id", Big, ForeignKey("writer.id"), primary_key=True),
    Column("span", Big, primary_key=True, autoincrement=False),
    Column("run_id", Big),
    _text("role"),
    _text("kind"),
    _text("name"),
    Column("open_us", Big),
    Column("close_us", Big),
)

run = Table(
    "run",
    metadata,
    _id(),
    Column("uid", Word, nullable=False, unique=True),
    Column("experiment_id", Big, ForeignKey("experiment.id")),
    Column("name", Word, nullable=False),
    _text("kind", "run"),
    _text("status", "RUNNING"),
    _text("ended_by"),  # record, lease
    Column("opened", Boolean, nullable=False, server_default=text("false")),
    Column("attempt", Big, nullable=False, server_default="0"),
    _text("parent_uid"),
    Column("root_uid", Word, nullable=False),
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
    # Opened by a process that took it to be there: whoever opens it as new is its beginning.
    Column("joined", Boolean, nullable=False, server_default=text("false")),
    _text("job"),  # digest of a scheduler's job and of the run's place in it
    Column("tail_n", Big, nullable=False, server_default="0"),  # values that are not sealed
)
Index("ix_run_list", run.c.lifecycle, run.c.start_us, run.c.uid)
Index("ix_run_experiment", run.c.experiment_id, run.c.lifecycle, run.c.start_us, run.c.uid)
Index("ix_run_parent", run.c.parent_uid, run.c.start_us)
Index("ix_run_root", run.c.root_uid, run.c.start_us)
Index("ix_run_name", run.c.name)
Index("ix_run_owner", run.c.owner_id, run.c.status)
Index("ix_run_origin", run.c.origin_id)
_dirty = run.c.tail_no > run.c.clean_no
Index("ix_run_dirty", run.c.experiment_id, sqlite_where=_dirty, postgresql_where=_dirty)
Index("ix_run_adopt", run.c.id, sqlite_where=run.c.adopt, postgresql_where=run.c.adopt)
Index("ix_run_recipe", run.c.recipe)
_in_job = run.c.job.is_not(None)
Index("ix_run_job", run.c.job, sqlite_where=_in_job, postgresql_where=_in_job)
_large = run.c.tail_n >= text("4096")
Index("ix_run_unsealed", run.c.tail_n, sqlite_where=_large, postgresql_where=_large)

attempt = Table(
    "attempt",
    metadata,
    _run_id(),
    Column("attempt", Big, primary_key=True, autoincrement=False),
    Column("writer_id", Big),  # whose points without an attempt of their own belong to it
    Column("start_us", Big, nullable=False),
    Column("restored_step", Big),  # later points of earlier attempts are superseded
    _text("status"),  # how it ended, once another one has followed
    _text("ended_by"),
    Column("end_us", Big),
    _text("error"),
)

tail = Table(
    "tail",
    metadata,
    _run_id(),
    Column("no", Big, primary_key=True, autoincrement=False),  # counts the blobs of a run
    Column("writer_id", Big, nullable=False),
    Column("seq", Big, nullable=False),  # of the first point
    Column("n", Big, nullable=False),  # values, not records
    Column("data", LargeBinary, nullable=False),
)

series = Table(
    "series",
    metadata,
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
# One series of each key of a run is `shown`: the one that listings and searches speak of. It is a
# column of the indexes as well, or SQLite would look up every row to see that it is.
Index(
    "ix_series_last",
    series.c.experiment_id,
    series.c.key_id,
    series.c.last_value,
    series.c.shown,
    sqlite_where=series.c.shown,
    postgresql_where=series.c.shown,
)
Index(
    "ix_series_key",
    series.c.key_id,
    series.c.last_value,
    series.c.shown,
    sqlite_where=series.c.shown,
    postgresql_where=series.c.shown,
)

axis = Table(
    "axis",  # steps, times and epochs that several sealed series share
    metadata,
    _run_id(),
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("n", Big, nullable=False),
    Column("shared", Big, nullable=False),  # by how many series
    Column("step_min", Big, nullable=False),
    Column("step_max", Big, nullable=False),
    Column("us_min", Big, nullable=False),
    Column("us_max", Big, nullable=False),
    Column("codec", Big, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

chunk = Table(
    "chunk",
    metadata,
    _run_id(),
    _key_id(),
    Column("context_id", Big, primary_key=True, autoincrement=False),
    Column("attempt", Big, primary_key=True, autoincrement=False),
    Column("axis_id", Big, primary_key=True, autoincrement=False),
    Column("n", Big, nullable=False),
    Column("nan_count", Big, nullable=False),
    Column("first_value", Double),
    Column("last_value", Double),
    Column("min_value", Double),
    Column("max_value", Double),
    Column("codec", Big, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

param = Table(
    "param",
    metadata,
    _run_id(),
    _key_id(),
    Column("type", Word, nullable=False),
    Column("json", Word),  # NULL for text, which stands in `text` as it is
    Column("num", Double),
    Column("text", Word, nullable=False),
    sqlite_with_rowid=False,
)
# For the same reason only the head of a text is indexed.
Index("ix_param_text", param.c.key_id, func.substr(param.c.text, text("1"), text("128")))
_numeric = param.c.num.is_not(None)
Index(
    "ix_param_num",
    param.c.key_id,
    param.c.num,
    sqlite_where=_numeric,
    postgresql_where=_numeric,
)

tag = Table(
    "tag",
    metadata,
    _run_id(),
    _key_id(),
    Column("text", Word, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_tag_text", tag.c.key_id, func.substr(tag.c.text, text("1"), text("128")))

run_doc = Table(
    "run_doc",
    metadata,
    _run_id(),
    Column("ver", Big, nullable=False),  # of the run that the document shows
    Column("form", Big, nullable=False),  # a document of another form is made anew
    Column("data", LargeBinary, nullable=False),
)

event = Table(
    "event",
    metadata,
    _id(),
    Column("run_id", Big, ForeignKey("run.id")),
    Column("writer_id", Big),
    Column("kind", Word, nullable=False),
    Column("wall_us", Big, nullable=False),
    Column("data", Word, nullable=False),
    Column("mark", Word, unique=True),  # an event with a mark is recorded once
    Index("ix_event_run", "run_id", "wall_us"),
    Index("ix_event_writer", "writer_id"),
)

artifact = Table(
    "artifact",
    metadata,
    _run_id(),
    Column("path", Word, primary_key=True),
    Column("size", Big, nullable=False),
    Column("sha256", Word, nullable=False),
    Column("uri", Word, nullable=False),
    Index("ix_artifact_sha256", "sha256"),
)

model = Table(
    "model",
    metadata,
    _run_id(),
    Column("name", Word, primary_key=True),
    Column("format", Word, primary_key=True),
    Column("safe", Boolean, nullable=False),
    Column("size", Big, nullable=False),
    Column("paths", Word, nullable=False),
    Column("manifest", Word, nullable=False),
    Column("wall_us", Big, nullable=False),
)

dataset = Table(
    "dataset",
    metadata,
    _id(),
    Column("digest", Word, nullable=False, unique=True),  # of name and profile
    Column("name", Word, nullable=False),
    Column("profile", Word, nullable=False),
)

run_input = Table(
    "run_input",
    metadata,
    _run_id(),
    Column("dataset_id", Big, ForeignKey("dataset.id"), primary_key=True),
    Column("role", Word, primary_key=True),
    Index("ix_run_input_dataset", "dataset_id"),
)

imported = Table(
    "imported",  # which state of a run was taken over from another store
    metadata,
    _run_id(),
    Column("source", Word, primary_key=True),  # the `store` entry of its meta table
    Column("ver", Big, nullable=False),
)

registered_model = Table(
    "registered_model",
    metadata,
    _id(),
    Column("name", Word, nullable=False, unique=True),
    _text("description"),
    Column("created_us", Big, nullable=False),
    Column("last_version", Big, nullable=False, server_default="0"),
)


def _model_id() -> Column[Any]:
    return Column("model_id", Big, ForeignKey("registered_model.id"), primary_key=True)


model_version = Table(
    "model_version",
    metadata,
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

alias = Table(
    "alias",
    metadata,
    _model_id(),
    Column("name", Word, primary_key=True),
    Column("version", Big, nullable=False),
)

promotion = Table(
    "promotion",
    metadata,
    _id(),
    Column("model_id", Big, ForeignKey("registered_model.id"), nullable=False),
    Column("alias", Word, nullable=False),
    Column("from_version", Big),
    Column("to_version", Big),
    Column("outcome", Word, nullable=False),
    _text("actor"),
    Column("wall_us", Big, nullable=False),
    _text("gates"),
    Index("ix_promotion_model", "model_id", "wall_us"),
)
