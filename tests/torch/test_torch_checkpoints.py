"""Files that a program saves its model to: what is kept of them, and what is left alone."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

import autolog
from autolog.cli.commands import cli
from tests.torch.small_loops import Net, end, names, same, train

pytestmark = pytest.mark.usefixtures("in_a_folder")


def kept(name):
    """The bytes of a checkpoint that was kept."""
    return autolog.get_artifact(autolog.last_run(), f"{name}/checkpoint.pt").read_bytes()


def show(run):
    """What `autolog show` prints of a run."""
    return CliRunner().invoke(cli, ["show", run.name], env={"COLUMNS": "200"}).output


def leftovers(recording):
    """Copies that still wait in the store."""
    return list((recording.folder / "artifacts" / "tmp").rglob("*.pt"))


def test_the_last_and_the_best_checkpoint_are_kept_byte_by_byte(recording):
    model, written = Net(), []

    def save(epoch):
        autolog.log_metric("val/loss", [0.5, 0.2, 0.4, 0.3][epoch])
        torch.save({"model": model.state_dict(), "epoch": epoch}, f"epoch_{epoch}.pt")
        written.append(Path(f"epoch_{epoch}.pt").read_bytes())

    train(model, epochs=4, after=save)
    assert len(leftovers(recording)) == 3  # of which the next one would be written over one
    end()
    assert names(recording) == ["epoch", "epoch-best"]
    assert kept("epoch") == written[3]
    assert kept("epoch-best") == written[1]
    assert leftovers(recording) == []
    events = recording.events("checkpoint")
    assert [one["step"] for one in events] == [1, 3, 5, 7]
    assert [one["val/loss"] for one in events] == [0.5, 0.2, 0.4, 0.3]
    assert {one["kind"] for one in events} == {"copied"}
    assert [Path(one["path"]).name for one in events] == [f"epoch_{at}.pt" for at in range(4)]


def test_a_file_that_is_overwritten_is_kept_as_it_was_at_its_best(recording):
    model, written = Net(), []

    def save(epoch):
        autolog.log_metric("val/accuracy", [0.1, 0.9, 0.3][epoch])
        torch.save(model.state_dict(), "last.pt")
        written.append(Path("last.pt").read_bytes())

    train(model, epochs=3, after=save)
    end()
    assert kept("last-best") == written[1]
    assert kept("last") == written[2]


def test_a_validation_that_follows_the_save_counts_for_that_checkpoint(recording):
    model, written = Net(), []

    def save(epoch):
        torch.save(model.state_dict(), "last.pt")
        written.append(Path("last.pt").read_bytes())
        autolog.log_metric("val/loss", [0.1, 0.9, 0.5][epoch])

    train(model, epochs=3, after=save)
    end()
    assert kept("last-best") == written[0]


def test_the_best_is_told_of_the_last_where_that_is_the_best(recording):
    model = Net()

    def save(epoch):
        autolog.log_metric("val/loss", 1.0 - epoch / 10)
        torch.save(model.state_dict(), "last.pt")

    train(model, epochs=3, after=save)
    end()
    assert names(recording) == ["last"]
    assert leftovers(recording) == []


def test_load_model_gives_the_best_state_and_says_whose_it_is(recording):
    model, best = Net(), {}

    def save(epoch):
        autolog.log_metric("val/loss", [0.2, 0.5][epoch])
        if epoch == 0:
            best.update({key: one.clone() for key, one in model.state_dict().items()})
        torch.save({"epoch": epoch, "model": model.state_dict()}, f"{epoch}.pt")

    train(model, epochs=2, after=save)
    loaded = autolog.load_model(autolog.last_run())
    assert same(loaded, best)
    assert loaded.class_name == f"{Net.__module__}:Net"
    assert "class Net" in loaded.source
    assert loaded.checkpoint["epoch"] == 0
    Net().load_state_dict(loaded)


def test_a_whole_module_is_loaded_from_a_store_of_ones_own(recording):
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    train(model, after=lambda _: torch.save(model, "whole.pt"))
    loaded = autolog.load_model(autolog.last_run())
    assert same(loaded, model.state_dict())
    assert type(loaded.checkpoint) is torch.nn.Sequential
    with pytest.raises(autolog.errors.ModelError, match=r"torch\.nn\.modules\.linear\.Linear"):
        autolog.load_model(autolog.last_run(), trusted=())


HOLD = {
    "module": lambda m: m,
    "state": lambda m: m.state_dict(),
    "nested": lambda m: {"epoch": 1, "nets": {"net": m.state_dict()}, "more": [1, 2]},
    "plain": lambda m: {name: one.clone() for name, one in m.state_dict().items()},
    "parallel": lambda m: {f"module.{k}": v.clone() for k, v in m.state_dict().items()},
    "half": lambda m: {k: v.half() for k, v in m.state_dict().items()},
    "average": lambda m: torch.optim.swa_utils.AveragedModel(m).state_dict(),
}
HOLD_NOT = {
    "data": lambda m: {"x": torch.ones(8, 4), "y": torch.ones(8)},
    "batches": lambda m: [(torch.ones(8, 4), torch.ones(8))],
    "tensor": lambda m: torch.ones(3),
    "parameter": lambda m: m.last.weight,
    "optimizer": lambda m: torch.optim.Adam(m.parameters()).state_dict(),
    "numbers": lambda m: {"epoch": 3, "lr": 0.1},
    "other shapes": lambda m: {"first.weight": torch.ones(9), "last.bias": torch.ones(7)},
}


def test_what_holds_a_model_is_kept_and_what_holds_data_is_not(recording):
    model = Net()

    def save(_):
        for name, make in {**HOLD, **HOLD_NOT}.items():
            torch.save(make(model), f"{name}.pt")

    train(model, after=save)
    told = [Path(one["path"]).stem for one in recording.events("checkpoint")]
    assert told == list(HOLD)
    wheres = {
        model.name: autolog.get_artifact(autolog.last_run(), f"{model.name}/model.json").read_text()
        for model in recording.details().models
    }
    assert '"nets",\n  "net"' in wheres["nested"]


def test_files_by_path_and_by_handle_are_seen_and_memory_is_not(recording, tmp_path):
    model = Net()

    def save(_):
        state = model.state_dict()
        torch.save(state, tmp_path / "as_path.pt")
        torch.save(obj=state, f="by_keyword.pt")
        with open("by_handle.pt", "wb") as file:
            torch.save(state, file)
        with tempfile.NamedTemporaryFile(dir=tmp_path, prefix="atomic", delete=False) as file:
            torch.save(state, file)
        Path(file.name).replace("moved.pt")
        torch.save(state, io.BytesIO())

    train(model, after=save)
    end()
    told = [Path(one["path"]).name for one in recording.events("checkpoint")]
    assert told[:3] == ["as_path.pt", "by_keyword.pt", "by_handle.pt"]
    assert len(told) == 4
    assert told[3].startswith("atomic")
    assert kept("by_handle") == Path("by_handle.pt").read_bytes()


def test_two_models_of_one_loop_are_kept_apart(recording):
    one, two = Net(), torch.nn.Linear(2, 2)
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (one, two)]
    for epoch in range(2):
        two(one(torch.ones(8, 4))).mean().backward()
        for optimizer in optimizers:
            optimizer.step()
        torch.save(one.state_dict(), f"netG_{epoch}.pt")
        torch.save(two.state_dict(), f"netD_{epoch}.pt")
    end()
    assert names(recording) == ["netD", "netG"]
    assert kept("netG") == Path("netG_1.pt").read_bytes()
    classes = {model.name: model.manifest["class"] for model in recording.details().models}
    assert classes["netG"].endswith("Net")
    assert classes["netD"].endswith("Linear")
    with pytest.raises(autolog.errors.NotFoundError, match="netD, netG"):
        autolog.load_model(autolog.last_run())


def test_what_safetensors_writes_is_kept(recording):
    model = Net()
    train(model, after=lambda _: safetensors.torch.save_file(model.state_dict(), "w.safetensors"))
    loaded = autolog.load_model(autolog.last_run())
    assert {k: v.tolist() for k, v in loaded.items()} == {
        k: v.tolist() for k, v in model.state_dict().items()
    }
    assert [model.format for model in recording.details().models] == ["torch-safetensors"]


def test_equal_files_are_stored_once(recording):
    model = Net()

    def save(_):
        torch.save({"w": model.state_dict()}, "one.pt")
        Path("two").mkdir()
        torch.save({"w": model.state_dict()}, "two/one.pt")

    train(model, after=save)
    end()
    files = [one for one in recording.details().artifacts if one.path.endswith(".pt")]
    assert [one.path for one in files] == ["one-2/checkpoint.pt", "one/checkpoint.pt"]
    assert files[0].uri == files[1].uri


def test_a_file_above_the_limit_is_linked_and_read_as_replaced_once_it_changed(
    recording,
):
    autolog.autolog("torch", max_model_mb=0.001)
    model = torch.nn.Linear(40, 40)
    data = torch.ones(2, 40)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(data).mean().backward()
    optimizer.step()
    torch.save(model.state_dict(), "large.pt.tmp")
    Path("large.pt.tmp").replace("large.pt")
    end()
    (file,) = [one for one in recording.details().artifacts if one.path != "model.txt"]
    assert file.uri.startswith(Path("large.pt").absolute().as_uri())
    assert file.size == Path("large.pt").stat().st_size
    assert len(file.sha256) == 64
    assert [one["key"] for one in recording.events("notice")] == ["checkpoint_linked"]
    run = autolog.last_run()
    copied = autolog.get_artifact(run, "large/checkpoint.pt")
    assert copied.read_bytes() == Path("large.pt").read_bytes()
    assert "linked" in show(run)
    torch.save(model.state_dict(), "large.pt")
    assert "replaced" in show(run)
    with pytest.raises(autolog.errors.StoreError, match="another file now"):
        autolog.get_artifact(run, "large/checkpoint.pt")
    Path("large.pt").unlink()
    assert "gone" in show(run)


def test_where_no_model_is_wanted_a_checkpoint_is_told_and_not_copied(recording):
    autolog.autolog("torch", log_models="never")
    model = Net()
    train(model, after=lambda _: torch.save(model.state_dict(), "w.pt"))
    end()
    assert [one["kind"] for one in recording.events("checkpoint")] == ["not stored"]
    assert recording.details().models == []
    assert [one.path for one in recording.details().artifacts] == ["model.txt"]


def test_a_save_that_fails_raises_what_it_would_and_leaves_nothing(recording):
    model = Net()
    train(model)
    with pytest.raises(RuntimeError, match="Parent directory"):
        torch.save(model.state_dict(), "no/folder/w.pt")
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        torch.save({"model": model.state_dict(), "f": lambda: 0}, "bad.pt")
    assert recording.events("checkpoint") == []


def test_a_store_that_cannot_be_written_does_not_disturb_the_save(recording):
    model = Net()
    train(model)
    waiting = recording.folder / "artifacts" / "tmp" / "checkpoints"
    waiting.parent.mkdir(exist_ok=True)
    waiting.write_text("in the way")
    torch.save(model.state_dict(), "w.pt")
    assert same(torch.load("w.pt"), model.state_dict())
    assert any("checkpoint" in text for text in recording.details().run.logging_errors)
    waiting.unlink()


@pytest.mark.edge_case("EC-D9")
def test_saved_bytes_are_the_same_with_autolog_and_without(recording):
    model = Net()
    optimizer = train(model)
    whole = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "module": model}
    torch.save(whole, "whole.pt")
    watched = Path("whole.pt").read_bytes()
    autolog.disable()
    torch.save(whole, "whole.pt")
    assert watched == Path("whole.pt").read_bytes()


def test_a_model_saved_before_any_step_is_no_checkpoint(recording):
    model = Net()
    torch.save(model.state_dict(), "initial.pt")
    train(model)
    end()
    assert recording.events("checkpoint") == []


@pytest.mark.edge_case("EC-R6")
def test_the_checkpoints_of_a_killed_process_are_there(recording, program):
    done = program(
        """
import os, signal, torch, autolog
autolog.autolog("torch")
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(3):
    model(torch.ones(3, 4)).mean().backward()
    optimizer.step()
    autolog.log_metric("val/loss", [0.1, 0.3, 0.2][epoch])
    torch.save(model.state_dict(), f"w{epoch}.pt")
os.kill(os.getpid(), signal.SIGKILL)
""",
        check=False,
    )
    assert done.code == -9
    run = autolog.search_runs()[0]
    assert run.status == "KILLED"
    assert names(recording) == ["w", "w-best"]
    work = recording.folder.parent / "work"
    for name, file in {"w": "w2.pt", "w-best": "w0.pt"}.items():
        assert same(autolog.load_model(run, name), torch.load(work / file))
    (spare,) = leftovers(recording)  # that the next one would be written over; `gc` takes it
    assert not (spare.parent / ".note.json").exists()
