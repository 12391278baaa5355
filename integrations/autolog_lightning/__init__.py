"""Lightning for autolog: what is watched, declared without importing Lightning."""

from __future__ import annotations

from autolog.integration import API, Integration

__all__ = ["INTEGRATION"]

INTEGRATION = Integration(
    api=API,
    name="lightning",
    distributions=("lightning", "pytorch-lightning"),
    modules=("lightning", "pytorch_lightning"),
    sites=(),
    aliases=("pl", "pytorch_lightning"),
)
