"""What is stored with a fitted model: its signature, whether it holds data, what it needs.

Attributes are read from instances' own dictionaries, and containers of data are asked only for
what they have at hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final, cast

from autolog_sklearn.extract import known_of, last_step

__all__ = ["contains_data", "example", "shape", "signature", "versions"]

_KEEPS_ROWS: Final = frozenset(
    {
        "BaseLabelPropagation",
        "BaseLibSVM",
        "GaussianProcessClassifier",
        "GaussianProcessRegressor",
        "KernelDensity",
        "KernelRidge",
        "LocalOutlierFactor",
        "NeighborsBase",
    }
)
"""Base classes whose fitted objects hold training rows."""

_CONTAINERS: Final = frozenset(
    {"cupy", "jax", "numpy", "pandas", "polars", "pyarrow", "scipy", "torch"}
)
_FRAMES: Final = frozenset({"DataFrame", "Table", "RecordBatch"})

_MAX_COLUMNS: Final = 1000
_MAX_PARTS: Final = 1000
"""Objects inside of a model that are looked at."""

_ALIKE: Final = 20
_PLAIN: Final = (str, bytes, int, float, type(None))


def contains_data(model: object) -> bool:
    """Whether a fitted model, or one that it is made of, holds rows of its training data."""
    return any(
        base.__name__ in _KEEPS_ROWS for part in _parts(model) for base in type(part).__mro__
    )


def signature(model: Any, data: Any, target: Any) -> dict[str, Any]:
    """Describe what the model takes and gives: columns, dtypes and shapes of the training data."""
    inputs: dict[str, Any] = {"shape": shape(data)}
    names = known_of(model).get("feature_names_in_")
    if names is not None and len(names) <= _MAX_COLUMNS:
        inputs["columns"] = [str(name) for name in names]
    inputs.update(_dtypes(data))
    outputs: dict[str, Any] = {"shape": shape(target), **_dtypes(target)}
    classes: Any = known_of(last_step(model)).get("classes_", [])
    if hasattr(classes, "tolist") and len(classes) <= _MAX_COLUMNS:
        outputs["classes"] = classes.tolist()
    return {"inputs": inputs, "outputs": outputs}


def example(data: Any, rows: int) -> Any:
    """Return the first rows of data as plain lists; None for a container that is not known."""
    if rows < 1:
        return None
    if type(data) in (list, tuple):
        return list(data[:rows])
    package = _package(data)
    if package not in _CONTAINERS:
        return None
    first = data[:rows] if package != "pandas" else data.iloc[:rows]
    if package == "scipy":
        first = first.toarray()
    elif package == "polars":
        return first.rows() if type(first).__name__ == "DataFrame" else first.to_list()
    elif package == "pyarrow":
        return first.to_pylist()
    values: Any = getattr(first, "values", first) if package == "pandas" else first
    return values.tolist() if hasattr(values, "tolist") else None


def shape(data: object) -> list[int] | None:
    """Return the shape that a known container states, or the length of a plain list."""
    if type(data) in (list, tuple):
        rows = cast("list[Any]", data)
        first: object = rows[0] if rows else None
        width = [len(cast("list[Any]", first))] if type(first) in (list, tuple) else []
        return [len(rows), *width]
    if _package(data) not in _CONTAINERS:  # attributes of other classes are the user's code
        return None
    found = getattr(data, "shape", None)
    sizes = cast("tuple[Any, ...]", found) if isinstance(found, tuple) else None
    return [int(size) for size in sizes] if sizes is not None else None


def versions() -> dict[str, str]:
    """Return what must be installed to load a model."""
    found: dict[str, str] = {}
    for module, name in (("sklearn", "scikit-learn"), ("numpy", "numpy"), ("scipy", "scipy")):
        if module in sys.modules:
            found[name] = str(getattr(sys.modules[module], "__version__", ""))
    return found


def _parts(model: object) -> Iterator[object]:
    """Yield a model and the estimators that it holds, in attributes, lists, tuples and dicts."""
    waiting: list[object] = [model]
    seen: set[int] = set()
    while waiting and len(seen) < _MAX_PARTS:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if type(thing) in (list, tuple):
            waiting += _first(cast("list[object]", thing))
        elif type(thing) is dict:
            waiting += _first([*cast("dict[str, object]", thing).values()])
        elif type(thing).__name__ == "ndarray":  # the trees of a gradient boosting
            array: Any = thing
            waiting += _first(array.reshape(-1)[:1].tolist()) if array.dtype.hasobject else []
        elif hasattr(type(thing), "get_params"):
            yield thing
            waiting += [
                value for value in known_of(thing).values() if not isinstance(value, _PLAIN)
            ]


def _first(things: list[object]) -> list[object]:
    """Leave out lists of many alike: the first of a thousand trees stands for all."""
    if len(things) > _ALIKE and type(things[0]) is type(things[-1]):
        return things[:1]
    return things


def _package(data: object) -> str:
    return type(data).__module__.partition(".")[0]


def _dtypes(data: Any) -> dict[str, Any]:
    if _package(data) not in _CONTAINERS:
        return {}
    kind: str = type(data).__name__
    if kind in _FRAMES:
        schema = data.schema if _package(data) == "pyarrow" else None
        dtypes = data.dtypes if schema is None else schema.types
        return {"dtypes": list(map(str, dtypes))} if len(dtypes) <= _MAX_COLUMNS else {}
    dtype = getattr(data, "dtype", None)
    return {"dtype": str(dtype)} if dtype is not None else {}
