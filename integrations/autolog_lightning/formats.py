"""The format of Lightning's modules: weights as safetensors, class and arguments by name.

`model.safetensors` holds the state, `module.json` the class, the hyperparameters that construct it
(`save_hyperparameters`) and which tensors are one. Loading imports the class and constructs it, so
its name is one that the user has to know, or the store to be their own.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from autolog_lightning.extract import own_attributes

__all__ = ["load", "save", "unknown"]

_WEIGHTS: Final = "model.safetensors"
_MODULE: Final = "module.json"
_OURS: Final = "autolog_lightning.example:"
_PLAIN: Final[tuple[Any, ...]] = (bool, int, float, str, type(None))


def save(model: Any, directory: Path) -> None:
    """Save a module.

    Raises:
        ValueError: the class cannot be found by its name or constructed from what
            `save_hyperparameters` kept, or the state holds more than tensors.
    """
    cls = cast("type[Any]", type(model))
    name = f"{cls.__module__}:{cls.__qualname__}"
    if cls.__module__ == "__main__" or _resolved(cls.__module__, cls.__qualname__) is not cls:
        raise ValueError(f"{name} cannot be imported by another program")
    arguments = _arguments(model)
    _check_arguments(cls, arguments)
    tensors, same = _state(model)
    description = {
        "class": name,
        "arguments": arguments,
        "same": same,
        "training": bool(model.training),
    }
    text = json.dumps(description, indent=1, allow_nan=True)
    (directory / _MODULE).write_text(text, encoding="utf-8")
    import_module("safetensors.torch").save_file(tensors, directory / _WEIGHTS)


def unknown(directory: Path) -> list[str]:
    """Return the class that loading would import and construct, unless it is one of ours."""
    name = str(_description(directory)["class"])
    return [] if name.startswith(_OURS) else [name]


def load(directory: Path, trusted: Sequence[str] = ()) -> Any:
    """Load a module whose class is among `trusted`.

    Raises:
        ValueError: the class is not trusted, or is no module of Lightning's.
    """
    found = _description(directory)
    if found["class"] not in trusted and not str(found["class"]).startswith(_OURS):
        raise ValueError(f"{found['class']} is not among the trusted classes")
    module, _, name = str(found["class"]).partition(":")
    cls = _resolved(module, name)
    if not hasattr(cls, "load_from_checkpoint") or not hasattr(cls, "load_state_dict"):
        raise ValueError(f"{found['class']} is not a LightningModule")
    torch: Any = import_module("torch")
    with torch.random.fork_rng(devices=[]):  # its weights are drawn only to be replaced
        model: Any = cls(**found["arguments"])
    tensors: dict[str, Any] = import_module("safetensors.torch").load_file(directory / _WEIGHTS)
    tensors.update({key: tensors[first] for key, first in found["same"].items()})
    model.load_state_dict(tensors)
    return model.train(found["training"])


def _description(directory: Path) -> dict[str, Any]:
    return json.loads((directory / _MODULE).read_text(encoding="utf-8"))


def _resolved(module: str, name: str) -> Any:
    try:
        found: Any = sys.modules.get(module) or import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found


def _arguments(model: Any) -> dict[str, Any]:
    """Return what constructs the module, as Lightning's own checkpoints would.

    Raises:
        ValueError: an argument is more than JSON can hold.
    """
    own = own_attributes(model)
    kept = own.get("_hparams")
    if not isinstance(kept, Mapping):
        return {}
    values = {
        str(key): _plain(key, value) for key, value in cast("Mapping[str, Any]", kept).items()
    }
    wrapped = own.get("_hparams_name")
    if wrapped not in (None, "kwargs"):  # `save_hyperparameters(config)`: one dictionary
        return {str(wrapped): values}
    parameters = inspect.signature(type(model).__init__).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return values
    names = {one.name for one in parameters}
    return {key: value for key, value in values.items() if key in names}


def _plain(key: object, value: Any) -> Any:
    if type(cast("object", value)) in _PLAIN:
        return value
    if type(value) is list:
        return [_plain(key, item) for item in cast("list[Any]", value)]
    if type(value) is dict:
        items = cast("dict[Any, Any]", value).items()
        if all(type(name) is str for name, _ in items):
            return {name: _plain(key, item) for name, item in items}
    kind = type(cast("object", value)).__name__
    raise ValueError(f"hyperparameter {key!r} is a {kind}, which JSON cannot hold")


def _check_arguments(cls: type, arguments: Mapping[str, Any]) -> None:
    try:
        inspect.signature(cls).bind(**arguments)
    except TypeError as exc:
        raise ValueError(
            f"{cls.__qualname__} is not constructed by what save_hyperparameters() kept: {exc}"
        ) from None


def _state(model: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the tensors of a module on the CPU, and which names are another's tensor."""
    tensors: dict[str, Any] = {}
    same: dict[str, str] = {}
    known: dict[tuple[Any, ...], str] = {}
    for key, value in model.state_dict().items():
        if not hasattr(value, "untyped_storage"):
            raise ValueError(f"{key} in the state is a {type(value).__name__}, not a tensor")
        place = (value.data_ptr(), value.shape, value.stride(), value.dtype, value.device)
        if value.numel() and place in known:
            same[key] = known[place]
            continue
        known[place] = key
        # A copy if it is a part of another tensor's memory, which a file cannot express.
        whole = value.detach().cpu().contiguous()
        shares = whole.untyped_storage().nbytes() != whole.numel() * whole.element_size()
        tensors[key] = whole.clone() if shares else whole
    return tensors, same
