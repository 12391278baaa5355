"""How PyTorch's models are stored: safetensors, and the checkpoints that programs write themselves.

Both hold weights and no code. What it takes to make a module of them is told beside: its class,
where that is written, and the file itself where it is the user's own. Loading gives the state dict,
which says so.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from autolog_torch.tensors import named_tensors, write_tensors, writing_own

__all__ = [
    "CHECKPOINT",
    "CHECKPOINT_FILE",
    "SAFETENSORS",
    "SAFETENSORS_FILE",
    "StateDict",
    "code_reference",
    "load",
    "load_checkpoint",
    "save",
    "save_checkpoint",
    "unknown_types",
]

SAFETENSORS: Final = "torch-safetensors"
SAFETENSORS_FILE: Final = "model.safetensors"
CHECKPOINT: Final = "torch-checkpoint"
CHECKPOINT_FILE: Final = "checkpoint.pt"
_REFERENCE: Final = "model.json"
_SOURCE: Final = "source.py"
_LARGEST_SOURCE: Final = 1 << 20
_LONGEST_TREE: Final = 20_000
_INSTALLED: Final = ("site-packages", "dist-packages")


class StateDict(dict[str, Any]):
    """The weights of a model by name, for `module.load_state_dict`, and what module that is.

    Attributes:
        class_name: the class it belongs to, `"package.module:Class"`.
        file: where that was written when the model was stored.
        source: the text of that file, if it was the user's own.
        tree: the module as it prints itself.
        checkpoint: of a file that the program wrote, everything in it.
    """

    class_name: str | None = None
    file: str | None = None
    source: str | None = None
    tree: str | None = None
    checkpoint: Any = None

    def __repr__(self) -> str:
        known = f" for {self.class_name}" if self.class_name else ""
        where = f" ({self.file})" if self.file else ""
        return f"<state dict of {len(self)} tensors{known}{where}>"


def save(model: Any, directory: Path) -> None:
    """Save the weights of a module as safetensors, with a reference to its code.

    Raises:
        ImportError: safetensors is not installed.
        ValueError: it is no module, or holds tensors that the format has no place for.
    """
    if not hasattr(model, "_modules"):
        raise ValueError(f"a {type(model).__name__} is no module")
    for name, content in code_reference(model).items():
        (directory / name).write_bytes(content)
    write_tensors(named_tensors(model), directory / SAFETENSORS_FILE)


def load(directory: Path) -> StateDict:
    """Load what `save` wrote."""
    safetensors: Any = import_module("safetensors")
    with safetensors.safe_open(directory / SAFETENSORS_FILE, framework="pt") as file:
        told: dict[str, str] = file.metadata() or {}
        tensors: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tied = json.loads(told.get("tied", "{}"))
    order = json.loads(told.get("order", "[]"))
    tensors |= {name: tensors[other] for name, other in tied.items()}
    names = order if set(order) == set(tensors) else list(tensors)
    return _described({name: tensors[name] for name in names}, directory)


def save_checkpoint(model: Any, directory: Path) -> None:
    """Save the weights of a module as programs do."""
    for name, content in code_reference(model).items():
        (directory / name).write_bytes(content)
    torch: Any = import_module("torch")
    with writing_own():
        torch.save(named_tensors(model), directory / CHECKPOINT_FILE)


def load_checkpoint(directory: Path, trusted: Sequence[str]) -> StateDict:
    """Load a file that `torch.save` wrote, of plain data and of the trusted types alone.

    Raises:
        pickle.UnpicklingError: it holds more than that.
    """
    torch: Any = import_module("torch")
    path = directory / CHECKPOINT_FILE
    with _trusting([_found(name) for name in trusted]):
        whole = torch.load(path, map_location="cpu", weights_only=True)
    part: Any = whole
    for key in _reference(directory).get("where", []):
        part = part[key]
    weights: Any = named_tensors(part) if hasattr(part, "_parameters") else part
    loaded = _described(weights, directory)
    loaded.checkpoint = whole
    return loaded


def unknown_types(directory: Path) -> list[str]:
    """Return the types in a checkpoint that PyTorch does not load without being told to."""
    serialization: Any = import_module("torch.serialization")
    find = getattr(serialization, "get_unsafe_globals_in_checkpoint", None)  # from 2.6 on
    if find is None:
        return []
    try:
        return sorted(find(directory / CHECKPOINT_FILE))
    except (RuntimeError, ValueError):  # a file of the format before 1.6 tells when it is loaded
        return []


def code_reference(module: Any, where: Sequence[str | int] = ()) -> dict[str, bytes]:
    """Return the small files that say what module some weights belong to.

    Args:
        module: the module, or None if it is not known.
        where: the keys that lead to the weights in a checkpoint.
    """
    told: dict[str, Any] = {"where": list(where)}
    files: dict[str, bytes] = {}
    if module is not None:
        cls = type(cast("object", module))
        told["class"] = f"{cls.__module__}:{cls.__qualname__}"
        with contextlib.suppress(Exception):  # `extra_repr` is anybody's code
            told["tree"] = repr(module)[:_LONGEST_TREE]
        path, source = _source_of(cls)
        if path is not None:
            told["file"] = path
        if source is not None:
            files[_SOURCE] = source
    files[_REFERENCE] = json.dumps(told, indent=1).encode()
    return files


def _source_of(cls: type) -> tuple[str | None, bytes | None]:
    """Return the file of a class, and its bytes if it is no installed package."""
    path = _file_of(cls)
    if path is None:  # a notebook: the cell is all there is
        with contextlib.suppress(Exception):
            return None, inspect.getsource(cls).encode()
        return None, None
    library = Path(json.__file__).parent.parent
    if set(_INSTALLED) & set(path.parts) or path.is_relative_to(library):
        return str(path), None
    with contextlib.suppress(OSError):
        if path.stat().st_size <= _LARGEST_SOURCE:
            return str(path), path.read_bytes()
    return str(path), None


def _file_of(cls: type) -> Path | None:
    """Return the file of a class: its functions know it when the script is over, too."""
    module = sys.modules.get(cls.__module__)
    names = [getattr(module, "__file__", None)]
    names += [one.__code__.co_filename for one in vars(cls).values() if inspect.isfunction(one)]
    return next((Path(name) for name in names if name and Path(name).is_file()), None)


def _reference(directory: Path) -> dict[str, Any]:
    path = directory / _REFERENCE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _described(tensors: Mapping[str, Any], directory: Path) -> StateDict:
    loaded = StateDict(tensors)
    told = _reference(directory)
    loaded.class_name, loaded.file = told.get("class"), told.get("file")
    loaded.tree = told.get("tree")
    source = directory / _SOURCE
    if source.exists():
        loaded.source = source.read_text(encoding="utf-8", errors="replace")
    return loaded


def _found(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        raise ImportError(f"{name}, which the checkpoint names, cannot be imported: {exc}") from exc


def _trusting(types: list[Any]) -> contextlib.AbstractContextManager[Any]:
    serialization: Any = import_module("torch.serialization")
    return serialization.safe_globals(types) if types else contextlib.nullcontext()
