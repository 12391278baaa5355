"""Modules that are tiny and always the same, for either namespace, and quiet trainers."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import pytorch_lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import autolog

torch.set_num_threads(1)

_GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(16, 4, generator=_GENERATOR)
Y = (X[:, 0] > 0).long()


def loader(size: int = 4) -> Any:
    return DataLoader(TensorDataset(X, Y), batch_size=size)


def trainer(root: Any, *, package: Any = pl, **options: Any) -> Any:
    """A trainer that prints and warns of nothing, and keeps its files in a folder of the test."""
    quiet = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
        "max_epochs": 2,
        "num_sanity_val_steps": 0,
        "default_root_dir": str(root),
    }
    return package.Trainer(**{**quiet, **options})


def net(package: Any) -> Any:
    """Make the module of a namespace."""

    class Net(package.LightningModule):
        """A classifier that logs once per step and once per epoch."""

        def __init__(self, hidden: int = 3, lr: float = 0.1) -> None:
            super().__init__()
            self.save_hyperparameters()
            torch.manual_seed(0)
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(4, hidden), torch.nn.Linear(hidden, 2)
            )

        def forward(self, x: Any) -> Any:
            return self.layers(x)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", torch.nn.functional.cross_entropy(self(batch[0]), batch[1]))

        def test_step(self, batch: Any, batch_idx: int) -> None:
            self.log("test_loss", torch.nn.functional.cross_entropy(self(batch[0]), batch[1]))

        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return self(batch[0])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)

    return Net


Net = net(pl)
Net.__qualname__ = "Net"
Standalone = net(pytorch_lightning)
Standalone.__qualname__ = "Standalone"


def history(run: Any, key: str) -> Any:
    return autolog.metric_history(run.run_id, key)
