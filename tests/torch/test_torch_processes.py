"""Worker processes of a loader see nothing of autolog; a launched script is recorded as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import autolog

WORKERS = """
import json, sys
import torch
from torch.utils.data import DataLoader, Dataset

class Rows(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        weight = torch.ones(1, requires_grad=True)
        (weight * index).sum().backward()
        draw = torch.rand(())
        return index, weight.grad, draw, torch.initial_seed(), "autolog" in sys.modules

def batches(context):
    torch.manual_seed(5)
    loader = DataLoader(
        Rows(), batch_size=2, shuffle=True, num_workers=2, multiprocessing_context=context
    )
    return [[one.tolist() for one in batch] for batch in loader], torch.rand(()).item()

if __name__ == "__main__":
    plain = batches("fork")
    from autolog import autolog, search_runs
    autolog("torch")
    found = {"plain": plain, "fork": batches("fork"), "spawn": batches("spawn")}
    print(json.dumps({**found, "runs": len(search_runs())}))
"""


def test_workers_of_a_loader_give_the_same_and_record_nothing(program):
    found = json.loads(program(WORKERS).out)
    (plain, after), (forked, after_fork) = found["plain"], found["fork"]
    assert (forked, after_fork) == ([[*batch[:-1], [True, True]] for batch in plain], after)
    assert [batch[-1] for batch in plain] == [[False, False]] * 3
    assert found["spawn"] == found["plain"]
    assert found["runs"] == 0


LAUNCHED = """
import sys
import torch

weight = torch.ones(3, requires_grad=True)
for _ in range(2):
    loss = (torch.eye(3) @ weight).sum()
    loss.backward()
    with torch.no_grad():
        weight -= 0.1 * weight.grad
        weight.grad = None
compiler = "torch._dynamo" in sys.modules

optimizer = torch.optim.SGD([weight], lr=0.1)
for step in range(3):
    optimizer.zero_grad()
    loss = weight.square().sum()
    loss.backward()
    optimizer.step()
    print(loss.item())
print(compiler, "autolog" in globals())
"""


def test_an_unmodified_script_is_recorded_and_imports_no_compiler(recording, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(LAUNCHED)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "autolog", "run", str(script)],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *losses, last = done.stdout.split("\n")[:-1]
    assert last == "False False"
    run = recording.run()
    assert (run.kind, run.status) == ("loop", "FINISHED")
    history = autolog.metric_history(run.run_id, "train/loss")
    assert history.step.tolist() == [0, 1, 2]
    assert [f"{one:.5f}" for one in history.value] == [f"{float(one):.5f}" for one in losses]
