"""The optimizers that are watched: of Keras, of tf_keras, and those of TensorFlow 1."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Capture, Detach, Tap
from autolog_tensorflow import gradients, models
from autolog_tensorflow.current import here
from autolog_tensorflow.steps import stepping, tracking

__all__ = ["attach", "attach_keras", "attach_tf_keras"]

_LISTS: Final = (type(iter([])), type(iter(())))
"""Iterators of lists, a copy of which may be used up."""

_Given = tuple[Sequence[Any], Sequence[Any]]


def attach(capture: Capture) -> Detach:
    """Watch `tf.compat.v1.train.Optimizer` and its subclasses."""
    cls: Any = import_module("tensorflow").compat.v1.train.Optimizer
    return _all(
        [
            capture.tap(cls, "__init__", Tap(exit=_built("tensorflow"))),
            capture.tap(cls, "apply_gradients", stepping(_pairs)),
        ]
    )


def attach_keras(capture: Capture) -> Detach:
    """Watch the optimizers of Keras, on the backend of TensorFlow."""
    keras: Any = import_module("keras")
    if keras.config.backend() != "tensorflow":
        return lambda: None
    base: Any = import_module("keras.src.optimizers.base_optimizer").BaseOptimizer
    trainer: Any = import_module("keras.src.backend.tensorflow.trainer").TensorFlowTrainer
    bases = (base, *_classes("keras.src.optimizers.loss_scale_optimizer", "LossScaleOptimizer"))
    taps = [
        capture.tap(base, "__init__", Tap(exit=_built("keras"))),
        *(capture.tap(one, "apply", stepping(_apart)) for one in bases),
        *(
            capture.tap(one, "scale_loss", Tap(exit=gradients.scaled))
            for one in bases
            if "scale_loss" in vars(one)
        ),
        *_trainer(capture, trainer),
        *models.attach_keras(capture),
    ]
    return _all(taps)


def attach_tf_keras(capture: Capture) -> Detach:
    """Watch the optimizers of tf_keras, the legacy ones too."""
    source = "tf_keras.src.optimizers"
    bases = _classes(f"{source}.optimizer", "_BaseOptimizer")
    news = _classes(f"{source}.optimizer", "Optimizer")
    legacy = _classes(f"{source}.legacy.optimizer_v2", "OptimizerV2")
    scalers = _classes(
        "tf_keras.src.mixed_precision.loss_scale_optimizer",
        "LossScaleOptimizer",
        "LossScaleOptimizerV3",
    )
    model: Any = import_module("tf_keras").Model
    appliers = (*bases, *news, *legacy, *scalers)
    taps = [
        *(capture.tap(one, "__init__", Tap(exit=_built("tf_keras"))) for one in (*bases, *legacy)),
        *(capture.tap(one, "apply_gradients", stepping(_pairs)) for one in appliers),
        # Which pairs an iterator gave is known to what it is handed on to.
        *(capture.tap(one, "_internal_apply_gradients", Tap(enter=_pairs_told)) for one in news),
        *(capture.tap(one, "_create_all_weights", Tap(enter=_variables_told)) for one in legacy),
        *(capture.tap(one, "get_scaled_loss", Tap(exit=gradients.scaled)) for one in scalers),
        *_trainer(capture, model),
        *models.attach_tf_keras(capture),
    ]
    return _all(taps)


def _classes(module: str, *names: str) -> tuple[Any, ...]:
    """Return the classes of these names that this version has."""
    try:
        found = vars(import_module(module))
    except ImportError:
        return ()
    return tuple(found[name] for name in names if name in found)


def _all(detaches: list[Detach]) -> Detach:
    def detach() -> None:
        for one in detaches:
            one()

    return detach


def _built(package: str) -> Callable[..., None]:
    def built(_: Any, args: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
        tracking.of(args[0], package=package)

    return built


def _trainer(capture: Capture, cls: Any) -> list[Detach]:
    """Watch the loops of Keras' own: the steps in them are not those of a loop of the user's."""

    def begin(_: tuple[Any, ...], __: Mapping[str, Any]) -> bool:
        here.in_trainer += 1
        return True

    def end(state: bool | None, *_: Any) -> None:
        if state:
            here.in_trainer -= 1

    tap = Tap(enter=begin, exit=end, error=end)
    return [capture.tap(cls, name, tap) for name in ("fit", "train_on_batch")]


def _apart(optimizer: Any, grads: Any = (), trainable_variables: Any = None) -> _Given | None:
    """Return what `apply(grads, trainable_variables)` was given."""
    if trainable_variables is None:
        trainable_variables = getattr(optimizer, "_trainable_variables", ())
    gradients, variables = _listed(grads), _listed(trainable_variables)
    return None if gradients is None or variables is None else (gradients, variables)


def _pairs(_: Any, grads_and_vars: Any = (), *__: Any, **___: Any) -> _Given | None:
    """Return what `apply_gradients(grads_and_vars)` was given."""
    if type(grads_and_vars) is zip:
        both = [_listed(one) for one in _inside(grads_and_vars)]
        return (both[0], both[1]) if len(both) == 2 and both[0] and both[1] else None
    pairs = _listed(grads_and_vars)
    if pairs is None:
        return None
    return [gradient for gradient, _ in pairs], [variable for _, variable in pairs]


def _inside(pairs: Any) -> tuple[Any, ...]:
    """Return copies of the lists that a fresh `zip` reads; it is not read itself."""
    try:
        return tuple([copy.copy(one) for one in pairs.__reduce__()[1]])
    except TypeError:  # a generator, or a Python in which iterators do not tell
        return ()


def _listed(given: Any) -> list[Any] | None:
    if isinstance(given, (list, tuple)) or type(given) in _LISTS:
        return list(cast("list[Any]", given))
    return None


def _pairs_told(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    del kwargs
    if here.applying and here.variables is None:
        here.variables = _pairs(*args)


def _variables_told(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    del kwargs
    if here.applying and here.variables is None:
        here.variables = ([], list(args[1]))
