"""Loops that do not end as they should: what was recorded is there, and the state is true."""

from __future__ import annotations

import subprocess
import sys

import autolog

SCRIPT = """
import os, signal, sys
import torch
from torch import nn
import autolog
autolog.autolog("torch")
torch.set_num_threads(1)
X, Y = torch.ones(4, 2), torch.zeros(4, 1)

class Raises(nn.Linear): pass
class Interrupted(nn.Linear): pass
class Killed(nn.Linear): pass
class Exits(nn.Linear): pass
class Ends(nn.Linear): pass
class ExitsUnderAutologRun(nn.Linear): pass
class OnlyPredicts(nn.Linear): pass

def train(cls, end):
    model = cls(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=1)
    steps = 0
    for epoch in range(3):
        for x, y in loader:
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            if cls is OnlyPredicts:
                continue
            loss.backward()
            optimizer.step()
            steps += 1
            if steps == 7:
                end()

def fail():
    raise RuntimeError("in the second epoch")

CASES = {
    Raises: fail,
    Interrupted: lambda: os.kill(os.getpid(), signal.SIGINT),
    Killed: lambda: os.kill(os.getpid(), signal.SIGKILL),
    Exits: lambda: sys.exit(4),
    Ends: lambda: None,
    OnlyPredicts: fail,
}

# A process for each; one import of torch, and of what its first optimizer imports, is enough.
torch.optim.SGD([torch.zeros(1)])
sys.stderr = open(os.devnull, "w")
for cls, end in CASES.items():
    child = os.fork()
    if child == 0:
        train(cls, end)
        sys.exit(0)
    os.waitpid(child, 0)
train(ExitsUnderAutologRun, lambda: sys.exit(3))
"""


def states(recording):
    """The state of each run and how many steps it has, by the class of its model."""
    found = {}
    for run in recording.runs():
        steps = autolog.metric_history(run.run_id, "train/loss").step.tolist()
        assert steps == list(range(len(steps)))
        details = recording.details(run)
        name = run.name.rpartition("-")[0]
        found[name] = (run.status, len(steps), details.exit_code, details.error)
    return found


def test_a_script_that_ends_in_mid_epoch_has_all_its_steps_and_a_true_state(recording, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "autolog", "run", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert states(recording) == {
        "Raises": ("FAILED", 7, None, "RuntimeError: in the second epoch"),
        "Interrupted": ("KILLED", 7, None, "KeyboardInterrupt"),
        "Killed": ("KILLED", 7, None, None),
        "Exits": ("FINISHED", 7, None, None),  # in a fork the exit code is not known
        "Ends": ("FINISHED", 12, None, None),
        "ExitsUnderAutologRun": ("FAILED", 7, 3, "SystemExit: 3"),
    }
