"""What is logged of loops in PyTorch by default, in every version: `logs` in compat_matrix.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import autolog
from tests.matrix import logged

torch = pytest.importorskip("torch")

torch.set_num_threads(1)

pytestmark = [pytest.mark.filterwarnings("ignore")]  # old versions beside new companions

ROWS = torch.arange(64.0).reshape(16, 4) / 64
SUMS = ROWS.sum(dim=1, keepdim=True)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        return self.layer(x)


class Squares(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        return ROWS[index], SUMS[index].square()


def loaders() -> tuple[Any, Any]:
    data = torch.utils.data.TensorDataset(ROWS, SUMS)
    held_out = torch.utils.data.TensorDataset(ROWS[:8], SUMS[:8])
    loader = torch.utils.data.DataLoader
    return loader(data, batch_size=4), loader(held_out, batch_size=8)


def trained(path: Path | None = None, show: Any = None) -> tuple[Any, dict[str, list[float]]]:
    """Train two epochs as one would write it; return the model and what the loop itself saw."""
    train_loader, val_loader = loaders()
    model, criterion = Net(), torch.nn.HuberLoss(delta=0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    seen: dict[str, list[float]] = {"train/loss": [], "grad_norm": [], "lr": [], "val/loss": []}
    for _ in range(2):
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            seen["lr"].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            seen["train/loss"].append(loss.item())
            seen["grad_norm"].append(float(norm))
        scheduler.step()
        with torch.no_grad():
            for x, y in val_loader:
                seen["val/loss"].append(criterion(model(x), y).item())
        if path is not None:
            torch.save(model.state_dict(), path)
        if show is not None:
            show(model)
    autolog.end_run()
    return model, seen


def test_a_loop_is_logged_as_the_matrix_says(recording: Any) -> None:
    autolog.autolog("torch")
    model, seen = trained()
    run = recording.run()
    assert (run.kind, run.status) == ("loop", "FINISHED")
    # params
    expected = {
        "optimizer": "SGD",
        "optimizer.momentum": 0.5,
        "scheduler": "ExponentialLR",
        "scheduler.gamma": 0.5,
        "criterion": "HuberLoss",
        "criterion.delta": 0.5,
        "batch_size": 4,
        "loader.shuffle": False,
        "model": "Net",
        "model.parameters": 5,
    }
    assert {key: run.params.get(key) for key in expected} == expected
    # series, evaluations
    for key, series in seen.items():
        assert logged.values(run, key) == pytest.approx(series), key
    assert logged.values(run, "epoch") == [0, 1]
    assert len(logged.values(run, "train/samples_per_second")) == 2
    # data
    profile = logged.profiles(recording)["train"]
    assert profile["class"] == "torch.TensorDataset"
    assert [one["shape"] for one in profile["tensors"]] == [[16, 4], [16, 1]]
    assert [one["dtype"] for one in profile["tensors"]] == ["torch.float32"] * 2
    assert profile["digest"]
    # model
    assert logged.models(recording) == {"model": ["torch-safetensors"]}
    loaded = Net()
    loaded.load_state_dict(autolog.load_model(run.run_id))
    assert torch.equal(loaded(ROWS), model(ROWS))
    # more
    tree = autolog.get_artifact(run.run_id, "model.txt").read_text().splitlines()
    assert tree[0].startswith("Net")
    assert tree[1].startswith("  (layer): Linear(in_features=4, out_features=1")
    logged.expect_sound("torch")


def test_what_the_loop_saves_is_its_model(recording: Any, tmp_path: Path) -> None:
    autolog.autolog("torch")
    saved: list[Any] = []

    def spoil(model: Any) -> None:
        saved.append({key: value.clone() for key, value in model.state_dict().items()})
        with torch.no_grad():
            model.layer.bias.add_(50.0)  # so that the second epoch is the worse one

    trained(tmp_path / "net.pt", show=spoil)
    assert [one["step"] for one in recording.events("checkpoint")] == [3, 7]
    stored = logged.models(recording)
    assert (stored["net"], stored["net-best"]) == (["torch-checkpoint"], ["torch-checkpoint"])
    for name, state in (("net-best", saved[0]), ("net", saved[1])):
        loaded = autolog.load_model(recording.run().run_id, name)
        assert {key: value.tolist() for key, value in loaded.items()} == {
            key: value.tolist() for key, value in state.items()
        }
    logged.expect_sound("torch")


def test_a_data_set_of_the_users_is_named_by_its_class(recording: Any) -> None:
    autolog.autolog("torch")
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_loader = torch.utils.data.DataLoader(Squares(), batch_size=4)
    for x, y in train_loader:
        (model(x) - y).square().mean().backward()
        optimizer.step()
    autolog.end_run()
    profile = logged.profiles(recording)["train"]
    assert profile["class"] == "tests.Squares"
    assert "digest" not in profile
    logged.expect_sound("torch")


def test_a_loss_that_is_not_finite_is_an_event(recording: Any) -> None:
    autolog.autolog("torch")
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for scale in (1.0, float("nan")):
        (model(ROWS).square().mean() * scale).backward()
        optimizer.step()
    autolog.end_run()
    (event,) = recording.events("health")
    assert (event["key"], event["step"]) == ("train/loss", 1)
    logged.expect_sound("torch")


def test_numbers_of_a_progress_bar_are_logged(recording: Any) -> None:
    tqdm = pytest.importorskip("tqdm")
    autolog.autolog("torch")
    with tqdm.tqdm(total=2, disable=False, file=Path("/dev/null").open("w")) as bar:
        trained(show=lambda _: bar.set_postfix(shown=0.25))
    assert logged.values(recording.run(), "shown") == [0.25, 0.25]
    logged.expect_sound("torch")


def test_scalars_for_tensorboard_are_logged(recording: Any, tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("tensorboardX")
    autolog.autolog("torch")
    writer = tensorboard.SummaryWriter(str(tmp_path))
    trained(show=lambda _: writer.add_scalar("told", 0.5, 7))
    writer.close()
    assert set(logged.values(recording.run(), "told")) == {0.5}
    logged.expect_sound("torch")


def test_metrics_of_torchmetrics_are_logged(recording: Any) -> None:
    torchmetrics = pytest.importorskip("torchmetrics")
    autolog.autolog("torch")
    val_error = torchmetrics.MeanSquaredError()
    told: list[float] = []

    def show(model: Any) -> None:
        val_error.reset()
        val_error.update(model(ROWS).detach(), SUMS)
        told.append(float(val_error.compute()))

    trained(show=show)
    run = recording.run()
    (key,) = [one for one in run.metrics if one.startswith("val/") and one != "val/loss"]
    assert logged.values(run, key) == pytest.approx(told)
    logged.expect_sound("torch")


@pytest.mark.edge_case("EC-X9")
def test_every_hook_finds_its_place(recording: Any) -> None:
    logged.expect_bound("torch")
