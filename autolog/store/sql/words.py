"""Text that both databases can keep: Postgres refuses the character NUL.

On Postgres it is stored as two characters, an escape from the private use area and a letter; the
escape itself is doubled up in the same way, so every text reads back as it was written. SQLite
keeps all text as it is.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Dialect, Text, TypeDecorator

__all__ = ["Word", "escaped"]

_ESCAPE: Final = "\uf8e0"
_NUL: Final = _ESCAPE + "0"
_SELF: Final = _ESCAPE + "e"


class Word(TypeDecorator[str]):
    """The type of every column of text."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Any:
        """Escape on the way to Postgres."""
        return _escape if dialect.name == "postgresql" else None

    def result_processor(self, dialect: Dialect, coltype: Any) -> Any:  # noqa: ARG002
        """Read back what was escaped."""
        return _unescape if dialect.name == "postgresql" else None


def escaped(text: str, dialect: Dialect) -> str:
    """Return text as a column of `dialect` holds it, for patterns that are not whole values."""
    return str(_escape(text)) if dialect.name == "postgresql" else text


def _escape(value: Any) -> Any:
    if value is None or ("\0" not in value and _ESCAPE not in value):
        return value
    return value.replace(_ESCAPE, _SELF).replace("\0", _NUL)


def _unescape(value: Any) -> Any:
    if value is None or _ESCAPE not in value:
        return value
    return value.replace(_NUL, "\0").replace(_SELF, _ESCAPE)
