"""A program that trains with Lightning does, prints and writes the same with autolog on."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import logging
import pickle
import random
import warnings

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

import autolog
from tests.lightning.models import Net, loader, trainer


class Looks(Callback):
    """What a callback can see of the trainer while it trains."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self._look(trainer, pl_module)

    def on_validation_end(self, trainer, pl_module):
        self._look(trainer, pl_module)

    def _look(self, trainer, pl_module):
        logger = trainer.logger
        self.seen.append(
            (
                [type(one).__name__ for one in trainer.callbacks],
                [type(one).__name__ for one in trainer.loggers],
                (logger and logger.name, pl_module.logger is logger, trainer.log_dir is None),
                sorted(vars(trainer)),
                sorted(vars(pl_module)),
                {key: float(value) for key, value in sorted(trainer.logged_metrics.items())},
                {key: float(value) for key, value in sorted(trainer.callback_metrics.items())},
                sorted(vars(trainer.optimizers[0])),
                len(pickle.dumps(trainer.optimizers[0].state_dict())),
            )
        )


@contextlib.contextmanager
def listening():
    """Gather what Lightning says through `logging`."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append((record.levelname, record.getMessage()))
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    for one in loggers:
        one.addHandler(handler)
    try:
        yield said
    finally:
        for one in loggers:
            one.removeHandler(handler)


def train(root, **options):
    """Train, test and look at everything that is left."""
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    looks = Looks()
    callbacks = [looks, *options.pop("callbacks", list)()]
    logger = options.pop("logger", lambda _: False)(root)
    module = Net()
    out = io.StringIO()
    root.mkdir()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        warnings.catch_warnings(record=True) as warned,
        listening() as said,
    ):
        warnings.simplefilter("always")
        fitting = trainer(root, callbacks=callbacks, logger=logger, **options)
        before = list(fitting.callbacks), list(fitting.loggers), sorted(vars(fitting))
        fitting.fit(module, loader(), loader())
        results = fitting.test(module, loader()), fitting.predict(module, loader())
        assert (list(fitting.callbacks), list(fitting.loggers)) == before[:2]
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return {
        "weights": {key: value.tolist() for key, value in module.state_dict().items()},
        "results": pickle.dumps([results[0], [one.tolist() for one in results[1]]]),
        "states": (random.getstate(), np.random.get_state()[1].tolist()),
        "torch": torch.random.get_rng_state().tolist(),
        "seen": looks.seen,
        "warned": [(str(one.message).replace(str(root), ""), one.category) for one in warned],
        "said": [(level, text.replace(str(root), "")) for level, text in said],
        "files": [name for name in files if "tfevents" not in name],
        "attributes": (sorted(vars(fitting)), sorted(vars(module))),
        "copied": len(pickle.dumps(copy.deepcopy(module))),
        "out": [line for line in out.getvalue().splitlines() if "it/s" not in line],
    }


CASES = {
    "without a logger": {},
    "with CSVLogger and a monitor of rates": {
        "logger": CSVLogger,
        "callbacks": lambda: [LearningRateMonitor(), ModelCheckpoint(monitor="val_loss")],
        "enable_checkpointing": True,
    },
    "with TensorBoard": {"logger": TensorBoardLogger, "enable_checkpointing": True},
    "with Lightning's own choices": {
        "logger": lambda _: True,
        "enable_checkpointing": None,
        "enable_progress_bar": True,
        "enable_model_summary": True,
    },
    "with clipped and accumulated gradients": {
        "gradient_clip_val": 0.1,
        "accumulate_grad_batches": 3,
        "callbacks": lambda: [RichProgressBar()],
        "enable_progress_bar": True,
    },
    "with bfloat16": {"precision": "bf16-mixed"},
}


@pytest.mark.parametrize("case", CASES)
def test_a_program_computes_prints_and_writes_the_same(recording, tmp_path, case):
    train(tmp_path / "warm", **CASES[case])  # Lightning says some things once in a process
    plain = train(tmp_path / "plain", **CASES[case])
    autolog.autolog("lightning")
    watched = train(tmp_path / "watched", **CASES[case])
    for key, value in plain.items():
        assert watched[key] == value, key
    assert recording.run().status == "FINISHED"


def test_a_monitor_of_rates_refuses_a_trainer_without_a_logger_as_ever(recording, tmp_path):
    autolog.autolog("lightning")
    with pytest.raises(Exception, match="Cannot use `LearningRateMonitor` callback with `Trainer`"):
        trainer(tmp_path, callbacks=[LearningRateMonitor()]).fit(Net(), loader())
    assert recording.run().status == "FAILED"


def test_the_trainers_methods_are_what_they_were_after_disable(recording, tmp_path):
    before = {name: vars(pl.Trainer)[name] for name in ("fit", "test", "_run_stage")}
    autolog.autolog("lightning")
    trainer(tmp_path).fit(Net(), loader())
    autolog.disable()
    assert {name: vars(pl.Trainer)[name] for name in before} == before
    assert not importlib.import_module("torch.optim.optimizer")._global_optimizer_post_hooks
