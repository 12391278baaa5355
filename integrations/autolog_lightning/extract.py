"""What is known of a training without running anything: parameters, layers, files.

Nothing here calls the user's code: no forward pass for a summary, no loader is iterated.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, Final, cast

from autolog.integration import Call

__all__ = [
    "data_params",
    "hyperparameters",
    "module_of",
    "own_attributes",
    "qualified_name",
    "size_params",
    "summary",
    "trainer_params",
    "versions",
]

_TRAINER: Final = (
    *("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "precision"),
    *("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm", "num_devices"),
    *("num_nodes", "world_size", "log_every_n_steps", "val_check_interval", "overfit_batches"),
    *("check_val_every_n_epoch", "limit_train_batches", "limit_val_batches", "fast_dev_run"),
    *("reload_dataloaders_every_n_epochs", "num_sanity_val_steps"),
)
_UNSET: Final[dict[str, tuple[Any, ...]]] = {
    "max_epochs": (None,),
    "min_epochs": (None, 0),
    "max_steps": (None, -1),
    "num_nodes": (1,),
    "world_size": (1,),
    "overfit_batches": (0, 0.0),
    "fast_dev_run": (False, 0),
    "limit_train_batches": (1.0,),
    "limit_val_batches": (1.0,),
    "reload_dataloaders_every_n_epochs": (0,),
}
_DEPTH: Final = 2
_ROWS: Final = 500


def own_attributes(thing: object) -> dict[str, Any]:
    """Return what an object itself has; looking a name up could call code of the user's."""
    return vars(thing)


def module_of(call: Call) -> Any:
    """Return the module that a call trains or evaluates, without `torch.compile` around it."""
    model: Any = (call.bound or {}).get("model")
    if model is None:
        model = getattr(call.instance.strategy, "_lightning_module", None)
    if model is None:
        return None
    return own_attributes(model).get("_modules", {}).get("_orig_mod", model)


def qualified_name(thing: Any) -> str:
    """Return the name of an object's class with its module."""
    cls = thing if isinstance(thing, type) else type(thing)
    return f"{cls.__module__}.{cls.__qualname__}"


def trainer_params(trainer: Any) -> dict[str, Any]:
    """Describe how a trainer trains; what was left at its neutral value is left out."""
    params: dict[str, Any] = {}
    for name in _TRAINER:
        value = getattr(trainer, name, None)
        if value is not None and value not in _UNSET.get(name, ()):
            params[f"trainer.{name}"] = value
    params["trainer.strategy"] = type(trainer.strategy).__name__
    params["trainer.accelerator"] = type(trainer.accelerator).__name__
    return params


def hyperparameters(module: Any, datamodule: Any) -> dict[str, Any]:
    """Return what `save_hyperparameters` kept for loggers; nested ones are joined by dots.

    A datamodule's goes by `datamodule.` where the module has another value of that name.
    """
    params = dict(_flat(_saved(module)))
    for key, value in _flat(_saved(datamodule)):
        if key not in params:
            params[key] = value
        elif params[key] is not value and _differ(params[key], value):
            params[f"datamodule.{key}"] = value
    return params


def _saved(thing: Any) -> Mapping[str, Any]:
    if thing is None:
        return {}
    own = own_attributes(thing)  # the property would add an empty dictionary to the module
    if not own.get("_log_hyperparams", False):
        return {}
    kept = own.get("_hparams")
    if isinstance(kept, Mapping):
        return cast("Mapping[str, Any]", kept)
    return own_attributes(kept) if hasattr(kept, "__dict__") else {}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(cast("Mapping[str, Any]", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _differ(one: Any, other: Any) -> bool:
    try:
        return bool(one != other)
    except Exception:
        return True  # arrays, or an `__eq__` of the user's


def data_params(trainer: Any) -> dict[str, Any]:
    """Describe the training's data as the trainer knows it by now."""
    params: dict[str, Any] = {}
    batches = trainer.num_training_batches
    if isinstance(batches, int):
        params["train_batches"] = batches
    loader = trainer.train_dataloader
    size = getattr(loader, "batch_size", None)
    if isinstance(size, int):
        params["batch_size"] = size
    if trainer.datamodule is not None:
        params["datamodule"] = type(trainer.datamodule).__name__
    return params


def size_params(module: Any) -> dict[str, int]:
    """Count the parameters of a module."""
    total = trainable = 0
    for one in module.parameters():
        count = _count(one)
        total += count
        trainable += count if one.requires_grad else 0
    return {"parameters": total, "parameters.trainable": trainable}


def _count(parameter: Any) -> int:
    return 0 if hasattr(parameter, "materialize") else int(parameter.numel())  # a lazy one


def summary(module: Any) -> str:
    """Describe the layers of a module, two levels deep: name, class, parameters, mode."""
    rows = [("name", "class", "parameters", "mode")]
    for name, layer in module.named_modules():
        if name.count(".") >= _DEPTH or len(rows) > _ROWS:
            continue
        count = sum(map(_count, layer.parameters()))
        mode = "train" if layer.training else "eval"
        rows.append((name or "(module)", type(layer).__name__, f"{count:,}", mode))
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    """Return the distributions that a stored module needs, with their versions."""
    found: dict[str, str] = {}
    for name in ("torch", "lightning", "pytorch-lightning"):
        module = sys.modules.get(name.replace("-", "_"))
        version = getattr(module, "__version__", None)
        if version is not None:
            found[name] = str(version)
        elif name == "torch":
            found[name] = metadata.version(name)
    return found
