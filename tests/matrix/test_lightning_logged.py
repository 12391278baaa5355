"""What is logged of Lightning by default, in every version: `logs` in compat_matrix.yaml."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import warnings
from typing import Any

import pytest

import autolog
from tests.matrix import logged

torch = pytest.importorskip("torch")

NAMES = ("lightning.pytorch", "pytorch_lightning")
PACKAGES = [one for one in NAMES if importlib.util.find_spec(one.partition(".")[0]) is not None]
if not PACKAGES:
    pytest.skip("neither lightning nor pytorch_lightning is installed", allow_module_level=True)

torch.set_num_threads(1)

pytestmark = [pytest.mark.filterwarnings("ignore")]  # old versions beside new companions

for one in ("lightning", "pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
    logging.getLogger(one).setLevel(logging.ERROR)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pl: Any = importlib.import_module(PACKAGES[0])

ROWS = torch.arange(64.0).reshape(16, 4) / 64
SUMS = ROWS.sum(dim=1, keepdim=True)


class Net(pl.LightningModule):
    """At the top of a module that can be imported, so that its class can be named."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        return self.layer(x)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = (self(batch[0]) - batch[1]).square().mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", (self(batch[0]) - batch[1]).square().mean())

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test_loss", (self(batch[0]) - batch[1]).square().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


def loader() -> Any:
    data = torch.utils.data.TensorDataset(ROWS, SUMS)
    return torch.utils.data.DataLoader(data, batch_size=4)


def trainer(root: Any, **options: Any) -> Any:
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=str(root),
        **options,
    )


def test_a_fit_is_logged_as_the_matrix_says(recording: Any, tmp_path: Any) -> None:
    autolog.autolog("lightning")
    best = pl.callbacks.ModelCheckpoint(str(tmp_path), monitor="val_loss", filename="best")
    stopping = pl.callbacks.EarlyStopping("val_loss", patience=5)
    options = {"gradient_clip_val": 0.5, "callbacks": [best, stopping]}
    fitting, module = trainer(tmp_path, max_epochs=2, **options), Net()
    fitting.fit(module, loader(), loader())
    (validated,) = fitting.validate(module, loader(), verbose=False)
    (tested,) = fitting.test(module, loader(), verbose=False)
    run = recording.run()
    assert run.status == "FINISHED"
    # params
    expected = {
        "lr": 0.1,
        "trainer.max_epochs": 2,
        "optimizer": "SGD",
        "optimizer.lr": 0.1,
        "early_stopping.patience": 5,
        "checkpoint.monitor": "val_loss",
    }
    assert {key: run.params.get(key) for key in expected} == expected
    # series
    history = autolog.metric_history(run.run_id, "train_loss")
    assert (history.step.tolist(), history.epoch.tolist()) == ([*range(8)], [0] * 4 + [1] * 4)
    assert logged.values(run, "lr") == pytest.approx([0.1] * 8)
    assert len(logged.values(run, "grad_norm")) == 8
    # evaluations
    assert run.metrics["test_loss"] == tested["test_loss"]
    assert validated["val_loss"] in logged.values(run, "val_loss")
    # data
    assert run.params["batch_size"] == 4, run.params
    # model
    loaded = autolog.load_model(run.run_id, "model")
    assert type(loaded) is Net
    assert torch.equal(loaded(ROWS), module(ROWS))
    assert logged.models(recording) == {"model": ["lightning"]}
    assert recording.events("checkpoint")[0]["artifact"] == "checkpoints/best.ckpt"
    # more
    assert "model_summary.txt" in {one.path for one in recording.details().artifacts}
    resumed = trainer(tmp_path, max_epochs=3, enable_checkpointing=False)
    resumed.fit(Net(), loader(), ckpt_path=str(tmp_path / "best.ckpt"))
    assert recording.runs()[-1].tags["resumed_from"] == run.run_id
    logged.expect_sound("lightning")


@pytest.mark.edge_case("EC-X9")
def test_every_hook_finds_its_place(recording: Any) -> None:
    logged.expect_bound("lightning")
