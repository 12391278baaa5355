"""What a fit records: everything that is logged, with step and epoch, and how it was trained."""

from __future__ import annotations

import lightning.pytorch as pl
import numpy as np
import pytest
import pytorch_lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

import autolog
from tests.lightning.models import Net, Standalone, X, Y, history, loader, trainer


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog("lightning")


class Told(Callback):
    """Writes down what the module logged, and the learning rates of each step, as a user would."""

    def __init__(self):
        self.losses, self.rates, self.epochs = [], [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))

    def on_validation_end(self, trainer, pl_module):
        self.epochs.append(float(trainer.callback_metrics["val_loss"]))


# --- metrics -----------------------------------------------------------------------------------


@pytest.mark.edge_case("EC-V9")
def test_what_is_logged_is_recorded_once_with_its_step_and_its_epoch(recording, tmp_path):
    told = Told()
    trainer(tmp_path, callbacks=[told]).fit(Net(), loader(), loader())
    run = recording.run()
    assert (run.kind, run.status) == ("fit", "FINISHED")
    assert run.name.startswith("Net-")
    by_step = history(run, "train_loss_step")
    assert by_step.value.tolist() == told.losses
    assert by_step.step.tolist() == list(range(8))
    assert by_step.epoch.tolist() == [0] * 4 + [1] * 4
    by_epoch = history(run, "train_loss_epoch")
    assert by_epoch.step.tolist() == [3, 7]
    assert by_epoch.epoch.tolist() == [0, 1]
    assert by_epoch.value == pytest.approx(np.reshape(told.losses, (2, 4)).mean(axis=1))
    validated = history(run, "val_loss")
    assert validated.value.tolist() == told.epochs
    assert (validated.step.tolist(), validated.epoch.tolist()) == ([3, 7], [0, 1])
    assert "epoch" not in run.metrics


def test_the_values_are_those_that_a_logger_of_lightnings_gets(recording, tmp_path):
    logger = pl.loggers.CSVLogger(tmp_path / "csv")
    trainer(tmp_path, logger=logger, log_every_n_steps=3).fit(Net(), loader(), loader())
    lines = (tmp_path / "csv/lightning_logs/version_0/metrics.csv").read_text().splitlines()
    names = lines[0].split(",")
    table = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    for key in ("train_loss_step", "train_loss_epoch", "val_loss"):
        found = history(recording.run(), key)
        expected = [(int(row["step"]), float(row[key])) for row in table if row[key]]
        assert list(zip(found.step.tolist(), found.value.tolist(), strict=True)) == expected
    assert history(recording.run(), "train_loss_step").step.tolist() == [2, 5]


def test_every_step_is_recorded_on_request_whatever_the_loggers_get(recording, tmp_path):
    autolog.autolog("lightning", lightning={"every_step": True})
    told = Told()
    trainer(tmp_path, callbacks=[told], log_every_n_steps=3).fit(Net(), loader())
    found = history(recording.run(), "train_loss_step")
    assert found.value.tolist() == told.losses
    assert found.step.tolist() == list(range(8))


class Adversarial(Net):
    """Two optimizers, by hand: one of them steps twice as often as the batches come."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.judge = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        first, second = self.optimizers()
        for optimizer, name in ((first, "g"), (second, "d")):
            loss = self.judge(self(batch[0])).square().mean()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.log(f"loss_{name}", loss)
        for scheduler in self.lr_schedulers():
            scheduler.step()

    def configure_optimizers(self):
        self.judging = torch.optim.Adam(self.judge.parameters(), lr=0.5)
        groups = [{"params": layer.parameters(), "lr": rate} for layer, rate in self._groups()]
        one = torch.optim.SGD(groups)
        schedulers = [
            torch.optim.lr_scheduler.StepLR(one, 1, gamma=0.5),
            torch.optim.lr_scheduler.ExponentialLR(self.judging, gamma=0.1),
        ]
        return [one, self.judging], schedulers

    def _groups(self):
        return zip(self.layers, (1e-2, 1e-3), strict=True)


@pytest.mark.edge_case("EC-L5", "EC-V9")
@pytest.mark.parametrize("every", [1, 2])
def test_all_optimizers_and_schedulers_are_recorded_with_the_rate_of_each_step(
    recording, tmp_path, every
):
    trainer(tmp_path, max_epochs=1, log_every_n_steps=every).fit(Adversarial(), loader())
    run = recording.run()
    assert history(run, "lr/opt0/0").value == pytest.approx([1e-2 / 2**i for i in range(4)])
    assert history(run, "lr/opt0/1").value == pytest.approx([1e-3 / 2**i for i in range(4)])
    assert history(run, "lr/judging").value == pytest.approx([0.5 / 10**i for i in range(4)])
    for key in ("loss_g", "loss_d"):
        assert history(run, key).step.tolist() == list(range(every - 1, 4, every))
    assert run.params["optimizer.opt0"] == "SGD"
    assert run.params["optimizer.opt0.1.lr"] == 1e-3
    assert run.params["optimizer.judging"] == "Adam"
    assert run.params["optimizer.judging.betas"] == [0.9, 0.999]
    assert run.params["scheduler.0"] == "StepLR"
    assert run.params["scheduler.1.gamma"] == 0.1
    assert run.params["automatic_optimization"] is False


class Warming(Net):
    """A scheduler that steps with each batch, gradients of two batches, norms clipped."""

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=4)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "warm"},
        }


def test_an_accumulated_step_has_the_rate_that_it_was_made_with_and_the_norm(recording, tmp_path):
    told = Told()
    options = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.01, "callbacks": [told]}
    trainer(tmp_path, **options).fit(Warming(), loader())
    run = recording.run()
    rates = history(run, "lr")
    assert rates.value.tolist() == told.rates
    assert rates.step.tolist() == [0, 1, 2, 3]
    assert len(set(told.rates)) > 1
    norms = history(run, "grad_norm")
    assert norms.step.tolist() == [0, 1, 2, 3]
    assert (norms.value > 0.01).all()  # as it was before the clipping
    assert run.params["scheduler"] == "LinearLR"
    assert run.params["scheduler.interval"] == "step"
    assert run.params["trainer.accumulate_grad_batches"] == 2
    assert run.params["trainer.gradient_clip_val"] == 0.01


class OwnKeys(Net):
    def training_step(self, batch, batch_idx):
        self.log("lr", 7.0)
        self.log("step", float(100 + batch_idx))
        self.log("seen", float(batch_idx))
        return super().training_step(batch, batch_idx)


def test_a_module_that_says_the_step_or_the_rate_itself_is_believed(recording, tmp_path):
    trainer(tmp_path, max_epochs=1).fit(OwnKeys(), loader())
    run = recording.run()
    assert history(run, "seen").step.tolist()[:4] == [100, 101, 102, 103]
    assert set(history(run, "lr").value.tolist()) == {7.0}
    assert "step" not in run.metrics


def test_values_of_the_sanity_check_are_not_recorded(recording, tmp_path):
    trainer(tmp_path, num_sanity_val_steps=2, max_epochs=1).fit(Net(), loader(), loader())
    assert history(recording.run(), "val_loss").step.tolist() == [3]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"fast_dev_run": True}, 1),
        ({"overfit_batches": 1}, 2),
        ({"max_steps": 3, "max_epochs": -1}, 3),
    ],
)
def test_shortened_trainings_are_recorded_as_far_as_they_went(recording, tmp_path, options, steps):
    trainer(tmp_path, **options).fit(Net(), loader())
    run = recording.run()
    assert run.status == "FINISHED"
    assert history(run, "train_loss_step").step.tolist() == list(range(steps))
    for name, value in options.items():
        if name != "max_epochs":
            assert run.params[f"trainer.{name}"] == value


# --- parameters --------------------------------------------------------------------------------


class Data(pl.LightningDataModule):
    def __init__(self, size: int = 8, hidden: int = 99):
        super().__init__()
        self.save_hyperparameters()

    def train_dataloader(self):
        return loader(self.hparams.size)


@pytest.mark.parametrize("place", ["datamodule", "train_dataloaders"])
def test_hyperparameters_of_module_and_datamodule_and_the_trainers_are_recorded(
    recording, tmp_path, place
):
    trainer(tmp_path, precision="bf16-true").fit(
        Net(hidden=5, lr=0.25).bfloat16(), **{place: Data()}
    )
    params = recording.run().params
    assert (params["hidden"], params["lr"]) == (5, 0.25)
    assert (params["size"], params["datamodule.hidden"]) == (8, 99)
    assert (params["datamodule"], params["batch_size"], params["train_batches"]) == ("Data", 8, 2)
    assert (params["trainer.max_epochs"], params["trainer.precision"]) == (2, "bf16-true")
    assert params["trainer.strategy"] == "SingleDeviceStrategy"
    assert (params["parameters"], params["parameters.trainable"]) == (37, 37)
    assert params["optimizer"] == "SGD"


def test_nested_hyperparameters_are_joined_and_those_not_for_loggers_left_out(recording, tmp_path):
    class Nested(Net):
        def __init__(self, config):
            super().__init__()
            self._hparams.clear()
            self.save_hyperparameters(config)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Silent(Net):
        def __init__(self, secret=1):
            super().__init__()
            self.save_hyperparameters(logger=False)

    trainer(tmp_path, max_epochs=1).fit(Nested({"model": {"deep": {"width": 3}}}), loader())
    trainer(tmp_path, max_epochs=1).fit(Silent(), loader())
    nested, silent = (run.params for run in recording.runs())
    assert nested["model.deep.width"] == 3
    assert "secret" not in silent


def test_the_layers_are_stored_as_text_and_the_module_as_safetensors(recording, tmp_path):
    module = Net()
    trainer(tmp_path).fit(module, loader())
    run = recording.run()
    details = recording.details()
    files = {artifact.path for artifact in details.artifacts}
    assert {"model_summary.txt", "model/model.safetensors", "model/module.json"} <= files
    assert [(one.format, one.safe) for one in details.models] == [("lightning", True)]
    state = torch.random.get_rng_state()
    loaded = autolog.load_model(run)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert type(loaded) is Net
    assert loaded.hparams == module.hparams
    assert torch.equal(loaded(X), module(X))


# --- early stopping and checkpoints ------------------------------------------------------------


VALUES = (0.9, 0.5, 0.7, 0.6, 0.8, 0.4)


def scripted(cls):
    """A module whose validation gives the values of a list, one for each epoch."""

    class Scripted(cls):
        def validation_step(self, batch, batch_idx):
            self.log("val_loss", VALUES[self.current_epoch])

    return Scripted


Scripted = scripted(Net)


@pytest.mark.edge_case("EC-L1", "EC-L6")
@pytest.mark.parametrize("package", [pl, pytorch_lightning])
@pytest.mark.parametrize(("mode", "best"), [("min", 1), ("max", 0)])
def test_early_stopping_says_when_it_stopped_and_which_epoch_was_the_best(
    recording, tmp_path, package, mode, best
):
    module = scripted(Net if package is pl else Standalone)()
    stopping = package.callbacks.EarlyStopping("val_loss", mode=mode, patience=3)
    options = {"max_epochs": 6, "callbacks": [stopping], "package": package}
    trainer(tmp_path, **options).fit(module, loader(8), loader(16))
    run = recording.run()
    metrics, params = run.metrics, run.params
    assert metrics["stopped_epoch"] == stopping.stopped_epoch == best + 3
    values = history(run, "val_loss").value
    assert metrics["best_epoch"] == getattr(values, f"arg{mode}")() == best
    assert metrics["best_score"] == pytest.approx(VALUES[best])
    assert (params["early_stopping.monitor"], params["early_stopping.mode"]) == ("val_loss", mode)
    assert params["early_stopping.patience"] == 3
    (event,) = recording.events("early_stopping")
    assert (event["stopped_epoch"], event["best_epoch"]) == (best + 3, best)


@pytest.mark.edge_case("EC-L1")
def test_both_namespaces_record_the_same(recording, tmp_path):
    for package, module in ((pl, Net()), (pytorch_lightning, Standalone())):
        torch.manual_seed(1)
        checkpoint = package.callbacks.ModelCheckpoint(
            tmp_path / package.__name__, monitor="val_loss"
        )
        options = {"package": package, "callbacks": [checkpoint], "enable_checkpointing": True}
        trainer(tmp_path, **options).fit(module, loader(), loader())
    one, other = recording.runs()
    assert one.params == other.params
    del one.metrics["fit_seconds"], other.metrics["fit_seconds"]
    assert one.metrics == other.metrics
    for key in one.metrics:
        first, second = history(one, key), history(other, key)
        assert first.value.tolist() == second.value.tolist()
        assert first.step.tolist() == second.step.tolist()


@pytest.mark.edge_case("EC-L2")
@pytest.mark.parametrize("stops", [True, False])
@pytest.mark.parametrize("checkpoints", [True, False])
@pytest.mark.parametrize("models", ["auto", "never"])
def test_every_combination_of_early_stopping_checkpoints_and_models_finishes(
    recording, tmp_path, stops, checkpoints, models
):
    autolog.autolog("lightning", log_models=models)
    stopping = [EarlyStopping("val_loss", patience=1)] if stops else []
    options = {"max_epochs": 3, "callbacks": stopping, "enable_checkpointing": checkpoints}
    trainer(tmp_path, **options).fit(Scripted(), loader(16), loader(16))
    run = recording.run()
    assert run.status == "FINISHED"
    assert not run.logging_errors
    assert ("best_epoch" in run.metrics) is stops
    assert len(recording.events("checkpoint")) == checkpoints
    assert len(recording.details().models) == (models == "auto")


def test_the_best_checkpoint_is_linked_and_copied(recording, tmp_path):
    best = ModelCheckpoint(tmp_path / "kept", monitor="val_loss", filename="{epoch}")
    options = {"max_epochs": 4, "callbacks": [best], "enable_checkpointing": True}
    trainer(tmp_path, **options).fit(Scripted(), loader(16), loader(16))
    run = recording.run()
    (event,) = recording.events("checkpoint")
    path = tmp_path / "kept" / "epoch=1.ckpt"
    assert event["path"] == run.tags["best_checkpoint"] == str(path)
    assert (event["epoch"], event["step"], event["monitor"]) == (1, 2, "val_loss")
    assert event["score"] == pytest.approx(0.5)
    stored = {one.path: one for one in recording.details().artifacts}["checkpoints/epoch=1.ckpt"]
    assert stored.size == path.stat().st_size


def test_a_checkpoint_above_the_limit_is_linked_and_not_copied(recording, tmp_path):
    autolog.autolog("lightning", max_model_mb=0.001)
    options = {"max_epochs": 1, "enable_checkpointing": True}
    trainer(tmp_path, **options).fit(Net(), loader(16), loader(16))
    (event,) = recording.events("checkpoint")
    assert event["artifact"] is None
    assert not any("checkpoints/" in one.path for one in recording.details().artifacts)
    assert Y.shape == (16,)
