"""The loss of a step: what gradients were computed of, for the variables that an optimizer changes.

`GradientTape.gradient` is the one way to gradients. What it was given is kept, by thread or by the
graph that is being traced, until an optimizer applies gradients of the same variables. An optimizer
that applies the very gradients of one call takes the loss of that call; one that applies others
(clipped, accumulated) takes those of all calls for its variables since its last step.

A loss that was scaled for mixed precision counts as it was before.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any, Final

from autolog.integration import Capture, Detach, Tap
from autolog_tensorflow import traced
from autolog_tensorflow.current import here
from autolog_tensorflow.framework import flatten, graph_now, is_eager

if TYPE_CHECKING:
    from autolog_tensorflow.tracked import Tracked

__all__ = ["Gradient", "attach", "scaled", "take"]

_RECENT: Final = 8

_scaled: deque[tuple[weakref.ref[Any], Any]] = deque(maxlen=_RECENT)
"""Scaled losses, and what they were before."""


class Gradient:
    """Gradients of a loss that were computed.

    Args:
        loss: the tensors whose sum it is: eager ones, or the names of those of a graph; None if it
            is not known, or no number.
        variables: the ids of the variables that they were computed for.
        first: one of the gradients, referred to weakly.
    """

    __slots__ = ("first", "left", "loss", "users")

    def __init__(self, loss: list[Any] | None, variables: frozenset[int], first: Any) -> None:
        self.loss = loss
        self.left: frozenset[int] = variables
        """Those of the variables that no optimizer has changed since."""
        self.first: Callable[[], Any] = weakref.ref(first) if first is not None else _nothing
        self.users: list[Tracked] = []
        """The optimizers that have applied them."""


def _nothing() -> None:
    return None


def take(
    pending: MutableSequence[Gradient],
    tracked: Tracked,
    variables: frozenset[int],
    applied: Sequence[Any],
) -> list[Gradient]:
    """Return the gradients that an optimizer applies now, and forget them for these variables."""
    concerned = [one for one in pending if not one.left.isdisjoint(variables)]
    if not concerned:
        return concerned
    given = {id(one) for one in applied if one is not None}
    found = [
        one for one in concerned if (first := one.first()) is not None and id(first) in given
    ] or concerned
    for one in concerned:
        one.left -= variables
        if not one.left:
            pending.remove(one)
    for one in found:
        one.users.append(tracked)
    return found


def attach(capture: Capture) -> Detach:
    """Watch every computation of gradients."""
    from importlib import import_module

    tape: Any = import_module("tensorflow").GradientTape
    untap = capture.tap(tape, "gradient", Tap(exit=_computed))

    def detach() -> None:
        untap()
        _scaled.clear()
        here.gradients.clear()

    return detach


def _computed(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
    if here.in_trainer:
        return
    names = ("target", "sources", "output_gradients")
    given: dict[str, Any] = {**dict(zip(names, args[1:], strict=False)), **kwargs}
    sources = given.get("sources")
    flat: Any = sources if type(sources) in (list, tuple) else flatten(sources)
    variables = frozenset([id(one) for one in flat if hasattr(one, "assign")])
    if not variables:
        return
    gradients: Any = result if type(result) in (list, tuple) else flatten(result)
    first = next((one for one in gradients if one is not None), None)
    targets = flatten(given.get("target"))
    weighted = given.get("output_gradients") is not None
    if is_eager():
        loss = None if weighted else _eager_loss(targets)
        here.gradients.append(Gradient(loss, variables, first))
        return
    graph = graph_now()
    if graph is not None:
        notes, inside = traced.of_graph(graph)
        loss = None if weighted or inside else traced.names_of(targets, graph)
        notes.gradients.append(Gradient(loss, variables, first))


def _eager_loss(targets: list[Any]) -> list[Any] | None:
    found: list[Any] = []
    for target in targets:
        value = unscaled(target)
        if getattr(value, "shape", None) is None or value.shape.num_elements() != 1:
            return None
        found.append(value)
    return found


def scaled(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
    """Note that a tensor is a loss that was multiplied to keep its gradients from vanishing."""
    loss: Any = args[1] if len(args) > 1 else kwargs.get("loss")
    if result is loss or callable(loss) or not hasattr(result, "shape"):
        return
    if is_eager():
        _scaled.appendleft((weakref.ref(result), loss))
        return
    graph = graph_now()
    if graph is not None and hasattr(loss, "graph"):
        traced.of_graph(graph)[0].scaled[result.name] = loss.name


def unscaled(tensor: Any) -> Any:
    """Return a loss as it was before a scaler multiplied it."""
    for reference, loss in tuple(_scaled):
        if reference() is tensor:
            return loss
    return tensor
