"""A toy framework: fits y = a * x + b by gradient descent, in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__version__ = "1.2.0"

Callback = Callable[[int, float], None]


class Model:
    """A line. `callbacks` are called with the epoch and the loss."""

    def __init__(self, rate: float = 0.1) -> None:
        self.rate = rate
        self.slope = 0.0
        self.offset = 0.0

    def fit(
        self,
        x: Sequence[float],
        y: Sequence[float],
        epochs: int = 10,
        callbacks: Sequence[Callback] = (),
    ) -> Model:
        for epoch in range(epochs):
            errors = [self.slope * a + self.offset - b for a, b in zip(x, y, strict=True)]
            loss = sum(error * error for error in errors) / len(errors)
            step = 2 * self.rate / len(errors)
            self.slope -= step * sum(error * a for error, a in zip(errors, x, strict=True))
            self.offset -= step * sum(errors)
            for callback in callbacks:
                callback(epoch, loss)
        return self

    def predict(self, x: Sequence[float]) -> list[float]:
        return [self.slope * value + self.offset for value in x]


def train(x: Sequence[float], y: Sequence[float], **options: float) -> Model:
    """Make and fit a model in one call."""
    epochs = int(options.pop("epochs", 10))
    return Model(**options).fit(x, y, epochs=epochs)
