"""What `compile` set up: the optimizer with its whole configuration, losses, metrics, precision.

Read from what `compile` keeps of its arguments. No metric is built and no function of the user's
is called; each item stands on its own, and one that cannot be read leaves the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from autolog_keras.kinds import PACKAGES, attributes, backend_of, class_of, package_of
from autolog_keras.optimizers import optimizer_params

__all__ = ["compile_params"]

_PLAIN: Final = (str, int, float, bool, type(None))
_SETTINGS: Final = ("run_eagerly", "steps_per_execution", "jit_compile")
_UNSET: Final = {"run_eagerly": False, "steps_per_execution": 1}


def compile_params(model: Any) -> dict[str, Any]:
    """Return how a model was compiled, and with which backend; flat, by dotted names."""
    given = _given(model)
    items: list[Callable[[], dict[str, Any]]] = [
        lambda: _optimizers(model),
        lambda: _losses(given.get("loss")),
        lambda: _present("loss_weights", _structure(given.get("loss_weights"), _value)),
        lambda: _present("metrics", _structure(given.get("metrics"), _name)),
        lambda: _present("weighted_metrics", _structure(given.get("weighted_metrics"), _name)),
        *(lambda name=name: _present(name, _setting(model, given, name)) for name in _SETTINGS),
        lambda: {"dtype_policy": _policy(model)},
        lambda: _surroundings(model),
    ]
    found: dict[str, Any] = {}
    for item in items:
        try:
            found |= item()
        except Exception:  # noqa: S112  an object of the user's: the others can be read
            continue
    return found


def _given(model: Any) -> Mapping[str, Any]:
    """Return the arguments of `compile`, which Keras keeps to save them with the model."""
    kept = attributes(model).get("_compile_config")
    config = getattr(kept, "config", None)
    return cast("dict[str, Any]", config) if isinstance(config, dict) else {}


def _present(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _setting(model: Any, given: Mapping[str, Any], name: str) -> Any:
    """Return a setting of how steps are run; tf_keras keeps None where it decides itself."""
    value = given.get(name)
    if value is None and name in _UNSET:
        kept = attributes(model).get(f"_{name}")
        return kept if isinstance(kept, bool) else _UNSET[name]
    return value


# -- optimizers ------------------------------------------------------------------------------


def _optimizers(model: Any) -> dict[str, Any]:
    """Describe the optimizer, and those that a model with a loop of its own keeps beside it."""
    compiled = getattr(model, "optimizer", None)
    others = {
        name: value
        for name, value in attributes(model).items()
        if hasattr(class_of(value), "apply_gradients") and value is not compiled
    }
    found: dict[str, Any] = {}
    if compiled is not None and not (others and _is_default(model, compiled)):
        found |= optimizer_params(compiled, "optimizer")
    for name, value in others.items():
        found |= optimizer_params(value, name.lstrip("_"))
    return found


def _is_default(model: Any, optimizer: Any) -> bool:
    """Whether nobody chose the optimizer: the user's `compile` gave Keras' own nothing."""
    owner = next(base for base in type(model).__mro__ if "compile" in vars(base))
    own = owner.__module__.partition(".")[0] in PACKAGES
    return not own and type(optimizer).__name__ == "RMSprop"


# -- losses and metrics ----------------------------------------------------------------------


def _losses(loss: Any) -> dict[str, Any]:
    """Describe the loss; those of several outputs by the name or the number of the output."""
    if loss is None:
        return {}
    if isinstance(loss, Mapping):
        named = {str(key): value for key, value in cast("dict[Any, Any]", loss).items()}
    elif isinstance(loss, (list, tuple)):
        named = {str(at): value for at, value in enumerate(cast("list[Any]", loss))}
    else:
        return _loss("loss", loss)
    found: dict[str, Any] = {"loss": _structure(loss, _name)}
    for key, value in named.items():
        found |= {name: item for name, item in _loss(f"loss.{key}", value).items() if "." in name}
    return found


def _loss(prefix: str, loss: Any) -> dict[str, Any]:
    """Return what one loss is called, and its configuration if it is an object of Keras."""
    found: dict[str, Any] = {prefix: _name(loss)}
    if type(loss).__module__.partition(".")[0] in PACKAGES and hasattr(loss, "reduction"):
        # its configuration would serialise functions, and lacks some of these in some versions
        settings: dict[str, Any] = {
            "reduction": loss.reduction,
            **(attributes(loss).get("_fn_kwargs") or {}),
        }
        found |= {
            f"{prefix}.{key}": value for key, value in settings.items() if isinstance(value, _PLAIN)
        }
    return found


def _structure(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """Return a structure of lists and dictionaries with its leaves replaced."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        mapping = cast("dict[Any, Any]", value)
        return {str(key): _structure(one, leaf) for key, one in mapping.items()}
    if isinstance(value, (list, tuple)):
        return [_structure(one, leaf) for one in cast("list[Any]", value)]
    return leaf(value)


def _name(thing: Any) -> str:
    """Return what a loss or a metric is called: metrics by the name that their series have."""
    if isinstance(thing, str):
        return thing
    if hasattr(class_of(thing), "update_state"):
        return str(thing.name)
    return str(getattr(thing, "__name__", type(thing).__name__))


def _value(value: Any) -> Any:
    return value if isinstance(value, _PLAIN) else float(value)


# -- precision and backend -------------------------------------------------------------------


def _policy(model: Any) -> str:
    policy = model.dtype_policy
    return str(getattr(policy, "name", policy))


def _surroundings(model: Any) -> dict[str, Any]:
    package = package_of(model)
    keras: Any = sys.modules[package]
    backend = backend_of(package)
    found = {"keras.package": package, "keras.version": str(keras.__version__)}
    found["keras.backend"] = backend
    version = getattr(sys.modules.get(backend), "__version__", None)
    if version is not None:
        found["keras.backend_version"] = str(version)
    return found
