"""The models that are trained in loops of the user's own, and the runs of these loops.

A model is referred to weakly. What is recorded of it beside its steps (how it was compiled, its
size, in the end the model itself) is recorded when it is known which loop its steps belong to.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from autolog.integration import Capture, Loop, LoopOptimizer, Span
from autolog_keras.architecture import size_params
from autolog_keras.compiled import compile_params
from autolog_keras.models import store

__all__ = ["Stepping", "Steppings"]

_STATE: Final = "keras.models"
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Stepping:
    """What is known of one model between its steps.

    Args:
        capture: what autolog offers.
        model: referred to weakly.
        others: all models that are known.
    """

    def __init__(self, capture: Capture, model: Any, others: Steppings) -> None:
        self._capture = capture
        self._others = others
        self.model: weakref.ref[Any] = weakref.ref(model)
        self.name = ""
        self.optimized: Callable[[], Any] = _nothing
        self.steps = 0
        self.evaluated: dict[str, float] = {}
        """Values of the newest evaluation, if no step has come after it."""
        self._compiled = 0
        """How many optimizers it has had."""
        self._stored = 0
        """How many steps it had made when it was stored."""
        self._described_in: weakref.ref[Loop] | None = None
        self._keys: dict[tuple[str, ...], tuple[str, ...]] = {}

    def take(self, optimizer: Any, *, built: bool) -> None:
        """Take the optimizer of the model, referred to weakly.

        Args:
            optimizer: what it was compiled with; None if its own steps have others.
            built: whether that was just now.
        """
        # Of models that share one each steps for itself.
        alone = optimizer is not None and not self._others.has(optimizer)
        self.optimized = weakref.ref(optimizer) if optimizer is not None else _nothing
        self._stepped_by = self.optimized if alone else self.model
        self.optimizer = self._announced(built=built)
        self._compiled += 1
        self._described_in = None

    def _announced(self, *, built: bool = False) -> LoopOptimizer:
        parameters = _parameters_of(self.model)
        return self._capture.optimizer(
            self._stepped_by(), parameters, self.model, name=self.name, built=built
        )

    def has(self, optimizer: Any) -> bool:
        """Whether this is its optimizer."""
        return self._compiled > 0 and self.optimized() is optimizer

    def call_it(self, variable: str | None) -> None:
        """Name it after the variable that holds it, else as the user has named the model."""
        model = self.model()
        name = variable or _given_name(model)
        if name and not self.name:
            self.name = self._others.unused(name)
            self._announced()

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
            span.at_end(partial(_ends, span, models))
        again = self in models
        if not again:
            models.append(self)
        if model is not None:
            place = f"{self.optimizer.label}." if loop.several else ""
            self._describe(model, span, place, f"compile.{self._compiled}." if again else "")

    def _describe(self, model: Any, span: Span, place: str, again: str) -> None:
        cls = type(cast("object", model))
        params = compile_params(model)
        if not again:
            span.tag(f"{place}model", f"{cls.__module__}.{cls.__qualname__}")
            before = self._capture.producer(model)
            origin = before.span.trained_by if before is not None else None
            if origin is not None and origin != span.run_id:
                span.tag("resumed_from", origin)
            self._capture.produced(model, span)
            params |= size_params(model)
        span.params({f"{place}{again}{key}": value for key, value in params.items()})

    def store(self, span: Span, name: str) -> None:
        """Store the model as the loop has left it."""
        model = self.model()
        if self._stored == self.steps:
            return
        self._stored = self.steps
        if model is not None:
            store(self._capture, span, model, name=name)
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
        if found is None:
            found = self._known[id(model)] = Stepping(self._capture, model, self)
            weakref.finalize(model, self._forget, id(model), found).atexit = False
        elif found.optimized() is optimizer:
            return found
        found.take(optimizer, built=built)
        return found

    def _forget(self, key: int, found: Stepping) -> None:
        if self._known.get(key) is found:
            del self._known[key]

    def all(self) -> list[Stepping]:
        """Return those whose models are there."""
        return [one for one in self._known.values() if one.model() is not None]

    def has(self, optimizer: Any) -> bool:
        """Whether another model has this optimizer."""
        return any(one.has(optimizer) for one in self.all())

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


def _nothing() -> None:
    return None


def _ends(span: Span, models: list[Stepping]) -> None:
    for one in models:
        one.settle()
        one.store(span, one.optimizer.label if len(models) > 1 else "model")


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
