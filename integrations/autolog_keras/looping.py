"""The models that are trained in loops of the user's own, and the runs of these loops.

A model is referred to weakly. What is recorded of it beside its steps (how it was compiled, its
size, in the end the model itself) is recorded when it is known which loop its steps belong to.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final

from autolog.integration import Capture, Loop, LoopOptimizer, Span

__all__ = ["Stepping", "Steppings"]

_STATE: Final = "keras.models"
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Stepping:
    """What is known of one model between its steps.

    Args:
        capture: what autolog offers.
        model: referred to weakly.
        optimizer: that of the model, referred to weakly.
        others: all models that are known.
        built: whether the model has been compiled just now.
    """

    def __init__(
        self, capture: Capture, model: Any, optimizer: Any, others: Steppings, *, built: bool
    ) -> None:
        self._capture = capture
        self._others = others
        self.model: weakref.ref[Any] = weakref.ref(model)
        self.optimized: weakref.ref[Any] = weakref.ref(optimizer)
        self._stepped_by: weakref.ref[Any] = self.optimized
        if others.has(optimizer):  # of several models at once: each of them steps for itself
            self._stepped_by = self.model
        self.optimizer = self._announced("", built=built)
        self.name = ""
        self.steps = 0
        self.stored = 0
        """How many steps it had made when it was stored."""
        self.evaluated: dict[str, float] = {}
        """Values of the newest evaluation, if no step has come after it."""
        self._described_in: weakref.ref[Loop] | None = None
        self._keys: dict[tuple[str, ...], tuple[str, ...]] = {}

    def _announced(self, name: str, *, built: bool) -> LoopOptimizer:
        return self._capture.optimizer(
            self._stepped_by(), _parameters_of(self.model), self.model, name=name, built=built
        )

    def call_it(self, variable: str | None) -> None:
        """Name it after the variable that holds it, else as the user has named the model."""
        model = self.model()
        name = variable or _given_name(model)
        if name and not self.name:
            self.name = self._others.unused(name)
            self._announced(self.name, built=False)

    # -- its steps ---------------------------------------------------------------------------

    def made(self, values: dict[str, float]) -> None:
        """Record a step."""
        self.steps += 1
        names = tuple(values)
        keys = self._keys.get(names)
        if keys is None:
            keys = self._keys[names] = tuple([f"{name}/*" for name in names])
        loop = self.optimizer.loop
        known = self._described_in is not None and self._described_in() is loop is not None
        self.optimizer.step(keys, list(values.values()), epoch=None if known else self._begins)

    def settle(self) -> None:
        """Record its evaluation, at the step that it came after, once that has a loop."""
        loop = self.optimizer.loop
        if self.evaluated and loop is not None:
            values, self.evaluated = self.evaluated, {}
            place = f"/{self.optimizer.label}" if loop.several else ""
            named = {f"val_{key}{place}": value for key, value in values.items()}
            loop.span.metrics(named, step=loop.step)

    # -- its run -----------------------------------------------------------------------------

    def _begins(self, loop: Loop) -> None:
        """It is known which loop its steps belong to: describe it there."""
        if self._described_in is not None and self._described_in() is loop:
            return
        self._described_in = weakref.ref(loop)
        model, span = self.model(), loop.span
        models: list[Stepping] = span.state.setdefault(_STATE, [])
        if not models and span.owns_run:
            span.at_end(partial(_ends, self._capture, span, models))
        models.append(self)
        if model is not None:
            place = f"{self.optimizer.label}." if loop.several else ""
            params = {**_compile_params(model), **_size_params(model)}
            span.params({f"{place}{key}": value for key, value in params.items()})

    def store(self, span: Span) -> None:
        """Store the model as the loop has left it."""
        model = self.model()
        if self.stored == self.steps:
            return
        self.stored = self.steps
        if model is not None:
            _store(self._capture, span, model)
            return
        text = (
            "the model was not stored: it was gone when its training was known to be over. Save it"
            " where it is trained, or call autolog.log_model(model)"
        )
        span.event("notice", {"key": "model_gone", "text": text})


class Steppings:
    """All models that are known; an entry goes with its model."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._known: dict[int, Stepping] = {}

    def known(self, model: Any) -> Stepping | None:
        """Return what is known of a model."""
        found = self._known.get(id(model))
        return found if found is not None and found.model() is model else None

    def of(self, model: Any, *, built: bool = False) -> Stepping:
        """Return what is known of a model with the optimizer that it has now."""
        found, optimizer = self.known(model), model.optimizer
        if found is not None and found.optimized() is optimizer:
            return found
        made = Stepping(self._capture, model, optimizer, self, built=built)
        if found is not None:  # compiled anew
            made.name, made.steps, made.stored = found.name, found.steps, found.stored
            made.evaluated = found.evaluated
        else:
            weakref.finalize(model, self._forget, id(model), made.model).atexit = False
        self._known[id(model)] = made
        return made

    def _forget(self, key: int, _: Any) -> None:
        known = self._known.get(key)
        if known is not None and known.model() is None:
            del self._known[key]

    def all(self) -> list[Stepping]:
        """Return those whose models are there."""
        return [one for one in self._known.values() if one.model() is not None]

    def has(self, optimizer: Any) -> bool:
        """Whether another model has this optimizer."""
        return any(one.optimized() is optimizer for one in self.all())

    def unused(self, name: str) -> str:
        """Return a name that no other model has."""
        taken = {one.name for one in self.all()}
        found, number = name, 1
        while found in taken:
            number += 1
            found = f"{name}_{number}"
        return found

    def settle(self) -> None:
        """Record evaluations that no step can come before any more."""
        for one in tuple(self._known.values()):
            if one.evaluated:
                one.settle()


def _ends(capture: Capture, span: Span, models: list[Stepping]) -> None:
    for one in models:
        one.settle()
        one.store(span)


def _given_name(model: Any) -> str:
    """Return the name that the user gave a model; empty for one of Keras' own making."""
    name = getattr(model, "name", None)
    if not isinstance(name, str):
        return ""
    own = _WORD.sub("_", type(model).__name__).lower()
    made = re.sub(r"_\d+$", "", name)
    return "" if made in {"functional", "model", "sequential", own} else name


def _parameters_of(reference: Callable[[], Any]) -> Callable[[], list[Any]]:
    def parameters() -> list[Any]:
        model = reference()
        if model is None:
            return []
        try:
            # Those of a model that is frozen for the other half of a GAN are trained all the same.
            return [*(model.trainable_variables or model.variables)]
        except ValueError:  # tf_keras, of a model that is not built yet
            return []

    return parameters


def _compile_params(model: Any) -> dict[str, Any]:
    compiled: Any = import_module("autolog_keras.compiled")
    return compiled.compile_params(model)


def _size_params(model: Any) -> dict[str, Any]:
    architecture: Any = import_module("autolog_keras.architecture")
    return architecture.size_params(model)


def _store(capture: Capture, span: Span, model: Any) -> None:
    models: Any = import_module("autolog_keras.models")
    models.store(capture, span, model)
