"""Quirks of Lightning, each proved with its guard and without: see compat_matrix.yaml.

Beside the quirks stands what must hold in every cell of the matrix, for either package name: the
series with their steps and epochs, early stopping, checkpoints, evaluations, the tuner.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import signal
from typing import Any

import pytest

import autolog
from autolog.compat.view import resolve

torch = pytest.importorskip("torch")

PACKAGES = [
    name
    for name in ("lightning.pytorch", "pytorch_lightning")
    if importlib.util.find_spec(name.partition(".")[0]) is not None
]
if not PACKAGES:
    pytest.skip("neither lightning nor pytorch_lightning is installed", allow_module_level=True)

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # old versions on a new torch warn of much
]

VALUES = (0.9, 0.5, 0.7, 0.6, 0.8)
ROWS = torch.arange(32.0).reshape(8, 4) / 32


def package(name: str) -> Any:
    for one in ("lightning", "pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(one).setLevel(logging.ERROR)
    return importlib.import_module(name)


def loader() -> Any:
    data = torch.utils.data.TensorDataset(ROWS, ROWS.sum(dim=1, keepdim=True))
    return torch.utils.data.DataLoader(data, batch_size=4)


def module(pl: Any) -> Any:
    """A module whose validation loss is known beforehand."""

    class Net(pl.LightningModule):
        def __init__(self, lr: float = 0.01) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = (self(batch[0]) - batch[1]).square().mean()
            self.log("loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", VALUES[self.current_epoch])

        def test_step(self, batch: Any, batch_idx: int) -> None:
            self.log("test_loss", self(batch[0]).mean())

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams.lr)
            scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
            return [optimizer], [scheduler]

    return Net()


def trainer(pl: Any, root: Any, **options: Any) -> Any:
    quiet = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
        "default_root_dir": str(root),
    }
    return pl.Trainer(**{**quiet, **options})


def history(run: Any, key: str) -> Any:
    return autolog.metric_history(run.run_id, key)


@pytest.mark.quirk("lightning-two-namespaces")
def test_a_trainer_of_either_namespace_is_recorded(
    recording: Any, tmp_path: Any, guarded: bool
) -> None:
    del guarded
    if "pytorch_lightning" not in PACKAGES:
        pytest.skip("there is one namespace")
    assert_recorded(recording, tmp_path, "pytorch_lightning")


def interrupting(pl: Any) -> Any:
    class Interrupts(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 3:
                raise KeyboardInterrupt

    return Interrupts()


def interrupted(recording: Any, tmp_path: Any) -> tuple[str, str]:
    """Return how a fit ended that was stopped with Ctrl-C, and its run."""
    before = signal.getsignal(signal.SIGINT)
    autolog.autolog("lightning")
    pl = package(PACKAGES[0])
    fitting = trainer(pl, tmp_path, callbacks=[interrupting(pl)], max_epochs=3)
    ending = "exits"
    with contextlib.suppress(SystemExit):
        fitting.fit(module(pl), loader())
        ending = "returns"
    signal.signal(signal.SIGINT, before)  # newer versions leave it ignored
    return ending, recording.run().status


@pytest.mark.quirk("lightning-fit-returns-on-ctrl-c")
def test_a_fit_that_returns_on_ctrl_c_was_killed(
    recording: Any, tmp_path: Any, guarded: bool
) -> None:
    del guarded
    ending, status = interrupted(recording, tmp_path)
    assert ending == "exits" or status == "KILLED"


@pytest.mark.quirk("lightning-ctrl-c-is-exit-1")
def test_a_fit_that_exits_on_ctrl_c_was_killed(
    recording: Any, tmp_path: Any, guarded: bool
) -> None:
    del guarded
    ending, status = interrupted(recording, tmp_path)
    assert ending == "returns" or status == "KILLED"


def test_a_fit_is_recorded_in_every_version(recording: Any, tmp_path: Any) -> None:
    assert_recorded(recording, tmp_path, PACKAGES[0])


def assert_recorded(recording: Any, tmp_path: Any, name: str) -> None:
    autolog.autolog("lightning")
    pl = package(name)
    best = pl.callbacks.ModelCheckpoint(str(tmp_path), monitor="val_loss", filename="{epoch}")
    stopping = pl.callbacks.EarlyStopping("val_loss", patience=2)
    fitting = trainer(
        pl,
        tmp_path,
        max_epochs=5,
        callbacks=[best, stopping],
        enable_checkpointing=True,
        gradient_clip_val=0.5,
    )
    trained = module(pl)
    fitting.fit(trained, loader(), loader())
    run = recording.run()
    assert history(run, "loss_step").step.tolist() == list(range(8))
    assert history(run, "loss_step").epoch.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert history(run, "loss_epoch").step.tolist() == [1, 3, 5, 7]
    assert history(run, "val_loss").value == pytest.approx(VALUES[:4])
    rates = [0.01 * 0.5 ** (step // 2) for step in range(8)]
    assert history(run, "lr").value == pytest.approx(rates)
    assert history(run, "grad_norm").step.tolist() == list(range(8))
    assert (run.metrics["best_epoch"], run.metrics["stopped_epoch"]) == (1, 3)
    assert run.params["scheduler"] == "ExponentialLR"
    assert run.params["trainer.max_epochs"] == 5
    (event,) = recording.events("checkpoint")
    assert (event["epoch"], event["artifact"]) == (1, "checkpoints/epoch=1.ckpt")
    (values,) = fitting.test(trained, loader(), verbose=False)
    run = recording.run()
    assert run.metrics["test_loss"] == values["test_loss"]
    resumed = trainer(pl, tmp_path, max_epochs=5)
    resumed.fit(module(pl), loader(), ckpt_path=str(tmp_path / "epoch=1.ckpt"))
    _, second = recording.runs()
    assert history(second, "loss_step").step.tolist() == list(range(4, 10))
    assert second.tags["resumed_from"] == run.run_id


def test_the_tuner_opens_no_run_in_any_version(recording: Any, tmp_path: Any) -> None:
    autolog.autolog("lightning")
    pl = package(name := PACKAGES[0])
    fitting, trained = trainer(pl, tmp_path, max_epochs=10), module(pl)
    tuner = importlib.import_module(f"{name}.tuner.tuning").Tuner(fitting)
    tuner.lr_find(trained, loader(), num_training=15, early_stop_threshold=None)
    assert recording.runs() == []
    fitting.fit(trained, loader())
    (event,) = recording.events("preparation")
    assert event["method"] == "lr_find"
    assert history(recording.run(), "loss_step").step.tolist() == list(range(20))


def test_the_guards_are_those_that_the_installed_version_needs() -> None:
    guards = resolve("lightning", importlib.import_module(PACKAGES[0].partition(".")[0])).guards
    assert "both_namespaces" in guards
    assert ("swallowed_interrupt" in guards) != ("interrupt_is_exit" in guards)
