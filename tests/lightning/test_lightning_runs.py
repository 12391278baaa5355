"""Which run a fit or an evaluation belongs to, and how it ends."""

from __future__ import annotations

import gc
import pickle
import weakref

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Callback,
    LearningRateFinder,
    ModelCheckpoint,
)
from lightning.pytorch.tuner import Tuner

import autolog
from autolog_lightning import AutologLogger
from tests.lightning.models import Net, history, loader, trainer


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog("lightning")


# --- going on ----------------------------------------------------------------------------------


@pytest.mark.edge_case("EC-N2")
def test_a_second_fit_of_the_same_trainer_has_a_run_of_its_own_and_leaves_nothing(
    recording, tmp_path
):
    callbacks, module = [Callback()], Net()
    fitting = trainer(tmp_path, callbacks=callbacks)
    before = (list(fitting.callbacks), list(fitting.loggers), set(vars(fitting)))
    fitting.fit(module, loader())
    fitting.fit_loop.max_epochs = 3
    fitting.fit(module, loader())
    assert (list(fitting.callbacks), list(fitting.loggers), set(vars(fitting))) == before
    assert len(callbacks) == 1
    first, second = recording.runs()
    assert history(first, "train_loss_step").step.tolist() == list(range(8))
    assert history(second, "train_loss_step").step.tolist() == list(range(8, 12))
    assert second.tags["resumed_from"] == first.run_id
    assert "resumed_from" not in first.tags


@pytest.mark.edge_case("EC-L7")
def test_a_fit_from_a_checkpoint_continues_its_steps_and_names_the_run_that_wrote_it(
    recording, tmp_path, program
):
    saving = ModelCheckpoint(tmp_path, filename="last")
    trainer(tmp_path, callbacks=[saving], enable_checkpointing=True).fit(Net(), loader())
    trainer(tmp_path, max_epochs=3).fit(Net(), loader(), ckpt_path=tmp_path / "last.ckpt")
    first, second = recording.runs()
    assert history(second, "train_loss_step").step.tolist() == list(range(8, 12))
    assert history(second, "train_loss_step").epoch.tolist() == [2] * 4
    assert second.tags["resumed_from"] == first.run_id
    elsewhere = program(
        "from autolog.tracking import lineage, recorder\n"
        f"path = {str(tmp_path / 'last.ckpt')!r}\n"
        "print(lineage.find(recorder.current_recorder().location, path).run_id)\n"
    )
    assert elsewhere.out.strip() == first.run_id
    (tmp_path / "last.ckpt").write_bytes(b"another file")
    with pytest.raises((IndexError, EOFError, RuntimeError, pickle.UnpicklingError)):
        trainer(tmp_path, max_epochs=3).fit(Net(), loader(), ckpt_path=tmp_path / "last.ckpt")
    third = recording.runs()[-1]
    assert third.status == "FAILED"
    assert "resumed_from" not in third.tags


def test_in_a_run_of_the_users_the_first_fit_joins_and_a_second_one_continues(recording, tmp_path):
    module = Net()
    with autolog.start_run("mine"):
        trainer(tmp_path, max_epochs=1).fit(module, loader())
        trainer(tmp_path, max_epochs=1).fit(module, loader())
    run = recording.run()
    assert (run.name, run.status) == ("mine", "FINISHED")
    assert run.params["trainer.max_epochs"] == run.params["fit.2.trainer.max_epochs"] == 1
    assert len(history(run, "train_loss_step").value) == 8


# --- evaluations -------------------------------------------------------------------------------


@pytest.mark.edge_case("EC-L8")
def test_evaluations_of_a_trained_module_belong_to_its_run(recording, tmp_path):
    module = Net()
    trainer(tmp_path).fit(module, loader(), loader())
    other = trainer(tmp_path)
    (tested,) = other.test(module, loader(), verbose=False)
    (validated,) = other.validate(module, loader(), verbose=False)
    other.predict(module, loader())
    run = recording.run()
    assert run.metrics["test_loss"] == tested["test_loss"]
    values = autolog.metric_history(run.run_id, "val_loss", context={"phase": "post"}).value
    assert values.tolist() == [validated["val_loss"]]
    assert len(history(run, "val_loss").value) == 3
    assert (run.metrics["test_batches"], run.metrics["predict_batches"]) == (4, 4)


@pytest.mark.edge_case("EC-L8")
@pytest.mark.parametrize("name", ["validate", "test", "predict"])
def test_an_evaluation_of_a_module_from_elsewhere_has_one_run_of_kind_eval(
    recording, tmp_path, name
):
    quiet = {} if name == "predict" else {"verbose": False}
    getattr(trainer(tmp_path), name)(Net(), loader(), **quiet)
    run = recording.run()
    assert (run.kind, run.status) == ("eval", "FINISHED")
    assert run.metrics[f"{name}_batches"] == 4
    key = {"validate": "val_loss", "test": "test_loss", "predict": "predict_seconds"}[name]
    assert run.metrics[key] > 0


def test_a_module_from_a_checkpoint_is_evaluated_in_the_run_that_wrote_it(recording, tmp_path):
    fitting = trainer(tmp_path, max_epochs=1)
    fitting.fit(Net(), loader())
    fitting.save_checkpoint(tmp_path / "mine.ckpt")
    module = Net.load_from_checkpoint(tmp_path / "mine.ckpt")
    trainer(tmp_path).test(module, loader(), verbose=False)
    trainer(tmp_path).test(Net(), loader(), ckpt_path=tmp_path / "mine.ckpt", verbose=False)
    run = recording.run()
    assert len(history(run, "test_loss").value) == 2


def test_a_checkpoint_of_another_process_links_the_evaluation_to_its_run(
    recording, tmp_path, program
):
    path = tmp_path / "theirs.ckpt"
    program(
        "import warnings, autolog\n"
        "warnings.simplefilter('ignore')\n"
        "autolog.autolog('lightning')\n"
        "from autolog_lightning.example import TinyModule, data, trainer\n"
        "fitting = trainer()\n"
        "fitting.fit(TinyModule(), data())\n"
        f"fitting.save_checkpoint({str(path)!r})\n",
        "-W",
        "ignore",
        PYTHONWARNINGS="ignore",
    )
    from autolog_lightning.example import TinyModule, data

    module = TinyModule.load_from_checkpoint(path)
    trainer(tmp_path).predict(module, data())
    trainer(tmp_path, max_epochs=3).fit(TinyModule(), data(), ckpt_path=path)
    trained, evaluated, resumed = recording.runs()
    assert evaluated.tags["evaluates"] == resumed.tags["resumed_from"] == trained.run_id


# --- the end -----------------------------------------------------------------------------------


class Raises(Callback):
    def __init__(self, exception, at=5):
        self.exception, self.at = exception, at

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.at:
            raise self.exception


def test_a_fit_that_raises_failed_and_has_what_was_logged_until_then(recording, tmp_path):
    error = ValueError("not a number of mine")
    with pytest.raises(ValueError, match="of mine") as caught:
        trainer(tmp_path, callbacks=[Raises(error)]).fit(Net(), loader())
    assert caught.value is error
    run = recording.run()
    assert run.status == "FAILED"
    assert history(run, "train_loss_step").step.tolist() == [0, 1, 2, 3]
    assert history(run, "lr").step.tolist() == [0, 1, 2, 3, 4]
    assert recording.details().models == []


@pytest.mark.parametrize("users", [True, False])
def test_an_interrupted_fit_was_killed(recording, tmp_path, users):
    stop = Raises(KeyboardInterrupt())
    with autolog.start_run() if users else pytest.raises(SystemExit) as run:
        if users:
            with pytest.raises(SystemExit):
                trainer(tmp_path, callbacks=[stop]).fit(Net(), loader())
        else:
            trainer(tmp_path, callbacks=[stop]).fit(Net(), loader())
    if users:
        (event,) = recording.events("training_failed")
        assert event["status"] == "KILLED"
        assert recording.run().run_id == run.run_id
    else:
        assert recording.run().status == "KILLED"


def test_nothing_keeps_the_trainer_or_the_module_alive(recording, tmp_path):
    fitting, module = trainer(tmp_path), Net()
    fitting.fit(module, loader())
    fitting.test(module, loader(), verbose=False)
    references = [weakref.ref(fitting), weakref.ref(module)]
    del fitting, module
    gc.collect()
    assert [one() for one in references] == [None, None]


# --- tuning ------------------------------------------------------------------------------------


def test_trials_of_the_tuner_are_a_preparation_of_the_training_and_no_runs(recording, tmp_path):
    fitting, module = trainer(tmp_path, max_epochs=6), Net()
    tuner = Tuner(fitting)
    found = tuner.lr_find(module, loader(), num_training=20, early_stop_threshold=None)
    assert recording.runs() == []
    fitting.fit(module, loader())
    run = recording.run()
    (event,) = recording.events("preparation")
    assert event["method"] == "lr_find"
    assert event["suggestion"] == found.results["lr"][found._optimal_idx]
    assert history(run, "train_loss_step").step.tolist() == list(range(24))


class Sized(Net):
    def __init__(self):
        super().__init__()
        self.batch_size = 2

    def train_dataloader(self):
        return loader(self.batch_size)

    val_dataloader = train_dataloader


def test_callbacks_that_try_things_out_add_no_values(recording, tmp_path):
    callbacks = [
        LearningRateFinder(num_training_steps=20, early_stop_threshold=None),
        BatchSizeFinder(max_trials=1),
    ]
    module = Sized()
    trainer(tmp_path, max_epochs=1, callbacks=callbacks).fit(module)
    run = recording.run()
    steps = 16 // module.batch_size
    assert history(run, "train_loss_step").step.tolist() == list(range(steps))
    assert history(run, "lr").step.tolist() == list(range(steps))


# --- a logger of ours --------------------------------------------------------------------------


def test_a_logger_that_the_user_passes_logs_everything_once(recording, tmp_path):
    logger = AutologLogger()
    fitting = trainer(tmp_path, logger=logger, max_epochs=1)
    fitting.fit(Net(), loader(), loader())
    fitting.test(Net(), loader(), verbose=False)
    trained, tested = recording.runs()
    for key in ("train_loss_step", "lr"):
        assert history(trained, key).step.tolist() == [0, 1, 2, 3]
        assert history(trained, key).epoch.tolist() == [0] * 4
    assert history(trained, "val_loss").step.tolist() == [3]
    assert "epoch" not in trained.metrics
    assert tested.kind == "eval"
    assert tested.metrics["test_loss"] > 0
    assert isinstance(logger, pl.loggers.Logger)
    assert pickle.loads(pickle.dumps(logger))._autolog_recording is None


def test_the_logger_works_without_autologging(recording, tmp_path):
    autolog.disable()
    logger = AutologLogger("by hand", tags={"a": "b"})
    trainer(tmp_path, logger=logger, max_epochs=1).fit(Net(hidden=7), loader())
    run = recording.run()
    assert (run.name, run.status, run.tags["a"]) == ("by hand", "FINISHED", "b")
    assert run.params["hidden"] == 7
    assert history(run, "train_loss_step").step.tolist() == [0, 1, 2, 3]
    assert history(run, "train_loss_step").epoch.tolist() == [0] * 4


# --- Fabric ------------------------------------------------------------------------------------


def test_values_that_fabric_logs_go_to_the_open_run(recording):
    fabric = pl.fabric_module = __import__("lightning.fabric", fromlist=["Fabric"]).Fabric(
        accelerator="cpu", devices=1
    )
    with autolog.start_run() as run:
        for step in range(3):
            fabric.log("loss", torch.tensor(1.0 / (step + 1)), step=step)
        fabric.log_dict({"a": 1, "b": 2.0}, step=3)
    assert history(run, "loss").step.tolist() == [0, 1, 2]
    assert (recording.run().metrics["a"], recording.run().metrics["b"]) == (1, 2)
