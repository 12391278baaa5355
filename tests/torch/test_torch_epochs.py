"""Epochs from the passes over loaders: numbered by what was trained on, and what they cost."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import autolog
from tests.torch.workers import Telling


class Rows(IterableDataset):
    """Rows that come one by one, and whose number is said wrongly or not at all."""

    def __init__(self, loops, length=None):
        self.rows = list(zip(loops.X, loops.Y, strict=True))
        self.length = length

    def __iter__(self):
        return iter(self.rows)

    def __len__(self):
        if self.length is None:
            raise TypeError("nobody knows")
        return self.length


class Training:
    """A model, its optimizer and a loader over the rows of `loops`."""

    def __init__(self, loops, rows=32, batch=8, **options):
        self.loops = loops
        self.model = loops.net()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.data = TensorDataset(loops.X[:rows], loops.Y[:rows])
        self.train_loader = DataLoader(self.data, batch_size=batch, **options)

    def step(self, x, y):
        return self.loops.step(self.model, self.optimizer, x, y)

    def epochs(self, key="train/loss", run=None):
        """The epoch of each point of a series."""
        run = run or self.loops.run()
        return history(run, key).epoch.tolist()


def history(run, key):
    return autolog.metric_history(run.run_id, key)


def points(run, key):
    found = history(run, key)
    return list(zip(found.step.tolist(), found.value.tolist(), strict=True))


def test_each_pass_over_the_training_data_is_an_epoch_and_ends_with_a_point(loops):
    training = Training(loops)
    losses = [training.step(x, y) for _ in range(3) for x, y in training.train_loader]
    assert training.epochs() == [0] * 4 + [1] * 4 + [2] * 4
    assert loops.series() == pytest.approx(losses)
    assert points(loops.run(), "epoch") == [(3, 0.0), (7, 1.0), (11, 2.0)]


@pytest.mark.edge_case("EC-R7")
def test_a_training_of_one_epoch_has_its_epoch(loops):
    training = Training(loops)
    for x, y in training.train_loader:
        training.step(x, y)
    assert points(loops.run(), "epoch") == [(3, 0.0)]
    assert {"train/samples_per_second", "train/step_seconds", "train/data_seconds"} < set(
        loops.run().metrics
    )


def test_a_loop_without_a_loader_has_no_epochs(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        for x, y in loops.batches():
            loops.step(model, optimizer, x, y)
    assert all(epoch != epoch for epoch in history(loops.run(), "train/loss").epoch)
    assert loops.metrics() == ["lr", "train/loss"]


def test_the_seconds_of_an_epoch_add_up_and_leave_out_an_evaluation_inside_of_it(loops):
    import time

    training = Training(loops)
    other = DataLoader(training.data, batch_size=32)
    started = time.perf_counter()
    asleep = 0.0
    for number, (x, y) in enumerate(training.train_loader):
        training.step(x, y)
        if number == 1:
            begun = time.perf_counter()
            for _ in other:
                time.sleep(0.2)
            asleep = time.perf_counter() - begun
    taken = time.perf_counter() - started - asleep
    metrics = loops.run().metrics
    seconds = 4 * (metrics["train/step_seconds"] + metrics["train/data_seconds"])
    assert seconds <= taken + 0.01
    assert metrics["train/samples_per_second"] == pytest.approx(32 / seconds)


def test_a_break_ends_the_epoch_at_once(loops):
    training = Training(loops)
    for _ in range(2):
        for number, (x, y) in enumerate(training.train_loader):
            training.step(x, y)
            if number == 1:
                break
    assert training.epochs() == [0, 0, 1, 1]
    assert points(loops.run(), "epoch") == [(1, 0.0), (3, 1.0)]


def test_persistent_workers_begin_an_epoch_with_each_pass(loops):
    training = Training(loops, num_workers=1, persistent_workers=True)
    for epoch in range(3):
        for number, (x, y) in enumerate(training.train_loader):
            training.step(x, y)
            if epoch == 1 and number == 1:
                break
    assert training.epochs() == [0] * 4 + [1] * 2 + [2] * 4
    assert points(loops.run(), "epoch") == [(3, 0.0), (5, 1.0), (9, 2.0)]
    assert loops.run().params["loader.persistent_workers"] is True


def test_the_last_epoch_that_was_broken_off_is_there_when_the_run_ends(loops):
    training = Training(loops, num_workers=1, persistent_workers=True)
    for x, y in training.train_loader:
        training.step(x, y)
        break
    run = loops.run()
    autolog.end_run()
    assert points(run, "epoch") == [(0, 0.0)]


@pytest.mark.edge_case("EC-D1")
@pytest.mark.parametrize("length", [None, 5])
def test_an_iterable_dataset_has_epochs_whatever_it_says_of_its_length(loops, length):
    training = Training(loops)
    data = Rows(loops, length)
    loader = DataLoader(data, batch_size=8)
    for _ in range(2):
        for x, y in loader:
            training.step(x, y)
    assert training.epochs() == [0] * 4 + [1] * 4
    params = loops.run().params
    assert params["batch_size"] == 8
    assert "dataset_size" not in params
    assert "loader.shuffle" not in params


def test_steps_by_next_count_a_new_iterator_as_the_next_epoch(loops):
    training = Training(loops)
    batches = iter(training.train_loader)
    for _ in range(10):
        try:
            x, y = next(batches)
        except StopIteration:
            batches = iter(training.train_loader)
            x, y = next(batches)
        training.step(x, y)
    assert training.epochs() == [0] * 4 + [1] * 4 + [2] * 2


def test_what_a_cycle_repeats_has_no_epoch_that_anybody_counted(loops):
    training = Training(loops)
    for x, y in itertools.islice(itertools.cycle(training.train_loader), 10):
        training.step(x, y)
    epochs = training.epochs()
    assert epochs[:4] == [0] * 4
    assert all(one != one for one in epochs[6:])
    assert points(loops.run(), "epoch") == [(3, 0.0)]


def test_of_two_loaders_in_a_zip_the_first_counts(loops):
    training = Training(loops)
    other = DataLoader(training.data, batch_size=4)
    for _ in range(2):
        for (x, y), _ in zip(training.train_loader, other, strict=False):
            training.step(x, y)
    assert training.epochs() == [0] * 4 + [1] * 4
    assert loops.run().params["batch_size"] == 8


def test_a_second_loader_that_is_begun_again_inside_an_epoch_counts_nothing(loops):
    training = Training(loops)
    other = DataLoader(training.data, batch_size=16)
    for _ in range(2):
        unlabelled = iter(other)
        for x, y in training.train_loader:
            try:
                next(unlabelled)
            except StopIteration:
                unlabelled = iter(other)
                next(unlabelled)
            training.step(x, y)
    assert training.epochs() == [0] * 4 + [1] * 4


def test_a_look_at_the_first_batch_and_an_evaluation_are_no_epochs(loops):
    training = Training(loops)
    val_loader = DataLoader(training.data, batch_size=32)
    next(iter(training.train_loader))
    for _ in range(2):
        for _ in val_loader:
            pass
        for x, y in training.train_loader:
            training.step(x, y)
        for _ in training.train_loader:
            pass
    assert training.epochs() == [0] * 4 + [1] * 4


def test_an_evaluation_in_the_middle_of_an_epoch_is_no_epoch(loops):
    training = Training(loops, num_workers=0)
    val_loader = DataLoader(training.data, batch_size=16)
    for _ in range(2):
        for number, (x, y) in enumerate(training.train_loader):
            if number == 2:
                for _ in val_loader:
                    break
            training.step(x, y)
    assert training.epochs() == [0] * 4 + [1] * 4


def test_batches_that_were_taken_once_and_kept_make_no_epoch(loops):
    training = Training(loops)
    x, y = next(iter(training.train_loader))
    kept = list(training.train_loader)
    for _ in range(3):
        training.step(x, y)
    for x, y in kept:
        training.step(x, y)
    assert not any(epoch == epoch for epoch in training.epochs())


def test_a_loader_that_is_built_anew_for_each_epoch_goes_on_counting(loops):
    training = Training(loops)
    for _ in range(3):
        for x, y in DataLoader(training.data, batch_size=16):
            training.step(x, y)
    assert training.epochs() == [0, 0, 1, 1, 2, 2]


def test_accumulation_counts_epochs_not_batches(loops):
    training = Training(loops)
    for _ in range(2):
        for number, (x, y) in enumerate(training.train_loader, 1):
            (torch.nn.functional.mse_loss(training.model(x), y) / 2).backward()
            if number % 2 == 0:
                training.optimizer.step()
                training.optimizer.zero_grad()
    assert training.epochs() == [0, 0, 1, 1]
    assert points(loops.run(), "epoch") == [(1, 0.0), (3, 1.0)]


def test_a_batch_that_is_fetched_ahead_belongs_to_its_pass(loops):
    training = Training(loops)

    def ahead(loader):
        batches = iter(loader)
        held = next(batches)
        for batch in batches:
            yield held
            held = batch
        yield held

    for _ in range(2):
        for x, y in ahead(training.train_loader):
            training.step(x, y)
    assert training.epochs() == [0] * 4 + [1] * 4
    run = loops.run()
    autolog.end_run()
    assert points(run, "epoch") == [(3, 0.0), (7, 1.0)]


def test_both_optimizers_of_a_pair_have_the_epoch_of_the_pass(loops):
    first, second = loops.net(1), loops.net(2, width=5)
    opt_a = torch.optim.SGD(first.parameters(), lr=0.1)
    opt_b = torch.optim.SGD(second.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(loops.X, loops.Y), batch_size=8)
    for _ in range(2):
        for x, y in loader:
            loops.step(first, opt_a, x, y)
            loops.step(second, opt_b, x, y)
    run = loops.run()
    for name in ("opt_a", "opt_b"):
        assert history(run, f"train/loss/{name}").epoch.tolist() == [0] * 4 + [1] * 4
    assert points(run, "epoch") == [(3, 0.0), (7, 1.0)]


def test_the_next_training_in_a_script_begins_with_epoch_0(loops):
    for seed in range(2):
        training = Training(loops, rows=16)
        training.model[0].bias.data += seed
        for _ in range(2):
            for x, y in training.train_loader:
                training.step(x, y)
        run = loops.runs()[-1]
        assert training.epochs(run=run) == [0, 0, 1, 1]
        assert points(run, "epoch") == [(1, 0.0), (3, 1.0)]
    assert len(loops.runs()) == 2


def test_a_second_optimizer_over_the_same_weights_goes_on_counting(loops):
    training = Training(loops, rows=16)
    for x, y in training.train_loader:
        training.step(x, y)
    training.optimizer = torch.optim.Adam(training.model.parameters())
    for _ in range(5):
        for x, y in training.train_loader:
            training.step(x, y)
    run = loops.run()
    assert history(run, "train/loss").epoch.tolist() == [e for e in range(6) for _ in range(2)]


def test_the_loader_and_its_data_are_described(loops, recording):
    training = Training(loops, shuffle=True, drop_last=True)
    for x, y in training.train_loader:
        training.step(x, y)
    params = loops.run().params
    assert (params["batch_size"], params["dataset_size"]) == (8, 32)
    assert params["loader.shuffle"] is True
    assert params["loader.drop_last"] is True
    assert params["loader.sampler"] == "RandomSampler"
    assert params["loader.num_workers"] == 0
    inputs = recording.details().inputs
    assert [one.name for one in inputs] == ["train_loader"]
    assert inputs[0].profile["class"] == "torch.TensorDataset"
    assert inputs[0].profile["shape"] == [32]


@pytest.mark.edge_case("EC-D4")
@pytest.mark.parametrize("form", ["tensor", "dict", "nested", "custom"])
def test_samples_are_counted_in_batches_of_any_form(loops, form):
    training = Training(loops, rows=16)
    forms = {
        "tensor": lambda rows: torch.stack([x for x, _ in rows]),
        "dict": lambda rows: {"x": torch.stack([x for x, _ in rows]), "n": len(rows)},
        "nested": lambda rows: ((torch.stack([x for x, _ in rows]),), "words"),
        "custom": lambda rows: {len(rows), "a set"},
    }
    loader = DataLoader(training.data, batch_size=8, collate_fn=forms[form])
    for _ in loader:
        training.step(loops.X, loops.Y)
    metrics = loops.run().metrics
    if form == "custom":
        assert "train/samples_per_second" not in metrics
        return
    seconds = 2 * (metrics["train/step_seconds"] + metrics["train/data_seconds"])
    assert metrics["train/samples_per_second"] == pytest.approx(16 / seconds)


@pytest.mark.edge_case("EC-D2", "EC-D3")
def test_items_and_iterators_of_the_user_are_asked_for_as_often_as_without(loops):
    class Counting(Dataset):
        def __init__(self):
            self.items, self.lengths = [], 0

        def __getitem__(self, at):
            self.items.append(at)
            return loops.X[at], loops.Y[at]

        def __len__(self):
            self.lengths += 1
            return 8

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            raise AssertionError(name)

    def sampler():
        yield from range(8)

    training = Training(loops)
    data = Counting()
    loader = DataLoader(data, batch_size=4, sampler=list(range(8)))
    for x, y in loader:
        training.step(x, y)
    assert data.items == list(range(8))
    assert data.lengths == 0
    assert "dataset_size" not in loops.run().params


def test_workers_by_fork_and_by_spawn_are_left_alone(loops):
    training = Training(loops, rows=16, num_workers=1)
    for x, y in training.train_loader:
        training.step(x, y)
    for method in ("fork", "spawn"):
        loader = DataLoader(Telling(), batch_size=2, num_workers=1, multiprocessing_context=method)
        seen = [row for batch in loader for row in batch.tolist()]
        assert [there for there, _ in seen] == [int(method == "fork")] * 2
        assert [passes for _, passes in seen] == [0, 0]
    assert points(loops.run(), "epoch") == [(1, 0.0)]


def test_a_loader_and_its_dataset_pickle_as_without(loops):
    import pickle

    training = Training(loops)
    before = pickle.dumps(training.train_loader)
    for x, y in training.train_loader:
        training.step(x, y)
    assert vars(training.train_loader).keys() == vars(pickle.loads(before)).keys()
    autolog.disable()
    assert pickle.dumps(training.train_loader) == before


def test_an_error_of_the_data_reaches_the_user_and_ends_the_pass(loops):
    class Broken(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, at):
            if at == 4:
                raise ValueError("a bad row")
            return loops.X[at], loops.Y[at]

    training = Training(loops)

    def train():
        for x, y in DataLoader(Broken(), batch_size=2):
            training.step(x, y)

    with pytest.raises(ValueError, match="a bad row"):
        train()
    assert training.epochs() == [0, 0]
    assert points(loops.run(), "epoch") == [(1, 0.0)]
