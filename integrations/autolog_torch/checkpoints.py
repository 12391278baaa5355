"""Files that the program saves its model to: a copy is kept with the run.

`torch.save`, `safetensors.torch.save_file` and `Fabric.save` are watched, and only when they have
returned is the file looked at. What it holds is told from the object that was given, not by reading
it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from autolog.integration import Capture, Checkpoint, Detach, Loop, Tap
from autolog_torch import formats, trained
from autolog_torch.contents import Held, find_models
from autolog_torch.current import here
from autolog_torch.tensors import is_own
from autolog_torch.trained import Trained

__all__ = ["attach", "attach_fabric", "attach_safetensors", "file_of"]

_FILES = (io.BufferedWriter, io.BufferedRandom, io.BufferedReader, io.FileIO)


def attach(capture: Capture) -> Detach:
    """Watch `torch.save`."""
    serialization: Any = import_module("torch.serialization")

    def saved(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
        thing = args[0] if args else kwargs.get("obj")
        target = args[1] if len(args) > 1 else kwargs.get("f")
        _take(capture, thing, target, formats.CHECKPOINT, formats.CHECKPOINT_FILE)

    return capture.tap(serialization, "save", Tap(exit=saved))


def attach_fabric(capture: Capture) -> Detach:
    """Watch `Fabric.save`, which writes what `torch.save` made in memory.

    It is given modules and saves their states under the same keys.
    """
    # quirk lightning-two-namespaces: whichever of them was imported
    detaches: list[Detach] = []
    for name in ("lightning.fabric.fabric", "lightning_fabric.fabric"):
        module: Any = sys.modules.get(name)
        if module is None:
            continue

        def saved(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
            fabric: Any = args[0]
            thing = args[2] if len(args) > 2 else kwargs.get("state")
            target = args[1] if len(args) > 1 else kwargs.get("path")
            if fabric.global_rank == 0:
                _take(capture, thing, target, formats.CHECKPOINT, formats.CHECKPOINT_FILE)

        detaches.append(capture.tap(module.Fabric, "save", Tap(exit=saved)))

    def detach() -> None:
        for one in detaches:
            one()

    return detach


def attach_safetensors(capture: Capture) -> Detach:
    """Watch what writes a state dict in the format of safetensors."""
    module: Any = import_module("safetensors.torch")

    def saved(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
        thing = args[0] if args else kwargs.get("tensors")
        target = args[1] if len(args) > 1 else kwargs.get("filename")
        _take(capture, thing, target, formats.SAFETENSORS, formats.SAFETENSORS_FILE)

    return capture.tap(module, "save_file", Tap(exit=saved))


def file_of(target: Any) -> str | None:
    """Return the path of what was written to or read from; None if it is no file by a name."""
    if isinstance(target, (str, bytes, os.PathLike)):
        return os.path.abspath(os.fsdecode(cast("str", target)))  # noqa: PTH100
    opened = getattr(target, "file", target)  # a temporary file wraps the one that it opens
    name = getattr(opened, "name", None)
    if not isinstance(opened, _FILES) or not isinstance(name, (str, bytes)):
        return None
    path = os.path.abspath(os.fsdecode(name))  # noqa: PTH100
    try:
        same = os.path.samestat(os.fstat(opened.fileno()), os.stat(path))  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return path if same else None


def _take(capture: Capture, thing: Any, target: Any, form: str, file: str) -> None:
    if is_own() or capture.covered:
        return
    path = file_of(target)
    if path is None or not os.path.isfile(path):  # noqa: PTH113  a pipe, a device
        return
    found = _loop_of(capture, find_models(thing))
    if found is None:
        return
    loop, known, held, module = found
    known.saved_step = loop.step
    name = type(module).__name__ if module is not None else "state dict"
    if module is not None:
        name = f"{type(module).__module__}.{type(module).__qualname__}"
    loop.span.checkpoint(
        Checkpoint(
            path=path,
            format=form,
            file=file,
            model=name,
            step=loop.step,
            epoch=here.epoch,
            beside=formats.code_reference(module, held.where),
            versions={"torch": str(import_module("torch").__version__)},
        )
    )


def _loop_of(capture: Capture, candidates: list[Held]) -> tuple[Loop, Trained, Held, Any] | None:
    """Find the loop whose model is saved, with what is saved of it and the module that it is."""
    current = capture.loop()
    fitting: list[tuple[Loop, Trained, Held, Any]] = []
    for held in candidates:
        for loop, known in trained.all_trained():
            for module in known.modules().values():
                if held.is_state_of(module):
                    if held.shares_memory_with(module):
                        return loop, known, held, module
                    fitting.append((loop, known, held, module))
    for one in fitting:
        if one[0] is current:
            return one
    if fitting:
        return fitting[0]
    marked = next((held for held in candidates if held.marked), None)
    if marked is None or current is None:
        return None
    known = trained.of_loop(current)
    if known.modules():  # it is the model of something else
        return None
    return current, known, marked, marked.module
