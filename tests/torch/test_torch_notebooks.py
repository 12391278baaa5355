"""Loops in the cells of a notebook, with a real kernel: design.md rule 8."""

from __future__ import annotations

import pytest

import autolog

SETUP = """
import torch
from autolog import autolog
autolog("torch")
torch.set_num_threads(1)
X, Y = torch.ones(4, 2), torch.zeros(4, 1)

def build():
    model = torch.nn.Linear(2, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.01)

def train(model, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        ((model(X) - Y) ** 2).mean().backward()
        optimizer.step()
"""


class Notebook:
    """A kernel of this test."""

    def __init__(self, client, manager):
        self._client = client
        self._manager = manager

    def cell(self, source, *, interrupt_at=None):
        """Run a cell; return the name of the exception that ended it, None if none did."""
        said = []

        def collect(message):
            content = message["content"]
            if message["msg_type"] == "error":
                said.append(content["ename"])
            if message["msg_type"] == "stream" and interrupt_at in content["text"].split():
                self._manager.interrupt_kernel()

        reply = self._client.execute_interactive(source, timeout=120, output_hook=collect)
        assert (reply["content"]["status"] == "ok") is not bool(said)
        return said[0] if said else None


@pytest.fixture
def notebook(recording, tmp_path):
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        opened = Notebook(client, manager)
        assert opened.cell(SETUP) is None
        yield opened
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)


@pytest.mark.edge_case("EC-R9")
def test_the_run_of_a_loop_ends_with_each_cell_that_trains_it(recording, notebook):
    def states():
        return [(run.status, steps(run)) for run in recording.runs()]

    def steps(run):
        return len(autolog.metric_history(run.run_id, "train/loss").step)

    assert notebook.cell("model, optimizer = build()\ntrain(model, optimizer, 3)") is None
    assert states() == [("FINISHED", 3)]

    assert notebook.cell("raise ValueError('of nobody')") == "ValueError"
    assert states() == [("FINISHED", 3)]

    forever = "train(model, optimizer, 2)\nprint('going', flush=True)\nwhile True: pass"
    assert notebook.cell(forever, interrupt_at="going") == "KeyboardInterrupt"
    assert states() == [("KILLED", 5)]

    assert notebook.cell("train(model, optimizer, 4)\n1 / 0") == "ZeroDivisionError"
    assert states() == [("FAILED", 9)]
    assert "ZeroDivisionError" in recording.details(recording.runs()[0]).error

    assert notebook.cell("train(model, optimizer, 1)") is None
    assert states() == [("FINISHED", 10)]

    again = "model, optimizer = build()\ntrain(model, optimizer, 2)"
    assert notebook.cell(again) is None
    assert notebook.cell(again) is None
    assert states() == [("FINISHED", 10), ("FINISHED", 2), ("FINISHED", 2)]

    kept = "first = build()\nsecond = build()"
    assert notebook.cell(kept) is None
    assert notebook.cell("train(*first, 2)") is None
    assert notebook.cell("train(*second, 2)") is None
    assert notebook.cell("train(*first, 2)") is None
    assert states()[3:] == [("FINISHED", 4), ("FINISHED", 2)]
    assert [run.parent_id for run in recording.runs()] == [None] * 5

    script = "import autolog as core\nwith core.start_run():\n    train(*build(), 2)"
    assert notebook.cell(script) is None
    assert states()[5:] == [("FINISHED", 2)]

    leaves = "core.disable()\ncallbacks = get_ipython().events.callbacks['post_run_cell']"
    assert notebook.cell(leaves) is None
    assert notebook.cell("assert 'autolog' not in {f.__module__[:7] for f in callbacks}") is None
