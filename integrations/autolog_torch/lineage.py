"""Where weights come from: files that a run wrote, loaded by this process.

What was loaded is known by its tensors, referred to weakly; they are found again when a module
takes them, whatever the program has renamed or left out in between.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from autolog.integration import Capture, Detach, Origin, Tap
from autolog_torch import trained
from autolog_torch.checkpoints import file_of
from autolog_torch.compiling import compiling
from autolog_torch.contents import is_module, tensors_in

__all__ = ["attach", "attach_safetensors"]

_loaded: dict[int, tuple[weakref.ref[Any], Origin]] = {}


def attach(capture: Capture) -> Detach:
    """Watch what is loaded, and which modules take it."""
    serialization: Any = import_module("torch.serialization")
    modules: Any = import_module("torch.nn.modules.module")
    lineage = _Lineage(capture)
    taps = [
        capture.tap(serialization, "load", Tap(exit=lineage.loaded)),
        capture.tap(modules.Module, "load_state_dict", Tap(exit=lineage.taken, unless=compiling())),
    ]

    def detach() -> None:
        for untap in taps:
            untap()
        _loaded.clear()

    return detach


def attach_safetensors(capture: Capture) -> Detach:
    """Watch what is loaded by safetensors."""
    module: Any = import_module("safetensors.torch")
    return capture.tap(module, "load_file", Tap(exit=_Lineage(capture).loaded))


class _Lineage:
    """Follows weights from a file to a module."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def loaded(self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """Something was loaded from a file."""
        target: Any = args[0] if args else kwargs.get("f", kwargs.get("filename"))
        path = file_of(target)
        origin = self._capture.origin(path) if path is not None else None
        if origin is None:
            return
        for one in tensors_in(result):
            if is_module(one):
                self._restored(one, origin)
            else:
                key = id(one)
                _loaded[key] = (weakref.ref(one, _forgetting(key)), origin)

    def taken(self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
        """A module has taken a state dict."""
        module, *rest = args
        given = rest[0] if rest else kwargs.get("state_dict")
        origin = self._origin_of(given)
        if origin is not None:
            self._restored(module, origin)

    def _origin_of(self, given: Any) -> Origin | None:
        for one in tensors_in(given):
            known = _loaded.get(id(one))
            if known is not None and known[0]() is one:
                return known[1]
        produced = self._capture.producer(given)  # what `load_model` gave
        run_id = produced.span.trained_by if produced is not None else None
        return Origin(run_id=run_id) if run_id is not None else None

    def _restored(self, module: Any, origin: Origin) -> None:
        for loop, known in trained.all_trained():
            if any(_is_part(module, one) for one in known.modules().values()):
                told = {"run": origin.run_id, "step": origin.step}
                loop.span.event("checkpoint_loaded", told)
                return
        self._capture.restored(list(module.parameters()), origin)
        self._capture.loaded(module, trained_by=origin.run_id)


def _is_part(part: Any, module: Any) -> bool:
    return any(one is part for one in module.modules())


def _forgetting(key: int) -> Callable[[weakref.ref[Any]], None]:
    def collected(reference: weakref.ref[Any]) -> None:
        known = _loaded.get(key)
        if known is not None and known[0] is reference:
            del _loaded[key]

    return collected
