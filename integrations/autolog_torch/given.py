"""Numbers that the user's own code gives to a progress bar, a summary writer or a metric.

Numbers on another device are recorded when they have arrived: the user's call may have waited for
them, ours does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from autolog.integration import Capture, Detach
from autolog_torch.readings import Reading, readable

__all__ = ["attach", "number", "read_arrived", "record"]

_OF_THE_LOOP: Final = frozenset({"train/loss", "lr", "grad_norm", "epoch"})
_SERIES_OF_THE_LOOP: Final = ("train/loss/", "lr/", "grad_norm/")


class _Late(NamedTuple):
    """Numbers that are still on their way."""

    capture: Capture
    keys: tuple[str, ...]
    read: Reading | list[float]
    step: int | None
    source: str
    opens: bool


_late: deque[_Late] = deque()


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
    read = readable([*numbers.values()])
    keys = tuple(numbers)
    if not _late and not isinstance(read, Reading):
        values = dict(zip(keys, read, strict=True))
        capture.log(values, source=source, step=step, opens=opens)
        return
    loop = capture.loop()
    if step is None and loop is not None:
        step = loop.step
    _late.append(_Late(capture, keys, read, step, source, opens))
    read_arrived()


def _is_of_the_loop(key: str) -> bool:
    """Whether the loop records a series of this name itself."""
    return key in _OF_THE_LOOP or key.startswith(_SERIES_OF_THE_LOOP)


def read_arrived(*, to_the_end: bool = False) -> None:
    """Record what has arrived, in order; at the end of a training what is on its way too."""
    while _late:
        late = _late[0]
        read = late.read
        if isinstance(read, Reading):
            if not read.ready() and not (to_the_end and read.wait()):
                return
            read = read.values()
        _late.popleft()
        values = dict(zip(late.keys, read, strict=True))
        late.capture.log(values, source=late.source, step=late.step, opens=late.opens)


def attach(capture: Capture) -> Detach:
    """Have numbers that are on their way recorded before a training ends."""
    return capture.on_settle(lambda: read_arrived(to_the_end=True))
