"""Turns what users log into what the journal takes: floats and typed plain values.

Nothing here calls a user object's `__repr__`, `__len__`, `__iter__` or `__getitem__`: unknown
objects are described by their class.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Final, cast

from autolog.errors import UsageError

__all__ = ["as_float", "as_floats", "as_texts", "plain", "plain_mapping", "well_formed"]

_MAX_INT: Final = 2**63
_DEPTH: Final = 6


def as_float(key: str, value: Any) -> float:
    """Convert a number, or an array or tensor that holds exactly one, to a float.

    Raises:
        UsageError: it is no number; the message names the key.
    """
    if isinstance(value, (int, float)):
        return float(value)
    item = getattr(value, "item", None)  # NumPy, torch, JAX; a tensor of one element is a number
    if item is None and hasattr(value, "numpy"):  # TensorFlow's EagerTensor
        item = getattr(value.numpy(), "item", None)
    try:
        return float(value if item is None else item())
    except (TypeError, ValueError, RuntimeError, OverflowError) as exc:
        raise UsageError(
            f"metric {key!r} is a {type(value).__name__}, not a number ({exc})."
            " Log text with set_tag or log_text, and structures with log_dict."
        ) from None


def as_floats(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Convert every value; see `as_float`."""
    if not isinstance(metrics, Mapping):  # type: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"log_metrics takes a dictionary of numbers, not a {type(metrics).__name__};"
            " one number is logged with log_metric(key, value)"
        )
    converted: dict[str, float] = {}
    for key, value in metrics.items():
        if not isinstance(key, str):  # type: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"metric key {key!r} is a {type(key).__name__}, not text")
        converted[key] = value if type(value) is float else as_float(key, value)
    return converted


def well_formed(text: str) -> str:
    """Return text that UTF-8 can write: lone surrogates, as in undecodable file names, escaped."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def as_texts(tags: Mapping[str, Any]) -> dict[str, str]:
    """Convert tags to text.

    Raises:
        UsageError: they are no dictionary.
    """
    if not isinstance(tags, Mapping):  # type: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"tags are a dictionary of texts, not a {type(tags).__name__}: {tags!r}")
    return {well_formed(str(key)): well_formed(str(value)) for key, value in tags.items()}


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """Return a value of plain types that describes `value`, and is equal to it where it can be.

    Scalars (NumPy's too) keep their type. Lists, tuples and dictionaries are converted with their
    elements. Classes and functions become their qualified names, anything else its class name.
    """
    if value is None or type(value) in (bool, float):
        return value
    if type(value) is str:
        return well_formed(value)
    if type(value) is int:
        return value if -_MAX_INT <= value < _MAX_INT else str(value)
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        return f"{value.__module__}.{value.__qualname__}"
    if type(value) in (list, tuple, set, frozenset) and depth:
        items = [plain(item, depth - 1) for item in cast("list[Any]", value)]
        return sorted(items, key=str) if isinstance(value, (set, frozenset)) else items
    if type(value) is dict and depth:
        mapping = cast("dict[Any, Any]", value)
        return {
            well_formed(str(plain(key, 0))): plain(item, depth - 1) for key, item in mapping.items()
        }
    return _numeric(cast("object", value))


def plain_mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert every value; keys become text."""
    return {well_formed(str(key)): plain(value) for key, value in values.items()}


def _numeric(value: object) -> Any:
    """Describe a subclass of a scalar, a NumPy scalar or array, or any other object."""
    kind = type(value)
    root = kind.__module__.partition(".")[0]
    if isinstance(value, (bool, int)):
        return plain(int(value))
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return well_formed(str.__str__(value))
    if root == "numpy":
        array: Any = value
        if hasattr(array, "shape") and hasattr(array, "dtype"):
            if array.shape == ():
                return plain(array.item())
            return f"{kind.__name__}(shape={tuple(array.shape)}, dtype={array.dtype})"
    if root == "pathlib":
        return str(value)
    return kind.__qualname__
