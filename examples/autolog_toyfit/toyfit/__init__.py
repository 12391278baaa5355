"""A toy framework: fits y = slope * x + offset by gradient descent, in plain Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

__version__ = "1.2.0"
__all__ = ["Callback", "Model", "train"]

Callback = Callable[[int, float], None]
"""Called after each epoch with its number and the loss before it."""


class Model:
    """A line from a random start. `losses` has the loss of each epoch so far."""

    def __init__(self, rate: float = 0.1) -> None:
        self.rate = rate
        self.slope = random.gauss(0, 0.1)
        self.offset = 0.0
        self.losses: list[float] = []

    def fit(
        self,
        x: Sequence[float],
        y: Sequence[float],
        epochs: int = 10,
        callbacks: Sequence[Callback] = (),
    ) -> Model:
        """Descend the mean squared error, and return the model itself."""
        for epoch in range(epochs):
            errors = [self.slope * a + self.offset - b for a, b in zip(x, y, strict=True)]
            loss = sum(error * error for error in errors) / len(errors)
            step = 2 * self.rate / len(errors)
            self.slope -= step * sum(error * a for error, a in zip(errors, x, strict=True))
            self.offset -= step * sum(errors)
            self.losses.append(loss)
            for callback in callbacks:
                callback(epoch, loss)
        return self

    def predict(self, x: Sequence[float]) -> list[float]:
        """Return one value for each of `x`."""
        return [self.slope * value + self.offset for value in x]


def train(
    x: Sequence[float],
    y: Sequence[float],
    *,
    rate: float = 0.1,
    epochs: int = 10,
    callbacks: Sequence[Callback] = (),
) -> Model:
    """Make and fit a model in one call."""
    return Model(rate).fit(x, y, epochs=epochs, callbacks=callbacks)
