"""Progress bars: the numbers that `tqdm.set_postfix` shows beside them.

They are recorded under the names they are shown by, at the step of the loop. Names under which the
loop records series itself (`loss`, `lr`, `epoch`, `grad_norm`) are written `progress/<name>`, since
what is shown is often an average. A text that is a number in print (`f"{loss:.3f}"`, `"87.5%"`) is
that number. A bar beside no training is nobody's run.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from autolog.integration import Capture, Detach, Tap
from autolog_torch.given import record

__all__ = ["attach"]

_SOURCE: Final = "progress"
_OF_THE_LOOP: Final = frozenset({"loss", "lr", "grad_norm", "epoch", "step"})


def attach(capture: Capture) -> Detach:
    """Watch the numbers of all bars: those for terminals, notebooks and `rich` share a method."""
    module: Any = import_module("tqdm.std")

    def shown(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
        given: dict[str, Any] = {}
        first = args[1] if len(args) > 1 else kwargs.get("ordered_dict")
        if first is not None:
            given.update(first)
        given.update((key, kwargs[key]) for key in kwargs if key not in _PARAMETERS)
        if not given or capture.covered:
            return
        values = {_name(str(key)): _parsed(value) for key, value in given.items()}
        record(capture, values, source=_SOURCE, opens=False)

    return capture.tap(module.tqdm, "set_postfix", Tap(exit=shown))


_PARAMETERS: Final = frozenset({"ordered_dict", "refresh"})


def _name(key: str) -> str:
    return f"{_SOURCE}/{key}" if key in _OF_THE_LOOP else key


def _parsed(value: Any) -> Any:
    """Return the number that a text shows, other values as they are."""
    if not isinstance(value, str):
        return value
    try:
        return float(value.strip().removesuffix("%"))
    except ValueError:
        return None
