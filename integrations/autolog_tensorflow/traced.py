"""What is known of the graphs of `tf.function`s: which optimizers step in them, and their losses.

Python code of a `tf.function` runs when it is traced, and a step is made each time that its graph
is called. So what an optimizer does while a graph is built is noted for that graph: whether each
call of the graph makes the step, once, or whether it stands inside of something that may run any
number of times (a loop, a branch, a function that is mapped over a dataset).

Notes are kept by graph, referred to weakly: every trace of a function has one.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from autolog_tensorflow.framework import flatten, graph_now

if TYPE_CHECKING:
    from autolog_tensorflow.gradients import Gradient
    from autolog_tensorflow.tracked import Tracked

__all__ = ["Applied", "Traced", "forget", "known", "names_of", "of_graph"]

_PASS_ON: Final = frozenset({"Identity", "StopGradient", "EnsureShape", "CheckNumerics"})
"""Operations that give what they are given."""


class Applied:
    """An optimizer applies gradients somewhere in a graph.

    Args:
        tracked: the optimizer.
        gradients: what it applies.
        inside: whether a call of the graph may run it any number of times.
        skips: whether it leaves out steps by itself, those whose gradients are not finite.
    """

    __slots__ = ("gradients", "inside", "skips", "tracked")

    def __init__(
        self, tracked: Tracked, gradients: list[Gradient], *, inside: bool, skips: bool
    ) -> None:
        self.tracked = tracked
        self.gradients = gradients
        self.inside = inside
        self.skips = skips


class Traced:
    """The notes of one graph."""

    __slots__ = (
        "_counted",
        "_positions",
        "applied",
        "below",
        "called",
        "gradients",
        "graph",
        "scaled",
    )

    def __init__(self, graph: weakref.ref[Any]) -> None:
        self.graph = graph
        self.gradients: list[Gradient] = []
        """Computed in it, and not applied in it so far."""
        self.applied: list[Applied] = []
        self.below: dict[int, list[Tracked]] = {}
        """Optimizers that step in a graph that was traced inside of this one, by that graph's id:
        one that this graph may call from within an operation."""
        self.scaled: dict[str, str] = {}
        """By the name of a scaled loss: that of the loss."""
        self.called = False
        """Whether it is complete, and was called."""
        self._counted: list[Tracked] | None = None
        self._positions: dict[str, int] | None = None

    def __bool__(self) -> bool:
        return bool(self.applied or self.below or self.gradients)

    def counted(self) -> list[Tracked]:
        """Return the optimizers of which only they themselves know how many steps they make.

        It is asked when the graph is complete.
        """
        if self._counted is None:
            found = [one.tracked for one in self.applied if one.inside or one.skips]
            found += [one for trackeds in self.below.values() for one in trackeds]
            self._counted = list(dict.fromkeys(found))
        return self._counted

    def position(self, name: str) -> int | None:
        """Return which output of the graph is a tensor of it; None if none is."""
        if self._positions is None:
            self._positions = self._find_positions()
        return self._positions.get(self.scaled.get(name, name))

    def _find_positions(self) -> dict[str, int]:
        graph = self.graph()
        found: dict[str, int] = {}
        for at, tensor in enumerate(graph.outputs if graph is not None else ()):
            found.setdefault(tensor.name, at)
            while tensor.op.type in _PASS_ON:
                tensor = tensor.op.inputs[0]
                found.setdefault(tensor.name, at)
        return found

    def loss_from(self, gradients: list[Gradient], outputs: list[Any]) -> list[Any] | None:
        """Return the tensors whose sum the loss is, out of what a call of the graph gave."""
        found: list[Any] = []
        for one in gradients:
            if one.loss is None:
                return None
            for name in one.loss:
                at = self.position(name)
                if at is None or at >= len(outputs):
                    return None
                found.append(outputs[at])
        return found or None


_known: Final[dict[int, Traced]] = {}
"""By the id of the graph."""


def known(graph: Any) -> Traced | None:
    """Return the notes of a graph, if there are any."""
    return _known.get(id(graph))


def of_graph(graph: Any) -> tuple[Traced, bool]:
    """Return the notes of the function that a graph is a part of, and whether it may repeat it."""
    inside = False
    while getattr(graph, "is_control_flow_graph", False):
        inside = True
        graph = graph.outer_graph
    key = id(graph)
    found = _known.get(key)
    if found is None:

        def gone(reference: weakref.ref[Any]) -> None:
            held = _known.get(key)
            if held is not None and held.graph is reference:
                del _known[key]

        found = _known[key] = Traced(weakref.ref(graph, gone))
    return found, inside


def tell_outer(traced: Traced, tracked: Tracked) -> None:
    """Note that an optimizer steps in a graph that is traced inside of others."""
    graph = traced.graph()
    outer = graph.outer_graph if graph is not None else None
    while outer is not None and outer.building_function:
        around, _ = of_graph(outer)
        inner = around.below.setdefault(id(graph), [])
        if tracked not in inner:
            inner.append(tracked)
        graph = around.graph()
        outer = graph.outer_graph if graph is not None else None


def called(inner: Traced, result: Any) -> None:
    """A graph is called by one that is being built: what the one does, the other does too."""
    from autolog_tensorflow.gradients import Gradient

    graph = graph_now()
    if graph is None:
        return
    outer, inside = of_graph(graph)
    if outer is inner:
        return
    outer.below.pop(id(inner.graph()), None)
    outputs = flatten(result)
    moved: dict[int, Gradient] = {}

    def move(one: Gradient) -> Gradient:
        if id(one) not in moved:
            loss = inner.loss_from([one], outputs)
            names = None if loss is None or inside else names_of(loss, graph)
            known = Gradient(names, one.left, None)
            known.users.extend(one.users)
            moved[id(one)] = known
        return moved[id(one)]

    for one in inner.applied:
        gradients = [move(gradient) for gradient in one.gradients]
        repeated = inside or one.inside
        outer.applied.append(Applied(one.tracked, gradients, inside=repeated, skips=one.skips))
        tell_outer(outer, one.tracked)
    outer.gradients.extend(move(one) for one in inner.gradients if not one.users)
    for key, trackeds in inner.below.items():
        outer.below.setdefault(key, []).extend(trackeds)
        for tracked in trackeds:
            tell_outer(outer, tracked)


def names_of(tensors: list[Any], graph: Any) -> list[str] | None:
    """Return the names of tensors of a graph; None if one of them is none, or is no number."""
    names: list[str] = []
    for one in tensors:
        if getattr(one, "graph", None) is not graph:
            return None
        if one.shape.num_elements() not in (1, None):
            return None
        names.append(one.name)
    return names


def forget() -> None:
    """Forget everything."""
    _known.clear()
