"""Runs the migrations on the connection that `autolog.store.sql.upgrade` hands over.

That caller holds the lock and the transaction: on SQLite, too, a schema change is all or nothing.
"""

from __future__ import annotations

from typing import Any

from alembic import context

from autolog.store.sql.schema import metadata

connection: Any = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
context.run_migrations()
