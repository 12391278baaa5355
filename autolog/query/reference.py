"""Reads what names a field: `metrics.val/loss`, ``params.`a b` ``, `status`, `parent.name`."""

from __future__ import annotations

import re
from typing import Any, Final

from autolog.query.explain import near
from autolog.query.names import ALIASES, ATTRIBUTES, FUNCTIONS, PREFIXES, RELATIONS
from autolog.query.nodes import Field

__all__ = ["PLAIN_KEY", "REFERENCE", "Misread", "as_function", "as_reference"]

_BARE: Final = r"[^\s.()<>=!,'\"`]+"
_SEGMENT: Final = rf'(?:`(?:[^`]|``)*`|"(?:[^"]|"")*"|{_BARE})'

REFERENCE: Final = rf"[^\W\d]\w*(?:\.{_SEGMENT})*"
"""The regular expression of a whole reference: a word, then segments with a dot before each."""

PLAIN_KEY: Final = re.compile(rf"{_BARE}(?:\.{_BARE})*")
"""A key that needs no quotes. It may hold `/ . - @ : %` and more, but no blanks."""

_FIRST_WORDS: Final = ("metrics", "params", "tags", "attributes", *RELATIONS)
_PREFIX_LIST: Final = ", ".join(f"{word}." for word in _FIRST_WORDS)


class Misread(Exception):  # noqa: N818  it becomes a QueryError that shows the whole text
    """Something does not make sense `at` characters into what was given."""

    def __init__(self, problem: str, at: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.at = at


def as_reference(text: str) -> Field:
    """Return the field that a reference names.

    Raises:
        Misread: it names none.
    """
    segments = [(match[0], match.start()) for match in re.finditer(_SEGMENT, text)]
    relation: Any = ""
    word, at = segments[0]
    if word in RELATIONS and len(segments) > 1:
        relation = word
        segments = segments[1:]
        word, at = segments[0]
        if word in RELATIONS:
            raise Misread(f"{relation}. is as far as a field reaches: what follows is its own", at)
    if len(segments) == 1:
        return Field("attribute", _attribute(word, at), relation)
    kind: Any = PREFIXES.get(word.lower())
    if kind is None:
        hint = near(word, _FIRST_WORDS) or f" A field begins with one of {_PREFIX_LIST}"
        raise Misread(f"{word!r} is no prefix of a field.{hint}", at)
    key_at = segments[1][1]
    if kind == "attribute":
        return Field(kind, _attribute(_unquoted(text, key_at), key_at), relation)
    return Field(kind, _unquoted(text, key_at), relation)


def as_function(name: str, text: str, offset: int) -> Field:
    """Return the field of `name(reference)`; the reference stands `offset` into the whole.

    Raises:
        Misread: there is no such function, or it takes no such field.
    """
    part: Any = name.lower()
    if part not in FUNCTIONS:
        raise Misread(
            f"{name}() is no function; there are {', '.join(FUNCTIONS)} of a metric."
            f"{near(part, FUNCTIONS)}",
            0,
        )
    try:
        field = as_reference(text)
    except Misread as exc:
        raise Misread(exc.problem, offset + exc.at) from None
    if field.kind != "metric":
        raise Misread(f"{part}() is of a metric, as in {part}(metrics.loss)", offset)
    return Field("metric", field.name, field.relation, part)


def _unquoted(text: str, at: int) -> str:
    """Return the key that begins at a place: quoted as a whole, or not at all."""
    quote = text[at]
    if quote not in '`"':
        bare = PLAIN_KEY.match(text, at)
        end = at if bare is None else bare.end()
        if end != len(text):
            raise Misread("a key is quoted as a whole: metrics.`a key`", min(end + 1, len(text)))
        return text[at:]
    key = re.compile(_SEGMENT).match(text, at)
    if key is None or key.end() != len(text):
        raise Misread("a key is quoted as a whole: metrics.`a.key`", at)
    return key[0][1:-1].replace(quote * 2, quote)


def _attribute(word: str, at: int) -> str:
    name = word.lower().replace(" ", "_")
    name = ALIASES.get(name, name)
    if name in ATTRIBUTES:
        return name
    if word in ("and", "or", "in", "is", "like", "between"):
        raise Misread(f"a field is missing before {word!r}", at)
    names = ", ".join(ATTRIBUTES)
    raise Misread(
        f"{word!r} is no attribute.{near(name, (*ATTRIBUTES, *ALIASES))} Attributes: {names}."
        f" Others are written metrics.{word}, params.{word} or tags.{word}.",
        at,
    )
