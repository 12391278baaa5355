"""The weights that a loop ends with, of a program that saves none itself."""

from __future__ import annotations

import copy
import sys
import weakref

import pytest
import torch

import autolog
from tests.torch.small_loops import Net, end, names, same, train

pytestmark = pytest.mark.usefixtures("in_a_folder")


def notices(recording):
    """The keys of the notices of the only run."""
    return [one["key"] for one in recording.events("notice")]


def test_a_loop_that_saved_nothing_leaves_its_final_weights(recording):
    model = Net()
    train(model)
    end()
    (stored,) = recording.details().models
    assert (stored.name, stored.format, stored.safe) == ("model", "torch-safetensors", True)
    loaded = autolog.load_model(autolog.last_run())
    assert same(loaded, model.state_dict())
    assert loaded.class_name == f"{Net.__module__}:Net"
    assert "class Net" in loaded.source
    assert loaded.file == sys.modules[Net.__module__].__file__
    assert "(first): Linear(in_features=4, out_features=3" in loaded.tree
    assert "Net" in repr(loaded)
    Net().load_state_dict(loaded)


def test_a_loop_that_saved_its_model_is_left_at_that(recording):
    model = Net()
    train(model, after=lambda _: torch.save(model.state_dict(), "w.pt"))
    end()
    assert names(recording) == ["w"]


def test_a_run_says_that_its_model_was_gone(recording):
    def inside():
        train(Net())

    inside()
    assert notices(recording) == ["weights_gone"]
    assert "Net" in recording.events("notice")[0]["text"]
    assert names(recording) == []
    assert recording.run().status == "FINISHED"


def test_nothing_is_kept_alive_for_the_sake_of_its_weights(recording):
    model = Net()
    optimizer = train(model)
    gone = [weakref.ref(model), weakref.ref(optimizer), weakref.ref(model.first.weight)]
    del model, optimizer
    assert [one() for one in gone] == [None, None, None]


def test_tied_shared_sparse_in_memory_and_odd_tensors_come_back_as_they_were(recording):
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(5, 4)
            self.head = torch.nn.Linear(4, 5, bias=False)
            self.head.weight = self.embedding.weight
            flat = torch.arange(12.0)
            self.register_buffer("left", flat[:8].reshape(2, 4))
            self.register_buffer("right", flat[4:])
            self.register_buffer("turned", torch.arange(6).reshape(2, 3).t())
            self.register_buffer("flags", torch.tensor([True, False]))
            self.register_buffer("short", torch.ones(2, dtype=torch.bfloat16))
            self.register_buffer("nothing", torch.empty(0, 3))
            self.register_buffer("scalar", torch.tensor(7))
            self.register_buffer("transient", torch.ones(3), persistent=False)

        def forward(self, x):
            return self.head(x)

    model = Odd()
    train(model)
    end()
    loaded = autolog.load_model(autolog.last_run())
    assert same(loaded, model.state_dict())
    assert loaded["head.weight"] is loaded["embedding.weight"]
    assert {key: one.dtype for key, one in loaded.items()} == {
        key: one.dtype for key, one in model.state_dict().items()
    }


def test_the_whole_model_is_stored_where_only_its_head_was_trained(recording):
    model = Net()
    train(model, torch.optim.SGD(model.last.parameters(), lr=0.1))
    end()
    assert same(autolog.load_model(autolog.last_run()), model.state_dict())


def test_the_wrapper_of_a_compiled_or_parallel_model_is_left_out(recording):
    model = Net()
    train(torch.nn.DataParallel(model))
    end()
    loaded = autolog.load_model(autolog.last_run())
    assert same(loaded, model.state_dict())
    assert loaded.class_name.endswith(":Net")


def test_the_models_of_several_optimizers_are_stored_by_their_classes(recording):
    one, two = Net(), torch.nn.Linear(2, 2)
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (one, two)]
    for _ in range(2):
        two(one(torch.ones(8, 4))).mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    end()
    assert names(recording) == ["Linear", "Net"]
    assert same(autolog.load_model(autolog.last_run(), "Net"), one.state_dict())
    assert same(autolog.load_model(autolog.last_run(), "Linear"), two.state_dict())


def test_two_models_that_one_optimizer_trains_are_both_stored(recording):
    one, two = Net(), torch.nn.Linear(2, 2)
    both = torch.optim.SGD([*one.parameters(), *two.parameters()], lr=0.1)
    two(one(torch.ones(8, 4))).mean().backward()
    both.step()
    end()
    assert names(recording) == ["Linear", "Net"]


def test_limits_of_the_user_hold(recording):
    autolog.autolog("torch", max_model_mb=0.0001)
    model = Net()
    train(model)
    end()
    assert names(recording) == []
    assert "max_model_mb" in recording.events("notice")[0]["text"]
    autolog.autolog("torch", log_models="never")
    other = Net()
    train(other)
    end()
    assert [run for run in recording.runs() if recording.details(run).models] == []


def test_a_loop_that_goes_on_leaves_what_it_ends_with_at_last(recording):
    model = Net()
    optimizer = train(model)
    end()
    first = autolog.load_model(autolog.last_run())
    train(model, optimizer)
    end()
    last = autolog.load_model(recording.run().run_id)
    assert not same(first, last)
    assert same(last, model.state_dict())


def test_weights_are_stored_after_so_many_steps(recording):
    autolog.autolog("torch", torch={"checkpoint_every": 3})
    model, states = Net(), []

    def note(epoch):
        autolog.log_metric("val/loss", epoch)
        states.append(copy.deepcopy(model.state_dict()))

    train(model, epochs=7, steps=1, after=note)
    end()
    assert [one["step"] for one in recording.events("checkpoint")] == [2, 5, 6]
    assert names(recording) == ["Net", "Net-best"]
    assert same(autolog.load_model(autolog.last_run(), "Net-best"), states[2])
    assert same(autolog.load_model(autolog.last_run(), "Net"), states[6])
    assert autolog.load_model(autolog.last_run()).class_name.endswith(":Net")


def test_weights_are_stored_after_each_epoch(recording):
    autolog.autolog("torch", torch={"checkpoint_every": "epoch"})
    model, states = Net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(torch.linspace(-1, 1, 32).reshape(8, 4), batch_size=4)
    for _ in range(3):
        for batch in loader:
            optimizer.zero_grad()
            model(batch).pow(2).mean().backward()
            optimizer.step()
        states.append(copy.deepcopy(model.state_dict()))
    end()
    events = recording.events("checkpoint")
    assert [(one["step"], one["epoch"]) for one in events] == [(1, 0), (3, 1), (5, 2)]
    assert same(autolog.load_model(autolog.last_run()), states[2])


def test_an_interval_that_is_none_is_refused(recording):
    for wrong in (0, -1, True, "epochs", 1.5):
        with pytest.raises(autolog.errors.UsageError, match="number of steps"):
            autolog.autolog("torch", torch={"checkpoint_every": wrong})


def test_a_module_that_is_logged_is_stored_as_safetensors(recording):
    model = Net()
    with autolog.start_run() as run:
        run.log_model(model)
    (stored,) = recording.details().models
    assert (stored.format, stored.safe) == ("torch-safetensors", True)
    assert same(autolog.load_model(run), model.state_dict())


def test_what_is_no_module_is_stored_as_before(recording):
    optimizer = torch.optim.SGD(Net().parameters(), lr=0.5)
    with autolog.start_run() as run:
        run.log_model(optimizer)
    (stored,) = recording.details().models
    assert (stored.format, stored.safe) == ("pickle", False)
    assert autolog.load_model(run).param_groups[0]["lr"] == 0.5


def test_without_safetensors_weights_are_pickled_and_the_user_is_told(recording, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    model = Net()
    train(model)
    end()
    monkeypatch.undo()
    (stored,) = recording.details().models
    assert (stored.format, stored.safe) == ("pickle", False)
    assert "safetensors" in stored.manifest["fallback"]
    assert any("pip install safetensors" in one.text for one in autolog.status().notices)


def test_what_each_process_holds_a_part_of_is_not_gathered(recording, monkeypatch):
    from autolog_torch import tensors

    monkeypatch.setattr(tensors, "_SHARDED", frozenset({"Parameter"}))
    model = Net()
    train(model)
    end()
    assert notices(recording) == ["weights_sharded"]


@pytest.mark.edge_case("EC-D9")
def test_modules_keep_their_dictionaries_and_copies(recording):
    model = Net()
    optimizer = train(model)
    before = (set(vars(model)), set(vars(optimizer)))
    end()
    autolog.disable()
    assert before == (set(vars(model)), set(vars(optimizer)))
    assert same(copy.deepcopy(model).state_dict(), model.state_dict())


def test_a_state_dict_of_ones_own_class_is_never_asked(recording):
    class Loud(Net):
        def state_dict(self, *args, **kwargs):
            raise AssertionError("asked for its state")

    model = Loud()
    train(model)
    end()
    assert names(recording) == ["model"]
