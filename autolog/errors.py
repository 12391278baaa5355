"""The tree of errors that autolog raises, always from a call that the user made.

    AutologError
    ├── UsageError            a call with arguments that make no sense; also a ValueError
    │   └── QueryError        a filter or an order that cannot be read; points at the character
    ├── SettingsError         a setting (argument, environment, file) that cannot be read
    ├── IntegrationError      an integration that is unknown, missing or broken
    │   └── CompatError       a framework version outside the supported range
    ├── JournalError          the journal cannot be written or read
    ├── StoreError            the store cannot be opened, read or written
    │   ├── NotFoundError     no such run, experiment, metric or model; also a LookupError
    │   ├── NewerStoreError   the store was written by a newer autolog
    │   └── RefusedError      the database does not take a value
    └── ModelError            a model cannot be saved or loaded

A message says what happened, to what, and what to do. Hooks never raise these into the
user's program: there, problems are counted and shown once (`autolog.status()`).
"""

from __future__ import annotations

__all__ = [
    "AutologError",
    "CompatError",
    "IntegrationError",
    "JournalError",
    "ModelError",
    "NewerStoreError",
    "NotFoundError",
    "QueryError",
    "RefusedError",
    "SettingsError",
    "StoreError",
    "UsageError",
]


class AutologError(Exception):
    """Base class of every error that autolog raises."""


class UsageError(AutologError, ValueError):
    """A call was made with arguments that make no sense together or at all."""


class QueryError(UsageError):
    """A filter or an order cannot be read; the message points at the offending character."""


class SettingsError(AutologError):
    """A setting has a value that cannot be read; the message names where it came from."""


class IntegrationError(AutologError):
    """A named integration is unknown, its framework is missing, or its declaration is broken."""


class CompatError(IntegrationError):
    """A named framework is installed in a version outside the supported range."""


class JournalError(AutologError):
    """The journal of this process cannot be written, or a journal file cannot be read."""


class StoreError(AutologError):
    """The store cannot be opened, read or written."""


class NotFoundError(StoreError, LookupError):
    """The store has no such run, experiment, metric, artifact or model."""


class NewerStoreError(StoreError):
    """The store was written by a newer version of autolog than this one."""


class RefusedError(StoreError):
    """The database does not take a value that it was given, however often it is sent."""


class ModelError(AutologError):
    """A model cannot be saved or loaded."""
