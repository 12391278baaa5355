"""Random filters and orders whose keys and values are those of `tests.query.population`."""

from __future__ import annotations

from hypothesis import strategies as st

from autolog.query.nodes import And, Between, Comparison, Field, In, IsNull, Not, Or, OrderKey
from tests.query import population

RELATIONS = st.sampled_from(["", "", "", "", "parent", "root", "children"])
SYMBOLS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
LIKES = st.sampled_from(["like", "not like", "ilike", "not ilike"])

# NUL has tests of its own: Postgres stores it as two characters, which order and `_` see.
_characters = st.characters(codec="utf-8", exclude_characters="\0\uf8e0")

numbers = (
    st.sampled_from([*population.NUMBERS, 10**400]) | st.floats(allow_nan=False) | st.integers()
)
texts = st.sampled_from(population.TEXTS) | st.text(_characters, max_size=5)
patterns = st.builds(
    "".join,
    st.lists(st.sampled_from(["%", "_", *population.TEXTS]) | st.text(_characters, max_size=2)),
)
times = st.sampled_from(population.TIMES) | st.integers(-(10**20), 10**20) | st.floats(0, 1e13)

_VALUES = {
    "metric": numbers,
    "param": numbers | texts | st.booleans(),
    "tag": texts,
}
_ATTRIBUTES = {
    "name": texts,
    "kind": st.sampled_from(["fit", "run"]),
    "status": st.sampled_from(["RUNNING", "FINISHED", "FAILED"]),
    "experiment": st.sampled_from([*population.EXPERIMENTS, "Default"]),
    "user": texts,
    "run_id": st.sampled_from(population.RUN_IDS),
    "parent_id": st.sampled_from(population.RUN_IDS),
    "root_id": st.sampled_from(population.RUN_IDS),
    "dirty": st.booleans(),
    "depth": numbers,
    "duration": numbers,
    "start_time": times,
    "end_time": times,
}
_ORDERED = {"metric", "tag", "name", "user", "depth", "duration", "start_time", "end_time"}
_PATTERNED = {"param", "tag", "name", "user", "experiment"}


@st.composite
def fields(draw, relations=RELATIONS):
    """Draw a field and what it can be compared with."""
    kind = draw(st.sampled_from(["metric", "metric", "param", "param", "tag", "attribute"]))
    relation = draw(relations)
    if kind == "attribute":
        name = draw(st.sampled_from(sorted(_ATTRIBUTES)))
        return Field(kind, name, relation), name, _ATTRIBUTES[name]
    name = draw(st.sampled_from(population.KEYS))
    part = draw(st.sampled_from(["last", "last", "first", "min", "max"]))
    field = Field(kind, name, relation, part if kind == "metric" else "last")
    return field, kind, _VALUES[kind]


@st.composite
def clauses(draw):
    field, kind, values = draw(fields())
    negated = draw(st.booleans())
    forms = ["compare", "in", "null"]
    forms += ["between"] if kind in _ORDERED or kind == "param" else []
    forms += ["like"] if kind in _PATTERNED else []
    form = draw(st.sampled_from(forms))
    if form == "null":
        return IsNull(field, negated)
    if form == "in":
        return In(field, tuple(draw(st.lists(values, min_size=1, max_size=4))), negated)
    if form == "like":
        return Comparison(field, draw(LIKES), draw(patterns))
    if form == "between":
        ends = draw(st.sampled_from([numbers, texts])) if kind == "param" else values
        return Between(field, draw(ends), draw(ends), negated)
    value = draw(values)
    ordered = kind in _ORDERED or (kind == "param" and not isinstance(value, bool))
    return Comparison(field, draw(SYMBOLS if ordered else st.sampled_from(["=", "!="])), value)


def _several(parts):
    return st.lists(parts, min_size=2, max_size=3).map(tuple)


filters = st.recursive(
    clauses(),
    lambda parts: (
        st.builds(And, _several(parts)) | st.builds(Or, _several(parts)) | st.builds(Not, parts)
    ),
    max_leaves=5,
)

_KEYS = fields(st.sampled_from(["", "", "", "parent", "root"])).map(lambda found: found[0])
orders = st.lists(
    st.builds(OrderKey, _KEYS, st.booleans()), max_size=3, unique_by=lambda key: key.field
).map(tuple)
