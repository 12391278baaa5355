"""Trains something tiny with each framework in one process: `everything.py ORDER COUNT`.

The frameworks are imported and used in the order given, and autolog is switched on when COUNT of
them have been imported. Prints as JSON the runs that each training has made, and what became of
sites.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import warnings
from typing import Any

import numpy as np

import autolog

rows = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
sums = rows.sum(axis=1, keepdims=True)
classes = (sums[:, 0] > 0).astype(int)


def loader(torch: Any) -> Any:
    data = torch.utils.data.TensorDataset(torch.from_numpy(rows), torch.from_numpy(sums))
    return torch.utils.data.DataLoader(data, batch_size=8)


def train_torch(torch: Any) -> None:
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader(torch):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    autolog.end_run()


def train_lightning(lightning: Any) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch, pl = importlib.import_module("torch"), lightning.pytorch

    class Net(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    off = ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger")
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, log_every_n_steps=1, **dict.fromkeys(off, False)
    )
    trainer.fit(Net(), loader(torch))


def net(keras: Any) -> Any:
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])


def train_tensorflow(tf: Any) -> None:
    model, optimizer = net(tf.keras), tf.keras.optimizers.SGD(0.1)
    for x, y in tf.data.Dataset.from_tensor_slices((rows, sums)).batch(8):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - y))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    autolog.end_run()


def train_keras(keras: Any) -> None:
    model = net(keras)
    model.compile("sgd", "mse")
    model.fit(rows, sums, batch_size=8, verbose=0)


def train_lightgbm(lightgbm: Any) -> None:
    data = lightgbm.Dataset(rows, label=classes)
    told = {"objective": "binary", "verbosity": -1, "min_data_in_leaf": 2, "num_threads": 1}
    lightgbm.train(told, data, 4, valid_sets=[data], valid_names=["train"])


def train_xgboost(xgboost: Any) -> None:
    model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1)
    model.fit(rows, classes, eval_set=[(rows, classes)], verbose=False)


def train_sklearn(sklearn: Any) -> None:
    del sklearn
    ensemble = importlib.import_module("sklearn.ensemble")
    ensemble.GradientBoostingClassifier(n_estimators=4).fit(rows, classes)


def main(order: list[str], count: int) -> None:
    warnings.simplefilter("ignore")  # what they warn of one another is not what this is about
    frameworks = {name: importlib.import_module(name) for name in order[:count]}
    autolog.autolog()
    frameworks |= {name: importlib.import_module(name) for name in order[count:]}
    made: dict[str, list[str]] = {}
    known: set[str] = set()
    for name in order:
        globals()[f"train_{name}"](frameworks[name])
        made[name] = [run.run_id for run in autolog.search_runs() if run.run_id not in known]
        known.update(made[name])
    sites = [one for one in autolog.status().sites if one.integration in order]
    lost = [str(one) for one in sites if one.state in ("missing", "faulted", "replaced")]
    lost += [str(one) for one in sites if one.faults]
    applied = sorted({one.integration for one in sites if one.state == "applied"})
    autolog.disable()
    left = len(autolog.status().sites)
    print(json.dumps({"made": made, "lost": lost, "applied": applied, "left": left}))


if __name__ == "__main__":
    main(sys.argv[1].split(","), int(sys.argv[2]))
