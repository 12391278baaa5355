"""The store in an SQL database, by SQLAlchemy Core. SQLite now; nothing here rules out Postgres."""
