"""Evaluations without gradients: their losses, where they are recorded, and what is none."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import autolog

ROWS = torch.Generator().manual_seed(3)
X = torch.randn(20, 4, generator=ROWS)
Y = torch.randint(0, 3, (20,), generator=ROWS)


def loader(rows=20, size=8, **options):
    return DataLoader(TensorDataset(X[:rows], Y[:rows]), batch_size=size, **options)


class Training:
    """A classifier, its optimizer and loaders; evaluations are written as people write them."""

    def __init__(self, criterion=None):
        self.model = nn.Linear(4, 3)
        with torch.no_grad():
            for one in self.model.parameters():
                one.copy_(torch.linspace(-1, 1, one.numel()).view_as(one))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.5)
        self.criterion = criterion or nn.CrossEntropyLoss()
        self.train_loader = loader(16)

    def epoch(self):
        self.model.train()
        for x, y in self.train_loader:
            self.step(x, y)

    def step(self, x=X, y=Y):
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(x), y)
        loss.backward()
        self.optimizer.step()

    def evaluate(self, batches, model=None):
        """Return the mean loss of the rows, as the code of a user computes it."""
        model = model or self.model
        model.eval()
        total, rows = 0.0, 0
        with torch.no_grad():
            for x, y in batches:
                total += self.criterion(model(x), y).item() * len(x)
                rows += len(x)
        return total / rows

    def mean(self):
        """The true mean loss over all rows."""
        with autolog.suspend(), torch.no_grad():
            return functional.cross_entropy(self.model(X), Y).item()


def points(loops, key, run=None):
    run = run or loops.run()
    found = autolog.metric_history(run.run_id, key)
    return list(zip(found.step.tolist(), found.epoch.tolist(), found.value.tolist(), strict=True))


def same(found, expected):
    assert [one[:2] for one in found] == [one[:2] for one in expected]
    assert [one[2] for one in found] == pytest.approx([one[2] for one in expected], rel=1e-6)


def test_the_validation_loss_is_the_mean_over_all_rows_at_the_end_of_its_pass(loops):
    training, val_loader = Training(), loader()
    expected = []
    for epoch in range(3):
        training.epoch()
        expected.append((2 * epoch + 1, epoch, training.evaluate(val_loader)))
        assert expected[-1][2] == pytest.approx(training.mean())
    same(points(loops, "val/loss"), expected)


def test_inference_mode_counts_like_no_grad(loops):
    training, val_loader = Training(), loader()
    training.epoch()
    with torch.inference_mode():
        for x, y in val_loader:
            functional.cross_entropy(training.model(x), y)
    same(points(loops, "val/loss"), [(1, 0, training.mean())])


def test_an_evaluation_that_forgets_no_grad_counts_too(loops):
    training, val_loader = Training(), loader()
    for _ in range(2):
        training.epoch()
        training.model.eval()
        for x, y in val_loader:
            functional.cross_entropy(training.model(x), y).item()
    same(points(loops, "val/loss")[-1:], [(3, 1, training.mean())])
    assert len(points(loops, "val/loss")) == 2


def test_a_break_ends_an_evaluation(loops):
    training, val_loader = Training(), loader(size=4)
    training.epoch()
    training.model.eval()
    with torch.no_grad():
        for number, (x, y) in enumerate(val_loader):
            functional.cross_entropy(training.model(x), y)
            if number == 1:
                break
        expected = functional.cross_entropy(training.model(X[:8]), Y[:8]).item()
    same(points(loops, "val/loss")[:1], [(1, 0, expected)])


def test_an_evaluation_in_the_middle_of_an_epoch_is_recorded_at_its_step(loops):
    training, val_loader = Training(), loader()
    expected = []
    for number, (x, y) in enumerate(loader(20, 4)):
        if number == 2:
            expected.append((1, 0, training.evaluate(val_loader)))
            training.model.train()
        training.step(x, y)
        if number == 3:
            expected.append((3, 0, training.evaluate(val_loader)))
    same(points(loops, "val/loss"), expected)


def test_a_loader_whose_name_says_test_is_the_test(loops):
    training, val_loader = Training(), loader()
    testloader = DataLoader(TensorDataset(X[:12], Y[:12]), batch_size=8)
    for _ in range(2):
        training.epoch()
        training.evaluate(val_loader)
    expected = training.evaluate(testloader)
    same(points(loops, "test/loss"), [(3, 1, expected)])
    assert len(points(loops, "val/loss")) == 2


def test_a_second_validation_set_has_the_name_of_its_loader(loops):
    training = Training()
    val_loader, far_loader = loader(), DataLoader(TensorDataset(X[:8], Y[:8]), batch_size=8)
    training.epoch()
    training.evaluate(val_loader)
    expected = training.evaluate(far_loader)
    same(points(loops, "far/loss"), [(1, 0, expected)])
    assert len(points(loops, "val/loss")) == 1


def test_loaders_in_a_dictionary_give_the_validation_loss(loops):
    training = Training()
    loaders = {"train": loader(16), "val": loader()}
    for _ in range(2):
        for phase in ("train", "val"):
            training.model.train(phase == "train")
            for x, y in loaders[phase]:
                training.optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    loss = training.criterion(training.model(x), y)
                    if phase == "train":
                        loss.backward()
                        training.optimizer.step()
    found = points(loops, "val/loss")
    same(found[-1:], [(3, 1, training.mean())])
    assert len(found) == 2
    assert loops.metrics().count("train/loss") == 1


def test_the_training_data_evaluated_is_named_so(loops):
    training = Training()
    training.epoch()
    expected = training.evaluate(training.train_loader)
    same(points(loops, "train/eval_loss"), [(1, 0, expected)])
    assert "val/loss" not in loops.metrics()


def test_a_sum_is_divided_by_the_rows(loops):
    training, val_loader = Training(nn.CrossEntropyLoss(reduction="sum")), loader()
    training.epoch()
    with torch.no_grad():
        for x, y in val_loader:
            training.criterion(training.model(x), y)
    same(points(loops, "val/loss"), [(1, 0, training.mean())])
    assert loops.run().params["criterion.reduction"] == "sum"


def test_a_loss_that_is_not_reduced_is_nobodys_and_is_said_once(loops, recording):
    training, val_loader = Training(), loader()
    training.epoch()
    with torch.no_grad():
        for x, y in val_loader:
            functional.cross_entropy(training.model(x), y, reduction="none")
    assert "val/loss" not in loops.metrics()
    assert len(recording.events("notice")) == 1


def test_the_terms_of_a_loss_are_added(loops):
    def criterion(out, y):
        return nn.CrossEntropyLoss(label_smoothing=0.1)(out, y) + functional.l1_loss(
            out[:, 0], y.float()
        )

    training, val_loader = Training(criterion), loader()
    training.epoch()
    expected = training.evaluate(val_loader)
    same(points(loops, "val/loss"), [(1, 0, expected)])
    params = loops.run().params
    assert params["criterion"] == "CrossEntropyLoss + l1_loss"
    assert params["criterion.CrossEntropyLoss.label_smoothing"] == 0.1


def test_a_loop_of_full_batches_has_its_validation_loss_and_the_name_of_its_data(loops):
    training = Training()
    y_val, y_test = Y[:8], Y[8:]
    expected = {"val": [], "test": []}
    for _ in range(3):
        training.step(X, Y)
        training.model.eval()
        with torch.inference_mode():
            val = training.criterion(training.model(X[:8]), y_val)
            test = training.criterion(training.model(X[8:]), y_test)
        training.model.train()
        expected["val"].append(val.item())
        expected["test"].append(test.item())
    for name, values in expected.items():
        found = points(loops, f"{name}/loss")
        assert [one[0] for one in found] == [0, 1, 2]
        assert [one[2] for one in found] == pytest.approx(values)
        assert all(epoch != epoch for _, epoch, _ in found)


def test_a_full_batch_every_so_many_steps_of_an_epoch(loops):
    training = Training()
    expected = []
    for number, (x, y) in enumerate(loader(20, 4)):
        training.step(x, y)
        if number % 2 == 0:
            training.model.eval()
            with torch.no_grad():
                value = training.criterion(training.model(X), Y)
            training.model.train()
            expected.append((number, 0, value.item()))
    same(points(loops, "val/loss"), expected)


def test_a_teacher_on_the_way_to_a_step_is_no_validation(loops):
    training, teacher = Training(), nn.Linear(4, 3).eval()
    for x, y in training.train_loader:
        with torch.no_grad():
            functional.cross_entropy(teacher(x), y)
        training.step(x, y)
    assert not [key for key in loops.metrics() if key.endswith("loss") and key != "train/loss"]


def test_a_teacher_in_a_loop_of_full_batches_is_no_validation(loops):
    training, teacher = Training(), nn.Linear(4, 3)
    for _ in range(3):
        with torch.no_grad():
            functional.cross_entropy(teacher(X), Y)
        training.step(X, Y)
    assert loops.metrics() == ["lr", "train/loss"]


def test_a_measure_of_the_batch_that_was_trained_on_is_no_validation(loops):
    training = Training()
    for x, y in training.train_loader:
        training.optimizer.zero_grad()
        out = training.model(x)
        functional.cross_entropy(out, y).backward()
        training.optimizer.step()
        with torch.no_grad():
            functional.cross_entropy(out, y)
            functional.cross_entropy(out.detach(), y)
    assert "val/loss" not in loops.metrics()
    assert "train/eval_loss" not in loops.metrics()


def test_frozen_layers_in_evaluation_mode_change_nothing(loops):
    training, val_loader = Training(), loader()
    frozen = nn.BatchNorm1d(4)
    training.model = nn.Sequential(frozen, training.model)
    expected = []
    for epoch in range(2):
        training.model.train()
        frozen.eval()
        for x, y in training.train_loader:
            training.step(x, y)
        expected.append((2 * epoch + 1, epoch, training.evaluate(val_loader)))
    same(points(loops, "val/loss"), expected)
    assert "train/eval_loss" not in loops.metrics()


def test_an_evaluation_before_the_training_is_recorded_before_its_first_step(loops):
    training, val_loader = Training(), loader()
    before = training.evaluate(val_loader)
    training.epoch()
    after = training.evaluate(val_loader)
    found = points(loops, "val/loss")
    assert [one[0] for one in found] == [-1, 1]
    assert [one[2] for one in found] == pytest.approx([before, after])


def test_the_next_model_is_evaluated_before_it_is_trained(loops):
    training, val_loader = Training(), loader()
    training.epoch()
    wide = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))
    before = training.evaluate(val_loader, wide)
    training.model, training.optimizer = wide, torch.optim.SGD(wide.parameters(), lr=0.1)
    training.epoch()
    first, second = loops.runs()
    assert "val/loss" not in first.metrics
    assert second.metrics["val/loss"] == pytest.approx(before)


def test_averaged_and_reloaded_weights_are_evaluations_of_the_run(loops):
    training, val_loader = Training(), loader()
    averaged = torch.optim.swa_utils.AveragedModel(training.model)
    training.epoch()
    averaged.update_parameters(training.model)
    swa = training.evaluate(val_loader, averaged)
    best = copy.deepcopy(training.model)
    own = training.evaluate(val_loader, best)
    same(points(loops, "val/averaged_loss"), [(1, 0, swa)])
    same(points(loops, "val/loss"), [(1, 0, own)])


def test_losses_without_any_training_make_no_run(loops):
    training, val_loader = Training(), loader()
    training.evaluate(val_loader)
    assert loops.runs() == []


def test_a_suspended_evaluation_is_not_recorded(loops):
    training, val_loader = Training(), loader()
    training.epoch()
    with autolog.suspend():
        training.evaluate(val_loader)
    assert "val/loss" not in loops.metrics()


def test_a_default_device_and_autocast_count_a_loss_once(loops):
    training, val_loader = Training(), loader()
    training.epoch()
    with torch.device("cpu"), torch.autocast("cpu", dtype=torch.bfloat16):
        expected = training.evaluate(val_loader)
    same(points(loops, "val/loss"), [(1, 0, expected)])


def test_transforms_and_tensors_of_a_users_class_are_left_alone(loops):
    class Mine(torch.Tensor):
        pass

    training = Training()
    training.epoch()
    with torch.no_grad():
        each = torch.func.vmap(functional.mse_loss)(torch.ones(3, 2), torch.zeros(3, 2))
        mine = functional.mse_loss(torch.ones(2).as_subclass(Mine), torch.zeros(2))
        meta = functional.mse_loss(torch.ones(2, device="meta"), torch.ones(2, device="meta"))
    assert each.tolist() == [1.0, 1.0, 1.0]
    assert type(mine) is Mine
    assert meta.device.type == "meta"
    assert "val/loss" not in loops.metrics()


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (nn.CrossEntropyLoss(), {"criterion": "CrossEntropyLoss"}),
        (
            nn.CrossEntropyLoss(weight=torch.ones(3), ignore_index=1),
            {
                "criterion": "CrossEntropyLoss",
                "criterion.ignore_index": 1,
                "criterion.weight": [1.0, 1.0, 1.0],
            },
        ),
        (functional.cross_entropy, {"criterion": "cross_entropy"}),
        (lambda out, y: out.sum() * 0.1, {}),
    ],
)
def test_the_criterion_is_a_parameter(loops, criterion, expected):
    Training(criterion).epoch()
    params = loops.run().params
    assert {key: value for key, value in params.items() if "criterion" in key} == expected


def test_each_run_has_its_own_criterion(loops):
    for criterion in (functional.cross_entropy, functional.multi_margin_loss):
        training = Training(criterion)
        for _ in range(2):
            training.step(X, Y)
    names = [run.params["criterion"] for run in loops.runs()]
    assert names == ["cross_entropy", "multi_margin_loss"]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_loss_functions_are_what_they_were_for_scripts_and_the_compiler(loops):
    import pickle

    @torch.jit.script
    def scripted(out: torch.Tensor, y: torch.Tensor):
        return functional.cross_entropy(out, y)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x, y):
            return nn.functional.cross_entropy(self.layer(x), y)

    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    losses = []
    for _ in range(3):
        loss = compiled(X, Y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert loops.series() == pytest.approx(losses)
    with torch.no_grad():
        compiled(X, Y)
        same_value = functional.cross_entropy(model.layer(X), Y)
        assert scripted(model.layer(X), Y).item() == same_value.item()
    assert pickle.loads(pickle.dumps(functional.cross_entropy)) is functional.cross_entropy


def test_a_first_step_of_an_epoch_that_fails_is_no_evaluation(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(loops.X, loops.Y), batch_size=16)

    def epoch(fails):
        model.train()
        for x, y in loader:
            loss = torch.nn.functional.mse_loss(model(x), y)
            if fails:
                raise RuntimeError("a rank is gone")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()

    epoch(fails=False)
    with pytest.raises(RuntimeError, match="gone"):
        epoch(fails=True)
    autolog.end_run()
    assert "train/eval_loss" not in loops.run().metrics
