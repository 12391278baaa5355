"""Page tokens: where the next page of a search begins, bound to the search they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, Final

from autolog.errors import UsageError
from autolog.store.sql.values import from_json, to_json
from autolog.store.sql.words import Word

__all__ = ["read_token", "write_token"]

_FORM: Final = 1
_REFUSED: Final = "is no page token; pass the `next` of the page before"


def write_token(query: Any, position: Sequence[Any]) -> str:
    """Return the token of the page that begins behind a position of a query."""
    text = to_json([_FORM, _digest(query), list(position)])
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def read_token(token: str, query: Any, types: Sequence[Any]) -> list[Any]:
    """Return the position that a token holds.

    Args:
        token: what `write_token` made.
        query: the same as when it was made.
        types: SQL types of the values of a position.

    Raises:
        UsageError: it is no token, or belongs to another query.
    """
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        found: Any = from_json(base64.urlsafe_b64decode(padded).decode())
        form, digest, position = found
    except (ValueError, TypeError, AttributeError, binascii.Error) as exc:
        raise UsageError(f"{token!r} {_REFUSED}") from exc
    if form != _FORM or not isinstance(digest, str) or not isinstance(position, list):
        raise UsageError(f"{token!r} {_REFUSED}")
    if digest != _digest(query):
        raise UsageError(
            "this page token belongs to another search: filter, order_by and experiment must be"
            " the same for every page"
        )
    values: list[Any] = list(position)  # type: ignore[reportUnknownArgumentType]
    if len(values) != len(types) or not all(map(_fits, values, types)):
        raise UsageError(f"{token!r} {_REFUSED}")
    return values


def _fits(value: Any, type_: Any) -> bool:
    wanted = str if isinstance(type_, Word) else type_.python_type
    if type(value) is int and not -(1 << 63) <= value < 1 << 63:
        return False
    return value is None or type(value) is wanted


def _digest(query: Any) -> str:
    return hashlib.sha256(to_json(query).encode()).hexdigest()[:16]
