"""With PyTorch's integration on as well: a fit is recorded once, and loops beside it are, too."""

from __future__ import annotations

import lightning.pytorch as pl
import pytest
import torch
import torchmetrics
from lightning.fabric import Fabric
from lightning.pytorch.callbacks import ModelCheckpoint

import autolog
from tests.lightning.models import Net, history, loader, trainer


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog("torch", "lightning")


class Measured(Net):
    """Logs a metric of torchmetrics, too."""

    def __init__(self):
        super().__init__()
        self.val_acc = torchmetrics.classification.MulticlassAccuracy(2)

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        self.val_acc.update(self(batch[0]), batch[1])

    def on_validation_epoch_end(self):
        self.log("accuracy", self.val_acc.compute())
        self.val_acc.reset()


class Adversarial(pl.LightningModule):
    """Steps with two optimizers itself."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.one, self.other = torch.nn.Linear(4, 1), torch.nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        for optimizer, part in zip(self.optimizers(), (self.one, self.other), strict=True):
            optimizer.zero_grad()
            self.manual_backward(part(batch[0]).square().mean())
            torch.nn.utils.clip_grad_norm_(part.parameters(), 1.0)
            optimizer.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(one.parameters(), lr=0.1) for one in (self.one, self.other)]


def raw(model, tmp_path, name):
    """Train for two epochs of two steps, with an evaluation and a checkpoint after each."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = torch.nn.CrossEntropyLoss()
    losses, evaluated = [], []
    for _ in range(2):
        model.train()
        for x, y in loader(8):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            values = [criterion(model(x), y).item() for x, y in loader(8)]
        evaluated.append(sum(values) / 2)
        torch.save(model.state_dict(), tmp_path / f"{name}.pt")
    return losses, evaluated


def test_a_fit_and_evaluations_are_recorded_by_lightning_alone(recording, tmp_path):
    saving = ModelCheckpoint(tmp_path / "c")
    options = {"num_sanity_val_steps": 2, "enable_checkpointing": True, "callbacks": [saving]}
    given = trainer(tmp_path, **options)
    module = Measured()
    given.fit(module, loader(), loader())
    given.validate(module, loader(), verbose=False)
    given.test(module, loader(), verbose=False)
    given.predict(module, loader())
    run = recording.run()
    assert sorted(run.metrics) == [
        "accuracy",
        "fit_seconds",
        "lr",
        *("predict_batches", "predict_seconds"),
        *("test_batches", "test_loss", "test_seconds", "train_loss_epoch", "train_loss_step"),
        *("val_loss", "validate_batches", "validate_seconds"),
    ]
    assert history(run, "lr").step.tolist() == list(range(8))
    files = {one.path for one in autolog.list_artifacts(run.run_id)}
    assert "model.txt" not in files
    assert len([one for one in files if "ckpt" in one]) == 1
    assert "criterion" not in run.params


def test_a_module_with_two_optimizers_has_no_series_of_a_loop(recording, tmp_path):
    trainer(tmp_path).fit(Adversarial(), loader())
    assert sorted(recording.run().metrics) == ["fit_seconds", "lr/opt0", "lr/opt1"]


def test_loops_before_and_after_a_fit_have_their_own_runs(recording, tmp_path):
    before, after = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
    first = raw(before, tmp_path, "before")
    module = Adversarial()
    trainer(tmp_path).fit(module, loader())
    second = raw(after, tmp_path, "after")
    autolog.end_run()
    names = [one.name.partition("-")[0] for one in recording.runs()]
    assert sorted(names) == ["Adversarial", "Linear", "Linear"]
    oldest, newest = (one for one in recording.runs() if one.name.startswith("Linear"))
    for run, (losses, evaluated), name in (
        (oldest, first, "before"),
        (newest, second, "after"),
    ):
        assert history(run, "train/loss").value.tolist() == losses
        assert history(run, "train/loss").epoch.tolist() == [0, 0, 1, 1]
        assert history(run, "val/loss").step.tolist() == [1, 3]
        assert history(run, "val/loss").value.tolist() == pytest.approx(evaluated)
        files = {one.path.partition("/")[0] for one in autolog.list_artifacts(run.run_id)}
        assert files == {name, "model.txt"}
        assert "grad_norm" not in run.metrics


def test_the_weights_of_a_module_are_no_checkpoint_of_a_loop_before(recording, tmp_path):
    model = torch.nn.Linear(4, 1)
    raw(torch.nn.Linear(4, 2), tmp_path, "loop")
    torch.save(Net().state_dict(), tmp_path / "module.pt")
    torch.save(model.state_dict(), tmp_path / "other.pt")
    autolog.end_run()
    files = {one.path.partition("/")[0] for one in autolog.list_artifacts(recording.run().run_id)}
    assert files == {"loop", "model.txt"}


def test_a_loop_of_fabric_is_recorded_with_the_file_that_fabric_saves(recording, tmp_path):
    fabric = Fabric(accelerator="cpu", devices=1)
    net = torch.nn.Linear(4, 2)
    model, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
    losses = []
    for x, y in fabric.setup_dataloaders(loader(8)):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        fabric.backward(loss)
        optimizer.step()
        fabric.log("told", loss)  # requires gradients, of which nobody is warned
        losses.append(loss.item())
    fabric.save(tmp_path / "fabric.ckpt", {"model": model, "epoch": 0})
    autolog.end_run()
    run = recording.run()
    assert history(run, "train/loss").value.tolist() == losses
    assert history(run, "told").value.tolist() == losses
    loaded = autolog.load_model(run.run_id)
    assert torch.equal(loaded["weight"], net.weight)
