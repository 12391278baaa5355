"""The names of fields: attributes and their types, prefixes, and what MLflow calls them."""

from __future__ import annotations

from typing import Final, Literal

from autolog.query.nodes import Field

__all__ = ["ALIASES", "ATTRIBUTES", "FUNCTIONS", "PREFIXES", "RELATIONS", "Type", "type_of"]

Type = Literal["text", "number", "time", "boolean", "any"]

ATTRIBUTES: Final[dict[str, Type]] = {
    "run_id": "text",
    "name": "text",
    "kind": "text",
    "status": "text",
    "experiment": "text",
    "user": "text",
    "host": "text",
    "source": "text",
    "commit": "text",
    "dirty": "boolean",
    "parent_id": "text",
    "root_id": "text",
    "depth": "number",
    "start_time": "time",
    "end_time": "time",
    "duration": "number",
}
"""Every attribute of a run. `duration` is in seconds, None while the run is open."""

ALIASES: Final = {
    "id": "run_id",
    "run_name": "name",
    "user_id": "user",
    "created": "start_time",
    "parent_run_id": "parent_id",
    "experiment_name": "experiment",
}

PREFIXES: Final = {
    "metrics": "metric",
    "metric": "metric",
    "params": "param",
    "param": "param",
    "parameters": "param",
    "parameter": "param",
    "tags": "tag",
    "tag": "tag",
    "attributes": "attribute",
    "attribute": "attribute",
    "attr": "attribute",
    "run": "attribute",
}

RELATIONS: Final = ("parent", "root", "children")

FUNCTIONS: Final = ("last", "first", "min", "max")


def type_of(field: Field) -> Type:
    """Return which values a field is compared with; a parameter takes any."""
    if field.kind == "attribute":
        return ATTRIBUTES[field.name]
    return {"metric": "number", "param": "any", "tag": "text"}[field.kind]  # type: ignore[return-value]
