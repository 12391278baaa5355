"""PyTorch for autolog: what is watched in raw training loops, declared without importing torch."""

from __future__ import annotations

from autolog.integration import API, Attach, Format, Integration

__all__ = ["INTEGRATION"]

INTEGRATION = Integration(
    api=API,
    name="torch",
    distributions=("torch",),
    modules=("torch",),
    # Only when `torch` is there as a whole: asking whether something is traced imports what a torch
    # that is half imported does not survive (quirk torch-half-imported-cannot-be-asked).
    sites=(
        Attach(
            module="torch._dynamo.trace_rules",
            attach="autolog_torch.compiling:attach",
            requires_guard="outside_graphs",
        ),
        Attach(module="torch", attach="autolog_torch.models:attach"),
        Attach(module="torch", attach="autolog_torch.steps:attach"),
        Attach(module="torch", attach="autolog_torch.losses:attach"),
        Attach(module="torch", attach="autolog_torch.loaders:attach"),
        Attach(module="torch", attach="autolog_torch.criteria:attach"),
        Attach(module="torch", attach="autolog_torch.schedulers:attach"),
        Attach(module="torch", attach="autolog_torch.describe:attach"),
        Attach(module="torch", attach="autolog_torch.precision:attach"),
        Attach(module="torch", attach="autolog_torch.scaling:attach"),
        Attach(module="torch", attach="autolog_torch.given:attach"),
        Attach(module="torch", attach="autolog_torch.clipping:attach"),
        Attach(module="torch", attach="autolog_torch.weights:attach"),
        Attach(module="torch", attach="autolog_torch.checkpoints:attach"),
        Attach(module="torch", attach="autolog_torch.lineage:attach"),
        Attach(module="safetensors.torch", attach="autolog_torch.checkpoints:attach_safetensors"),
        Attach(module="safetensors.torch", attach="autolog_torch.lineage:attach_safetensors"),
        Attach(module="lightning.fabric.fabric", attach="autolog_torch.checkpoints:attach_fabric"),
        Attach(module="lightning_fabric.fabric", attach="autolog_torch.checkpoints:attach_fabric"),
        Attach(
            module="torch.distributed.fsdp.fully_sharded_data_parallel",
            attach="autolog_torch.clipping:attach_fsdp",
        ),
        Attach(
            module="torch.utils.tensorboard.writer",
            attach="autolog_torch.summaries:attach_tensorboard",
        ),
        Attach(module="tensorboardX.writer", attach="autolog_torch.summaries:attach_tensorboardx"),
        Attach(module="tqdm.std", attach="autolog_torch.progress:attach"),
        Attach(module="torchmetrics.metric", attach="autolog_torch.metrics:attach_torchmetrics"),
        Attach(
            module="torchmetrics.collections", attach="autolog_torch.metrics:attach_collections"
        ),
        Attach(module="torcheval.metrics.metric", attach="autolog_torch.metrics:attach_torcheval"),
    ),
    formats=(
        Format(
            name="torch-safetensors",
            save="autolog_torch.formats:save",
            load="autolog_torch.formats:load",
            safe=True,
            native=True,
        ),
        Format(
            name="torch-checkpoint",
            save="autolog_torch.formats:save_checkpoint",
            load="autolog_torch.formats:load_checkpoint",
            safe=True,
            unknown="autolog_torch.formats:unknown_types",
        ),
    ),
    options="autolog_torch.options:Options",
    aliases=("pytorch",),
)
