"""What breaks in a hook of PyTorch changes nothing for the user, and is told."""

from __future__ import annotations

import errno
import io

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import autolog
from autolog.capture.port import Port
from autolog.integration import Tap
from autolog_torch.steps import Tracking


def trained(loops):
    """Everything that the hooks stand around, in one training."""
    torch.manual_seed(0)
    model = loops.net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    losses = []
    for _ in range(2):
        for x, y in DataLoader(TensorDataset(loops.X, loops.Y), batch_size=8, shuffle=True):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
        scheduler.step()
        model.eval()
        with torch.no_grad():
            losses.append(torch.nn.functional.mse_loss(model(loops.X), loops.Y).item())
        model.train()
    buffer = io.BytesIO()
    torch.save((model.state_dict(), optimizer.state_dict(), scheduler.state_dict()), buffer)
    return losses, buffer.getvalue(), bytes(torch.get_rng_state().numpy())


@pytest.mark.edge_case("EC-R1")
@pytest.mark.parametrize("broken", ["before", "after", "callbacks", "steps", "store"])
def test_what_breaks_changes_nothing(recording, loops, monkeypatch, broken):
    autolog.disable()
    plain = trained(loops)
    monkeypatch.setenv("AUTOLOG_STRICT", "0")
    used = []

    def boom(*_, **__):
        used.append(broken)
        raise OSError(errno.ENOSPC, "broken on purpose")

    tap, guarded = Port.tap, Port.guarded
    if broken in ("before", "after"):
        ends = ("enter",) if broken == "before" else ("exit", "error")

        def broken_tap(port, owner, attribute, given):
            parts = {end: getattr(given, end) for end in ("enter", "exit", "error", "unless")}
            return tap(port, owner, attribute, Tap(**{**parts, **dict.fromkeys(ends, boom)}))

        monkeypatch.setattr(Port, "tap", broken_tap)
    elif broken == "callbacks":
        monkeypatch.setattr(Port, "guarded", lambda port, _: guarded(port, boom))
    elif broken == "steps":
        monkeypatch.setattr(Tracking, "_made", boom)
    else:
        place = recording.folder.parent / "file"
        place.touch()
        monkeypatch.setenv("AUTOLOG_STORE", str(place / "store"))
    told = sum(one.count for one in autolog.status().notices)
    with autolog.autolog("torch"):
        for _ in range(3):
            assert trained(loops) == plain
        assert bool(used) == (broken != "store")
        faulted = [one for one in autolog.status().sites if one.faults]
    assert sum(one.count for one in autolog.status().notices) > told
    assert bool(faulted) == (broken in ("before", "after"))
