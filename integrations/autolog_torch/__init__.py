"""PyTorch for autolog: what is watched in raw training loops, declared without importing torch."""

from __future__ import annotations

from autolog.integration import API, Attach, Integration

__all__ = ["INTEGRATION"]

INTEGRATION = Integration(
    api=API,
    name="torch",
    distributions=("torch",),
    modules=("torch",),
    sites=(
        Attach(module="torch._dynamo.trace_rules", attach="autolog_torch.compiling:attach"),
        Attach(module="torch.nn.modules.module", attach="autolog_torch.models:attach"),
        Attach(module="torch.optim.optimizer", attach="autolog_torch.steps:attach"),
        Attach(module="torch.optim.optimizer", attach="autolog_torch.losses:attach"),
        Attach(module="torch.utils.data.dataloader", attach="autolog_torch.loaders:attach"),
        Attach(module="torch.nn.functional", attach="autolog_torch.criteria:attach"),
        Attach(module="torch.optim.lr_scheduler", attach="autolog_torch.schedulers:attach"),
        Attach(module="torch.optim.swa_utils", attach="autolog_torch.describe:attach"),
        Attach(module="torch.amp.autocast_mode", attach="autolog_torch.precision:attach"),
        Attach(module="torch.amp.grad_scaler", attach="autolog_torch.scaling:attach"),
    ),
    options="autolog_torch.options:Options",
    aliases=("pytorch",),
)
