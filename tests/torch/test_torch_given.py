"""Numbers that the user gives to summary writers, progress bars and metrics land in the run."""

from __future__ import annotations

import warnings

import pytest
import tensorboardX
import torch
import torchmetrics
from torch.utils.tensorboard import SummaryWriter
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from tqdm import tqdm

import autolog

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # torcheval itself uses torch.jit
    import torcheval.metrics

LABELS = torch.tensor([0, 1, 1, 0])
GUESSES = torch.tensor([0, 1, 0, 0])


@pytest.fixture(params=[SummaryWriter, tensorboardX.SummaryWriter], ids=["torch", "tensorboardX"])
def writer(request, tmp_path):
    with request.param(str(tmp_path / "events")) as writer:
        yield writer


def history(run, key):
    points = autolog.metric_history(run.run_id, key)
    return list(zip(points.step.tolist(), points.value.tolist(), strict=True))


# -- summary writers -----------------------------------------------------------------------------


@pytest.mark.edge_case("EC-L3")
@pytest.mark.edge_case("EC-L4")
def test_scalars_beside_no_training_make_one_run_with_every_point(loops, writer):
    for step in range(5):
        writer.add_scalar("reward", step / 2, step)
        writer.add_scalars("q", {"min": -step, "max": torch.tensor(step + 0.5)}, global_step=step)
    run = loops.run()
    assert history(run, "reward") == [(step, step / 2) for step in range(5)]
    assert history(run, "q/min") == [(step, -step) for step in range(5)]
    assert history(run, "q/max") == [(step, step + 0.5) for step in range(5)]


def test_a_scalar_written_before_the_first_step_opens_no_run_beside_the_loops(loops, writer):
    for number in range(2):
        model = loops.net(number)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(3):
            writer.add_scalar(f"before_{number}", step + 0.5, 10 * step)
            loops.step(model, optimizer)
    runs = loops.runs()
    assert [run.kind for run in runs] == ["loop", "loop"]
    for number, run in enumerate(runs):
        points = [(0, 0.5), (10, 1.5), (20, 2.5)]
        assert history(run, f"before_{number}") == points
        own = [key for key in loops.metrics(run) if key.startswith("before")]
        assert own == [f"before_{number}"]


def test_an_optimizer_that_never_steps_holds_numbers_back_only_for_a_while(loops, writer):
    optimizer = torch.optim.SGD(loops.net().parameters(), lr=0.1)
    for step in range(100):
        writer.add_scalar("score", step, step)
    del optimizer
    assert history(loops.run(), "score") == [(step, step) for step in range(100)]


def test_a_tag_of_a_series_that_the_loop_records_is_kept_apart(loops, writer):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for step in range(3):
        losses.append(loops.step(model, optimizer))
        writer.add_scalar("train/loss", 7.0, step)
        writer.add_scalar("lr", 8.0, step)
    assert loops.series("train/loss") == pytest.approx(losses)
    source = "tensorboard" if type(writer) is SummaryWriter else "tensorboardx"
    assert loops.series(f"{source}/train/loss") == [7.0] * 3
    assert loops.series(f"{source}/lr") == [8.0] * 3


def test_hyperparameters_and_the_folder_of_a_writer_are_recorded(loops, writer, tmp_path):
    model = loops.net()
    loops.step(model, torch.optim.SGD(model.parameters(), lr=0.1))
    writer.add_scalar("score", 1.0, 0)
    writer.add_hparams({"width": 3, "act": "tanh"}, {"hparam/score": 0.25})
    run = loops.run()
    assert (run.params["width"], run.params["act"]) == (3, "tanh")
    assert run.metrics["hparam/score"] == 0.25
    source = "tensorboard" if type(writer) is SummaryWriter else "tensorboardx"
    assert run.tags[f"{source}.log_dir"] == str(tmp_path / "events")


def test_a_logger_of_fabric_does_not_give_its_numbers_a_second_time(loops, tmp_path):
    from lightning.fabric import Fabric
    from lightning.fabric.loggers import TensorBoardLogger

    autolog.autolog("torch", "lightning")
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    logger = TensorBoardLogger(str(tmp_path))
    fabric = Fabric(accelerator="cpu", devices=1, loggers=[logger])
    for step in range(3):
        loops.step(model, optimizer)
        fabric.log("score", step / 2, step=step)
    assert loops.series("score") == [0.0, 0.5, 1.0]
    assert {"score", "tensorboard/score"} & set(loops.metrics()) == {"score"}


# -- progress bars -------------------------------------------------------------------------------


def test_a_bar_beside_no_training_is_nobodys_run(loops):
    bar = tqdm(range(3), disable=True)
    for number in bar:
        bar.set_postfix(loss=number)
    assert loops.runs() == []


def test_the_numbers_of_a_bar_are_points_of_the_loops_steps(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    bar = tqdm(loops.batches(), disable=True)
    losses = []
    for x, y in bar:
        losses.append(loops.step(model, optimizer, x, y))
        given = {"loss": losses[-1], "acc": f"{len(losses) / 8:.3f}"}
        bar.set_postfix(given, share="12.5%", note="warm", best=torch.tensor(2.0), refresh=False)
        assert list(given) == ["loss", "acc"]
    assert loops.series("train/loss") == pytest.approx(losses)
    assert loops.series("progress/loss") == pytest.approx(losses)
    assert loops.series("acc") == [0.125, 0.25, 0.375, 0.5]
    assert loops.series("share") == [12.5] * 4
    assert loops.series("best") == [2.0] * 4
    assert "note" not in loops.run().metrics


def test_two_sources_of_one_name_stay_two_series(loops, writer):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    bar = tqdm(range(2), disable=True)
    for step in bar:
        loops.step(model, optimizer)
        writer.add_scalar("acc", 0.5, step)
        bar.set_postfix(acc=0.75)
    assert loops.series("acc") == [0.5, 0.5]
    assert loops.series("progress/acc") == [0.75, 0.75]


def test_nothing_given_is_recorded_while_autolog_is_suspended_or_off(loops, writer):
    with autolog.suspend():
        writer.add_scalar("score", 1.0, 0)
    autolog.disable()
    writer.add_scalar("score", 2.0, 1)
    assert loops.runs() == []


# -- metrics -------------------------------------------------------------------------------------


@pytest.fixture
def trained(loops):
    """A model that has made two steps."""
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        loops.step(model, optimizer)
    loops.model, loops.optimizer = model, optimizer
    return loops


def test_what_compute_gives_is_named_by_class_and_phase(trained):
    accuracy = MulticlassAccuracy(num_classes=2, average="micro")
    accuracy.update(GUESSES, LABELS)
    accuracy.compute()
    accuracy.reset()
    trained.model.eval()
    accuracy.update(LABELS, LABELS)
    accuracy.compute()
    accuracy.compute()  # from its cache
    run = trained.run()
    assert history(run, "train/accuracy") == [(1, 0.75)]
    assert history(run, "val/accuracy") == [(1, 1.0)]


def test_the_forward_of_a_metric_is_not_a_result(trained):
    accuracy = MulticlassAccuracy(num_classes=2, average="micro")
    accuracy(GUESSES, LABELS)
    accuracy(LABELS, LABELS)
    assert set(trained.metrics()) == {"train/loss", "lr"}
    with torch.no_grad():
        accuracy.compute()
    assert history(trained.run(), "val/accuracy") == [(1, 0.875)]


def test_metrics_of_one_class_are_told_apart_by_their_variables(trained):
    accuracy = MulticlassAccuracy(num_classes=2, average="micro")
    macro = MulticlassAccuracy(num_classes=2)
    test_acc = MulticlassAccuracy(num_classes=2, average="micro")
    loss_avg = torchmetrics.MeanMetric()
    for one in (accuracy, macro, test_acc):
        one.update(GUESSES, LABELS)
    loss_avg.update(torch.tensor([1.0, 2.0]))
    values = [one.compute().item() for one in (accuracy, macro, test_acc, loss_avg)]
    assert values == [0.75, 0.75, 0.75, 1.5]
    metrics = trained.run().metrics
    given = {key: value for key, value in metrics.items() if key not in ("train/loss", "lr")}
    assert given == {
        "train/accuracy": 0.75,
        "train/macro": 0.75,
        "test/accuracy": 0.75,
        "train/loss_avg": 1.5,
    }


def test_a_collection_a_dictionary_and_a_value_a_class_are_recorded_under_their_names(trained):
    classes = [
        MulticlassAccuracy(num_classes=2, average="micro"),
        MulticlassF1Score(num_classes=2, average="micro"),
    ]
    collection = torchmetrics.MetricCollection(classes, prefix="val_")
    collection.update(GUESSES, LABELS)
    each = MulticlassAccuracy(num_classes=2, average=None)
    each.update(GUESSES, LABELS)
    table = torchmetrics.ConfusionMatrix(task="multiclass", num_classes=2)
    table.update(GUESSES, LABELS)
    collection.compute(), each.compute(), table.compute()
    metrics = trained.run().metrics
    given = {key: value for key, value in metrics.items() if key not in ("train/loss", "lr")}
    assert given == {
        "val/accuracy": 0.75,
        "val/f1_score": 0.75,
        "train/accuracy/0": 1.0,
        "train/accuracy/1": 0.5,
    }


def test_metrics_of_torcheval_are_recorded_and_give_what_they_gave(trained):
    accuracy = torcheval.metrics.MulticlassAccuracy()
    accuracy.update(GUESSES, LABELS)
    with torch.no_grad():
        assert accuracy.compute().item() == 0.75
    assert history(trained.run(), "val/accuracy") == [(1, 0.75)]


def test_a_metric_is_copied_and_pickled_as_without_autolog(trained):
    import copy
    import pickle

    accuracy = MulticlassAccuracy(num_classes=2, average="micro")
    accuracy.update(GUESSES, LABELS)
    for copied in (copy.deepcopy(accuracy), pickle.loads(pickle.dumps(accuracy))):
        assert copied.compute().item() == 0.75
        assert vars(copied).keys() == vars(accuracy).keys()
    with_it = pickle.dumps(accuracy)
    autolog.disable()
    assert pickle.dumps(accuracy) == with_it
    assert accuracy.compute().item() == 0.75


def test_in_a_training_that_another_integration_covers_nothing_given_is_recorded(
    trained, writer, monkeypatch
):
    from autolog.capture import activation
    from autolog_torch import steps

    assert activation.attachments()
    capture = steps.tracking._capture
    span = capture.open("training", "fit", object(), "Trainer")
    span.state["torch.covered"] = True
    try:
        writer.add_scalar("score", 1.0, 0)
        tqdm([], disable=True).set_postfix(acc=0.5)
        accuracy = MulticlassAccuracy(num_classes=2)
        accuracy.update(GUESSES, LABELS)
        accuracy.compute()
    finally:
        span.end()
    assert [run.metrics.keys() - {"train/loss", "lr"} for run in trained.runs()] == [set(), set()]
