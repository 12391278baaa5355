"""Alembic's environment: imported only when a database has no schema or an older one."""
