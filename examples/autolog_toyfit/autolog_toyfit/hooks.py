"""What is recorded around `Model.fit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autolog.integration import Call, Capture, Hook, Snapshot


@dataclass(frozen=True)
class Options:
    """`autolog(toyfit={"every": 10})` records the loss of every tenth epoch."""

    every: int = 1


def fit(capture: Capture) -> Hook:
    """Make the hook of `Model.fit`."""

    def enter(call: Call) -> None:
        """Record the parameters, and have toyfit itself tell us the loss of each epoch."""
        span = call.span
        if span is None:
            return
        bound = call.bound or {}
        epochs = bound.get("epochs", 10)
        span.params({"rate": call.instance.rate, "epochs": epochs})
        span.input("train", bound.get("x"), name=call.source_name("x"))

        def on_epoch(epoch: int, loss: float) -> None:
            if epoch % capture.options.every == 0 or epoch == epochs - 1:
                span.metrics({"loss": loss}, step=epoch, epoch=epoch)

        # A new sequence for this call alone: the user's own is not touched.
        call.replace("callbacks", (*bound.get("callbacks", ()), capture.guarded(on_epoch)))

    def leave(call: Call, result: Any) -> None:
        """Store the model of a training that has a run of its own."""
        if call.span is not None and call.span.owns_run:
            call.span.model(Snapshot(model=result, format="toyfit-json"))

    return Hook(enter=enter, exit=leave)
