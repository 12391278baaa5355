"""The order of imports makes no difference."""

from __future__ import annotations

SCRIPT = """
import autolog
autolog.autolog("torch")
import torch
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.ones(3, 4)).mean().backward()
optimizer.step()
torch.save(model.state_dict(), "w.pt")
"""


def test_autolog_may_be_on_before_torch_is_imported(recording, program):
    done = program(SCRIPT)
    assert done.err == ""
    assert recording.run().metrics["train/loss"] is not None
    assert len(recording.events("checkpoint")) == 1
