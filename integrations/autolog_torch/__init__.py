"""PyTorch for autolog: what is watched in raw training loops, declared without importing torch."""

from __future__ import annotations

from autolog.integration import API, Attach, Integration

__all__ = ["INTEGRATION"]

INTEGRATION = Integration(
    api=API,
    name="torch",
    distributions=("torch",),
    modules=("torch",),
    sites=(Attach(module="torch.optim.optimizer", attach="autolog_torch.steps:attach"),),
    options="autolog_torch.options:Options",
    aliases=("pytorch",),
)
