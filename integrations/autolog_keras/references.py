"""What the configuration in a `.keras` file names: classes, functions and files.

Keras' safe mode keeps code out of a file that is loaded, and not much else: versions before 3.9
import any module that a configuration names (CVE-2025-1550), a function of Keras can be named that
loads or downloads files (CVE-2025-8747), and a layer may read a file of this machine by its path
(CVE-2025-12058). So everything that is more than a part of a model is told before Keras sees the
file.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

__all__ = ["Reference", "references"]

_PARTS: Final = (
    "activations",
    "constraints",
    "dtype_policies",
    "engine",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "quantizers",
    "random",
    "regularizers",
    "trainers",
)
_OWN_CLASSES: Final = re.compile(
    rf"(tf_)?keras(\.src)?\.({'|'.join(_PARTS)}|backend\.\w+\.optimizers)(\.\w+)*"
)
_OWN_FUNCTIONS: Final = re.compile(
    r"(tf_)?keras(\.src)?\.(activations|constraints|initializers|losses|metrics|ops|regularizers)"
    r"(\.\w+)*"
)
_AT_THE_TOP: Final = frozenset(
    {
        "DTypePolicy",
        "DTypePolicyMap",
        "FloatDTypePolicy",
        "Functional",
        "Initializer",
        "Layer",
        "Loss",
        "Metric",
        "Model",
        "Optimizer",
        "QuantizedDTypePolicy",
        "Quantizer",
        "Regularizer",
        "Sequential",
    }
)
"""Classes of the module `keras` itself, among which are also `Function` and `Variable`."""
_FOREIGN: Final = frozenset({"FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"})
"""Layers that load code of somebody else, or pickles."""
_FROM_NAMES: Final = frozenset({"deserialize", "get", "serialize"})
_PLAIN: Final = frozenset(
    {
        "__bytes__",
        "__ellipsis__",
        "__keras_tensor__",
        "__numpy__",
        "__slice__",
        "__tensor__",
    }
)
_TYPE_SPECS: Final = frozenset({"RaggedTensorSpec", "SparseTensorSpec", "TensorSpec"})
_LAMBDAS: Final = frozenset({"lambda", "raw"})


class Reference(NamedTuple):
    """Something that is not a part of Keras' own models.

    Attributes:
        name: what it is called where the user says whom to trust: `"module:Class"`.
        module: where it is defined; None if the file does not say.
        attribute: what it is called there.
        registered: what it was registered as, `"package>Class"`.
    """

    name: str
    module: str | None
    attribute: str
    registered: str | None


def references(config: Any) -> Iterator[Reference]:
    """Yield what a configuration names beyond Keras' own parts; a name may come twice.

    Raises:
        ValueError: it holds the code of a lambda.
    """
    waiting: list[Any] = [config]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += cast("list[Any]", one)
        elif isinstance(one, dict):
            entry = cast("dict[str, Any]", one)
            waiting += entry.values()
            yield from _of(entry)


def _of(entry: dict[str, Any]) -> Iterator[Reference]:
    kind, inner = entry.get("class_name"), entry.get("config")
    if kind == "__lambda__" or entry.get("function_type") in _LAMBDAS:
        raise ValueError("it holds the code of a lambda, which would be run")
    # In the configuration of a layer itself: any that takes a vocabulary reads it from a path.
    if isinstance(entry.get("vocabulary"), str):
        yield Reference(f"file:{entry['vocabulary']}", None, "", None)
    if not isinstance(kind, str) or kind in _PLAIN:
        return
    module = entry.get("module")
    module = module if isinstance(module, str) and module else None
    registered = entry.get("registered_name")
    registered = registered if isinstance(registered, str) and registered else None
    if kind == "__typespec__":
        kind = str(entry.get("spec_name"))
        if (module or "").startswith("tensorflow.python.") and kind in _TYPE_SPECS:
            return
    elif kind == "function":
        kind = str(inner)
        if _is_own_function(module, kind) and registered in (None, kind):
            return
    elif _is_own_class(module, kind) and registered in (None, kind):
        return
    name = f"{module}:{kind}" if module is not None else registered or kind
    yield Reference(name, module, kind, registered)


def _is_own_class(module: str | None, name: str) -> bool:
    if name in _FOREIGN or not name.isidentifier():
        return False
    if module in ("keras", "tf_keras"):
        return name in _AT_THE_TOP
    # Without a module it is looked up among Keras' own, and what the program has registered.
    return module is None or _OWN_CLASSES.fullmatch(module) is not None


def _is_own_function(module: str | None, name: str) -> bool:
    if module == "builtins":  # so Keras names its losses and metrics
        return name.isidentifier() and not hasattr(builtins, name)
    if module is None or not name.isidentifier() or name in _FROM_NAMES:
        return False
    return _OWN_FUNCTIONS.fullmatch(module) is not None
