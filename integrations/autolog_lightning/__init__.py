"""Lightning for autolog: what is watched, declared without importing Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autolog.integration import API, Attach, Format, Integration

if TYPE_CHECKING:
    AutologLogger: Any

__all__ = ["INTEGRATION", "AutologLogger"]

INTEGRATION = Integration(
    api=API,
    name="lightning",
    distributions=("lightning", "pytorch-lightning"),
    modules=("lightning", "pytorch_lightning"),
    sites=(
        # `lightning.pytorch` and `pytorch_lightning` hold classes of their own, so each is watched
        # (quirk lightning-two-namespaces).
        Attach(module="lightning.pytorch.trainer.trainer", attach="autolog_lightning.hooks:attach"),
        Attach(module="lightning.pytorch.tuner.tuning", attach="autolog_lightning.tuning:attach"),
        Attach(module="lightning.fabric.fabric", attach="autolog_lightning.fabric:attach"),
        Attach(
            module="pytorch_lightning.trainer.trainer",
            attach="autolog_lightning.hooks:attach_standalone",
            requires_guard="both_namespaces",
        ),
        Attach(
            module="pytorch_lightning.tuner.tuning",
            attach="autolog_lightning.tuning:attach_standalone",
            requires_guard="both_namespaces",
        ),
        Attach(
            module="lightning_fabric.fabric",
            attach="autolog_lightning.fabric:attach_standalone",
            requires_guard="both_namespaces",
        ),
    ),
    formats=(
        Format(
            name="lightning",
            save="autolog_lightning.formats:save",
            load="autolog_lightning.formats:load",
            safe=True,
            native=True,
            unknown="autolog_lightning.formats:unknown",
        ),
    ),
    options="autolog_lightning.options:Options",
    aliases=("pl", "pytorch_lightning"),
    example="autolog_lightning.example:EXAMPLE",
    evaluation="trainer.test(module, loader)",
)


def __getattr__(name: str) -> Any:
    """Give the logger, whose base class is Lightning's, to those who ask for it."""
    if name == "AutologLogger":
        from autolog_lightning.logger import logger_class

        return logger_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
