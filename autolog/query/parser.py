"""Reads filters and orders into syntax trees, and says where and why one cannot be read."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, cast

from lark import Lark, Token, Transformer
from lark import v_args as _v_args  # type: ignore[reportUnknownVariableType]
from lark.exceptions import UnexpectedCharacters, UnexpectedInput

from autolog.errors import QueryError, UsageError
from autolog.query.compare import objection
from autolog.query.explain import error_at
from autolog.query.names import type_of
from autolog.query.nodes import (
    And,
    Between,
    Comparison,
    In,
    IsNull,
    Node,
    Not,
    Or,
    OrderKey,
)
from autolog.query.reference import REFERENCE, Misread, as_function, as_reference

__all__ = ["parse_filter", "parse_order"]

_GRAMMAR: Final = rf"""
filter: [_any]
order: key ("," key)*

_any: conjunction | any_of
any_of: conjunction (_OR conjunction)+
?conjunction: negation | all_of
all_of: negation (_AND negation)+
?negation: clause | negate | group
negate: _NOT negation
group: "(" _any ")"

?clause: field COMPARE literal                           -> comparison
       | field LIKE literal                              -> comparison
       | field _NOT LIKE literal                         -> unlike
       | field _IN "(" literal ("," literal)* ")"        -> one_of
       | field _NOT _IN "(" literal ("," literal)* ")"   -> none_of
       | field _BETWEEN literal _AND literal             -> between
       | field _NOT _BETWEEN literal _AND literal        -> outside
       | field _IS NULL                                  -> missing
       | field _IS _NOT NULL                             -> present

field: REF | REF "(" REF ")"
key: field [DIRECTION]
literal: NUMBER | TEXT | TRUE | FALSE | NULL

COMPARE: /<>|!=|==|<=|>=|=|<|>/
_OR.2: /or(?![\w.])/i
_AND.2: /and(?![\w.])/i
_NOT.2: /not(?![\w.])/i
_IN.2: /in(?![\w.])/i
_BETWEEN.2: /between(?![\w.])/i
_IS.2: /is(?![\w.])/i
LIKE.2: /i?like(?![\w.])/i
NULL.2: /null(?![\w.])/i
TRUE.2: /true(?![\w.])/i
FALSE.2: /false(?![\w.])/i
DIRECTION.2: /(asc|desc)(?![\w.])/i
NUMBER.2: /[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)(?![\w.])/i
TEXT: /'([^']|'')*'|"([^"]|"")*"/
REF: /{REFERENCE}/
%ignore /\s+/
"""

_MAX_DEPTH: Final = 50
_MAX_CLAUSES: Final = 200
_MAX_VALUES: Final = 10_000
_MAX_DIGITS: Final = 1000
"""SQLite takes a statement of this size with room to spare; longer numbers are infinite."""

_EXPECTED: Final = {
    "REF": "a field (metrics.acc, params.lr, tags.stage, status, ...)",
    "OPERATOR": "an operator (=, !=, <, <=, >, >=, LIKE, ILIKE, IN, BETWEEN, IS NULL)",
    "LITERAL": "a value (a number, a text in quotes, true, false or null)",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "a comma",
    "_AND": "AND",
    "_OR": "OR",
    "_NOT": "NOT",
    "DIRECTION": "asc, desc",
    "$END": "the end",
}
_LUMP: Final = re.compile(r"[\w.]+|&&|\|\||.", re.DOTALL)
_WORD: Final = re.compile(r"[^\s()',\"`]+")
_GROUPS: Final = {
    **dict.fromkeys(("NUMBER", "TEXT", "TRUE", "FALSE", "NULL"), "LITERAL"),
    **dict.fromkeys(("COMPARE", "LIKE", "_IN", "_BETWEEN", "_IS"), "OPERATOR"),
}


class _Tree(NamedTuple):
    """A part of a filter with what it adds to the limits."""

    node: Node
    depth: int = 1
    clauses: int = 1
    values: int = 1


class _At(NamedTuple):
    """A value and where it stands in the text."""

    value: Any
    at: int


def parse_filter(text: str | None) -> Node | None:
    """Read a filter. Blanks, or None, are the filter that every run passes, which is None.

    Raises:
        QueryError: it cannot be read; the message points at the place.
    """
    if text is None:
        return None
    if not isinstance(text, str):  # type: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"a filter is a text, not a {type(text).__name__}: {text!r}")
    return _parsed(text, "filter")[0]


def parse_order(order: str | Iterable[str] | None) -> tuple[OrderKey, ...]:
    """Read the keys of an order: texts such as `metrics.acc desc`, each of one key or several.

    Raises:
        QueryError: one cannot be read, or names a field a second time.
    """
    keys: dict[Any, OrderKey] = {}
    for text in (order,) if isinstance(order, str) else order or ():
        if not isinstance(text, str):  # type: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"order_by holds texts, not a {type(text).__name__}: {text!r}")
        found, well = _parsed(text, "order")
        for key, at in found:
            if key.field in keys:
                raise error_at(well, at, "the order has this field twice")
            keys[key.field] = key
    return tuple(keys.values())


@functools.lru_cache(maxsize=256)
def _parsed(given: str, start: str) -> tuple[Any, str]:
    """Return the tree and the text that its places refer to."""
    # What UTF-8 cannot write was recorded in this form as well.
    text = given.encode("utf-8", "backslashreplace").decode()
    try:
        found: Any = _parser(start).parse(text)  # type: ignore[reportUnknownMemberType]
        return found, text
    except UnexpectedInput as exc:
        raise _unexpected(text, exc) from None
    except Misread as exc:
        raise error_at(text, exc.at, exc.problem) from None


def _unexpected(text: str, exc: Any) -> QueryError:
    at = exc.pos_in_stream
    token: Any = getattr(exc, "token", None)
    if token is not None and token.type == "$END":
        at, found = len(text.rstrip()), "the text ends too early"
    elif text[at] == ".":
        return error_at(text, at, "this dot has no key behind it, or its quote is never closed")
    elif text[at] in "'\"`" and isinstance(exc, UnexpectedCharacters):
        return error_at(text, at, f"the quote {text[at]} that opens here is never closed")
    else:
        found = f"unexpected {_LUMP.match(text, at)[0]!r}"  # type: ignore[index]
    accepted: set[str] = exc.interactive_parser.accepts()
    allowed = {_GROUPS.get(name, name) for name in accepted}
    if "OPERATOR" in allowed:
        allowed -= {"LPAR", "_NOT"}  # min(...) and NOT IN: rarely what is missing
    names = [label for name, label in _EXPECTED.items() if name in allowed]
    problem = f"{found}: expected {_either(names)}"
    if "LITERAL" in allowed and text[at : at + 1].isalpha():
        problem += f". A text stands in quotes: '{_WORD.match(text, at)[0]}'"  # type: ignore[index]
    return error_at(text, at, problem)


def _either(names: list[str]) -> str:
    return " or ".join((", ".join(names[:-1]), names[-1])) if names[1:] else names[0]


def _together(kind: type[And] | type[Or], parts: tuple[_Tree, ...]) -> _Tree:
    node = kind(tuple(part.node for part in parts))
    depth = 1 + max(part.depth for part in parts)
    return _within(_Tree(node, depth, sum(p.clauses for p in parts), sum(p.values for p in parts)))


def _within(tree: _Tree) -> _Tree:
    if tree.depth > _MAX_DEPTH:
        raise QueryError(f"the filter is nested more than {_MAX_DEPTH} deep")
    if tree.clauses > _MAX_CLAUSES:
        raise QueryError(f"the filter has more than {_MAX_CLAUSES} clauses")
    if tree.values > _MAX_VALUES:
        raise QueryError(f"the filter has more than {_MAX_VALUES} values")
    return tree


def _value(field: _At, operator: str, given: _At) -> Any:
    if given.value is None:
        raise Misread("null is compared by =, !=, IS NULL and IS NOT NULL alone", given.at)
    problem = objection(field.value, operator, given.value)
    if problem:
        raise Misread(problem, given.at)
    return given.value


def _range(field: _At, low: _At, high: _At, *, negated: bool) -> _Tree:
    ends = [_value(field, "between", end) for end in (low, high)]
    if isinstance(ends[0], str) != isinstance(ends[1], str) and type_of(field.value) != "time":
        raise Misread("BETWEEN takes two numbers or two texts", high.at)
    return _Tree(Between(field.value, ends[0], ends[1], negated), values=2)


def _member(field: _At, values: tuple[_At, ...], *, negated: bool) -> _Tree:
    allowed = tuple(_value(field, "in", value) for value in values)
    return _within(_Tree(In(field.value, allowed, negated), values=len(allowed)))


_inline: Any = cast("Any", _v_args(inline=True))


@_inline
class _Builder(Transformer[Token, Any]):
    """Makes the tree while the parser reads; a method has the name of its rule."""

    def filter(self, tree: _Tree | None = None) -> Node | None:
        return tree.node if tree else None

    def order(self, *keys: _At) -> tuple[_At, ...]:
        return keys

    def any_of(self, *parts: _Tree) -> _Tree:
        return _together(Or, parts)

    def all_of(self, *parts: _Tree) -> _Tree:
        return _together(And, parts)

    def negate(self, part: _Tree) -> _Tree:
        return _within(part._replace(node=Not(part.node), depth=part.depth + 1))

    def group(self, part: _Tree) -> _Tree:
        return part

    def comparison(self, field: _At, operator: Token, given: _At) -> _Tree:
        name: Any = _SPELLINGS.get(operator, operator.lower())
        if given.value is None and name in ("=", "!="):
            return _Tree(IsNull(field.value, negated=name == "!="))
        return _Tree(Comparison(field.value, name, _value(field, name, given)))

    def unlike(self, field: _At, operator: Token, given: _At) -> _Tree:
        name: Any = f"not {operator.lower()}"
        return _Tree(Comparison(field.value, name, _value(field, name, given)))

    def one_of(self, field: _At, *values: _At) -> _Tree:
        return _member(field, values, negated=False)

    def none_of(self, field: _At, *values: _At) -> _Tree:
        return _member(field, values, negated=True)

    def between(self, field: _At, low: _At, high: _At) -> _Tree:
        return _range(field, low, high, negated=False)

    def outside(self, field: _At, low: _At, high: _At) -> _Tree:
        return _range(field, low, high, negated=True)

    def missing(self, field: _At, _: Token) -> _Tree:
        return _Tree(IsNull(field.value))

    def present(self, field: _At, _: Token) -> _Tree:
        return _Tree(IsNull(field.value, negated=True))

    def field(self, first: Token, inner: Token | None = None) -> _At:
        at = first.start_pos or 0
        try:
            if inner is None:
                return _At(as_reference(first), at)
            return _At(as_function(first, inner, (inner.start_pos or 0) - at), at)
        except Misread as exc:
            raise Misread(exc.problem, at + exc.at) from None

    def key(self, field: _At, direction: Token | None = None) -> _At:
        if field.value.relation == "children":
            raise Misread("a run has several children: it cannot be ordered by them", field.at)
        descending = direction is not None and direction.lower() == "desc"
        return _At(OrderKey(field.value, descending), field.at)

    def literal(self, token: Token) -> _At:
        return _At(_LITERALS[token.type](token), token.start_pos or 0)


def _number(text: str) -> int | float:
    digits = text.lstrip("+-")
    return int(text) if digits.isdecimal() and len(digits) <= _MAX_DIGITS else float(text)


def _text(text: str) -> str:
    return text[1:-1].replace(text[0] * 2, text[0])


_SPELLINGS: Final = {"==": "=", "<>": "!="}

_LITERALS: Final[dict[str, Callable[[str], Any]]] = {
    "NUMBER": _number,
    "TEXT": _text,
    "TRUE": lambda _: True,
    "FALSE": lambda _: False,
    "NULL": lambda _: None,
}


@functools.cache
def _parser(start: str) -> Lark:
    return Lark(
        _GRAMMAR,
        parser="lalr",
        start=start,
        maybe_placeholders=False,
        transformer=_Builder(),
    )
