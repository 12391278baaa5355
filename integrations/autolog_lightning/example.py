"""A tiny training for the contract suite."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from importlib import import_module
from typing import Any

from autolog.integration import Example

__all__ = ["EXAMPLE"]


def __getattr__(name: str) -> Any:
    """Make the module's class when it is asked for: its base is Lightning's."""
    if name != "TinyModule":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    torch: Any = import_module("torch")
    base: Any = import_module("lightning.pytorch").LightningModule

    class TinyModule(base):
        """A line through two inputs."""

        def __init__(self, rate: float = 0.1) -> None:  # noqa: ARG002  kept as hyperparameter
            # Lightning finds the arguments by the class that `super` without arguments refers to.
            super().__init__()  # type: ignore[reportUnknownMemberType]
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, batch: Any) -> Any:
            """Compute the line."""
            return self.layer(batch[0])

        def training_step(self, batch: Any, _: int) -> Any:
            """Log the squared error."""
            loss = ((self(batch) - batch[1]) ** 2).mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            """Descend."""
            return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)

    TinyModule.__qualname__ = "TinyModule"
    globals()["TinyModule"] = TinyModule
    return TinyModule


def trainer() -> Any:
    """Make a trainer that writes no file and says nothing."""
    pytorch: Any = import_module("lightning.pytorch")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return pytorch.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=2,
        logger=False,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def data() -> Any:
    """Give two batches of four rows."""
    torch: Any = import_module("torch")
    loading: Any = import_module("torch.utils.data")
    rows = torch.arange(16.0).reshape(8, 2) / 16
    tensors = loading.TensorDataset(rows, rows.sum(dim=1, keepdim=True))
    return loading.DataLoader(tensors, batch_size=4)


def train() -> tuple[Any, Any]:
    """Train two epochs of two steps; the result is the weights and what was logged."""
    module = sys.modules[__name__].TinyModule()
    fitting = trainer()
    with quiet():
        fitting.fit(module, data())
    weights = {key: value.tolist() for key, value in module.state_dict().items()}
    return module, (weights, {key: float(value) for key, value in fitting.logged_metrics.items()})


@contextlib.contextmanager
def quiet() -> Any:
    """Pass over what Lightning itself warns of on newer versions of torch and on small machines."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        yield


def fails() -> Any:
    """Train a module whose step raises."""
    module = sys.modules[__name__].TinyModule(rate="not a number")
    with quiet():
        trainer().fit(module, data())


def predict(model: Any) -> Any:
    """Give the predictions of two rows."""
    torch: Any = import_module("torch")
    with torch.no_grad():
        return model.layer(torch.tensor([[0.5, 1.0], [2.0, 0.0]])).tolist()


EXAMPLE = Example(
    train,
    owner="lightning.pytorch.trainer.trainer:Trainer",
    method="fit",
    fails=fails,
    predict=predict,
)
