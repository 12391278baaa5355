"""Numbers that the user's own code gives to a progress bar, a summary writer or a metric.

Numbers on another device are recorded when they have arrived: the user's call may have waited for
them, ours does not.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from autolog.integration import Capture, Detach
from autolog_torch.readings import Arrivals, Reading, readable

__all__ = ["attach", "number", "record"]

_OF_THE_LOOP: Final = frozenset({"train/loss", "lr", "grad_norm", "epoch"})
_SERIES_OF_THE_LOOP: Final = ("train/loss/", "lr/", "grad_norm/")


_arrivals = Arrivals()


def number(value: Any) -> Any:
    """Return a number, or a tensor of one element that is to be read later; None for others."""
    if isinstance(value, (bool, int, float)):
        return float(value)
    if hasattr(value, "detach") and hasattr(value, "numel"):
        # Reading a DTensor takes a collective, which is the user's to call.
        if hasattr(value, "full_tensor") or value.numel() != 1 or value.is_complex():
            return None
        return value.detach()
    if getattr(value, "size", None) == 1 and hasattr(value, "item"):
        try:
            return float(value.item())
        except (TypeError, ValueError):
            return None
    return None


def record(
    capture: Capture,
    values: Mapping[str, Any],
    *,
    source: str,
    step: int | None = None,
    opens: bool = True,
) -> None:
    """Record what of these values are numbers, now or when they have arrived."""
    numbers: dict[str, Any] = {}
    for key, value in values.items():
        found = number(value)
        if found is not None:
            numbers[f"{source}/{key}" if _is_of_the_loop(key) else key] = found
    if not numbers:
        return
    loop = capture.loop()
    at = loop.step if step is None and loop is not None else step
    keys, read = tuple(numbers), readable([*numbers.values()])
    late = bool(_arrivals) or isinstance(read, Reading)

    def write(found: list[float]) -> None:
        values = dict(zip(keys, found, strict=True))
        capture.log(values, source=source, step=at if late else step, opens=opens)

    _arrivals.give(read, write)


def _is_of_the_loop(key: str) -> bool:
    """Whether the loop records a series of this name itself."""
    return key in _OF_THE_LOOP or key.startswith(_SERIES_OF_THE_LOOP)


def attach(capture: Capture) -> Detach:
    """Have numbers that are on their way recorded before a training ends."""
    return capture.on_settle(functools.partial(_arrivals.read_on, to_the_end=True))
