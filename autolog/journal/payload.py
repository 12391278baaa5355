"""Records as the bytes of their payload, and precise words for what cannot become a payload."""

from __future__ import annotations

import operator
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from autolog.errors import UsageError
from autolog.journal.frame import BODY, MAX_BODY
from autolog.journal.records import METRICS_HEAD, TYPES, Header, Record

__all__ = ["MetricsPacker", "decoder_of", "encode_record", "explain_metrics", "explain_value"]

_encode = msgspec.msgpack.Encoder().encode
_decoders: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {}
_HEAD: Final = BODY.format + METRICS_HEAD.format.lstrip("<")


def decoder_of(cls: type[Any]) -> msgspec.msgpack.Decoder[Any]:
    """Return the (kept) decoder of a record class."""
    decoder = _decoders.get(cls)
    if decoder is None:
        decoder = _decoders[cls] = msgspec.msgpack.Decoder(cls)
    return decoder


class MetricsPacker:
    """Packs METRICS records of one shape: body start, METRICS_HEAD, one float64 per key."""

    __slots__ = ("definition", "number", "pack")

    def __init__(self, number: int, keys: tuple[str, ...], definition: Record) -> None:
        self.number = number
        self.pack = struct.Struct(f"{_HEAD}{len(keys)}d").pack
        self.definition = encode_record(definition)


def encode_record(record: Record | Header) -> bytes:
    """Return the msgpack payload of a record, or raise a UsageError that names what cannot be kept.

    The payload is read back at once: what a reader would refuse is refused here, where the
    caller can still be told.
    """
    cls = type(record)
    if cls not in TYPES and cls is not Header:
        raise UsageError(f"{cls.__name__} is not a record of a journal")
    try:
        payload = _encode(record)
        decoder_of(cls).decode(payload)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        where = _culprit(msgspec.structs.asdict(record), "")
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        place = f" at {where}" if where else ""
        raise UsageError(
            f"a {cls.__name__} record cannot be written{place}: {reason}. Log plain numbers, text, "
            "lists and dictionaries with text keys (text without lone surrogates)"
        ) from error
    if len(payload) > MAX_BODY - BODY.size:
        raise UsageError(
            f"a {cls.__name__} record of {len(payload):,} bytes is too long (the limit is "
            f"{MAX_BODY:,}): log it as an artifact"
        )
    return payload


def explain_value(values: Mapping[Any, Any]) -> UsageError:
    """Name the first metric value that is no number."""
    for key, value in values.items():
        try:
            float(value)
        except Exception as error:
            return UsageError(
                f"metric {key!r} has the value {_short(value)}, which is no number: {error}"
            )
    return UsageError("the metrics changed while they were logged: pass a dictionary of your own")


def explain_metrics(
    keys: tuple[str, ...], values: Sequence[float], step: Any, epoch: Any, attempt: Any
) -> UsageError:
    """Say which number of a metrics call does not fit its field."""
    name = repr(keys[0]) + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
    if len(keys) != len(values):
        return explain_value({})
    for field, value, low, high in (
        ("step", step, -(1 << 63), (1 << 63) - 1),
        ("epoch", 0 if epoch is None else epoch, -(1 << 31), (1 << 31) - 1),
        ("attempt", attempt, 0, (1 << 16) - 1),
    ):
        try:
            fits = low <= operator.index(value) <= high
        except TypeError:
            fits = False
        if not fits:
            return UsageError(
                f"{field} {_short(value)} of metric {name} is not an integer from {low} to {high}"
            )
    for key, value in zip(keys, values, strict=True):
        try:
            float(value)
        except OverflowError:
            return explain_value({key: value})
    return UsageError(f"metric {name}: run, context or attempt is no number of this writer")


def _culprit(value: Any, path: str) -> str:
    """Return the path of the innermost thing that msgpack refuses, or the empty text."""
    try:
        _encode(value)
    except Exception:
        parts: list[tuple[str, Any]] = []
        if isinstance(value, dict):
            for key, item in value.items():  # type: ignore[reportUnknownVariableType]
                if not _encodes(key):
                    return f"{path} key {key!r}".strip()
                parts.append((f"{path}[{key!r}]" if path else str(key), item))  # type: ignore[reportUnknownArgumentType]
        elif isinstance(value, (list, tuple)):
            parts = [(f"{path}[{i}]", item) for i, item in enumerate(value)]  # type: ignore[reportUnknownArgumentType,reportUnknownVariableType]
        if len(path) < 400:
            for name, item in parts:
                found = _culprit(item, name)
                if found:
                    return found
        return path if parts else f"{path} ({_short(value)})"
    return ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _encodes(value: Any) -> bool:
    try:
        _encode(value)
    except Exception:
        return False
    return True
