"""What is recorded around `Model.fit` and `train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autolog.integration import Call, Capture, Hook, Snapshot


@dataclass(frozen=True)
class Options:
    """`autolog(toyfit={"every": 10})` records the loss of every tenth epoch, and of the last."""

    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every={self.every}: expected a number of epochs, 1 or more")


def training(capture: Capture) -> Hook:
    """Make the hook of a training: called once, when toyfit is there."""

    def enter(call: Call) -> None:
        """Record the parameters, and have toyfit itself tell us the loss of each epoch."""
        span = call.span
        if span is None:
            return
        bound = call.bound or {}
        epochs = bound.get("epochs", 10)
        rate = call.instance.rate if call.instance is not None else bound.get("rate", 0.1)
        span.params({"rate": rate, "epochs": epochs})
        span.input("train", bound.get("x"), name=call.source_name("x"))

        def on_epoch(epoch: int, loss: float) -> None:
            if epoch % capture.options.every == 0 or epoch == epochs - 1:
                span.metrics({"loss": loss}, step=epoch, epoch=epoch)

        # A new sequence for this call alone: the user's own is not touched.
        call.replace("callbacks", (*bound.get("callbacks", ()), capture.guarded(on_epoch)))

    def leave(call: Call, model: Any) -> None:
        """Store the model of a training that has a run of its own."""
        if call.span is not None and call.span.owns_run:
            call.span.model(Snapshot(model=model, format="toyfit-json"))

    return Hook(enter=enter, exit=leave)
