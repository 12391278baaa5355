"""A Keras program computes, draws, prints and leaves behind the same bits with autolog on."""

from __future__ import annotations

import copy
import inspect
import pickle
import traceback
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import autolog
from tests.keras.twice import bits, twice

ROWS = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
SUMS = ROWS.sum(axis=1, keepdims=True)


def functional(keras: Any) -> Any:
    """Two inputs and two outputs."""
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    both = keras.layers.Concatenate()([left, right])
    hidden = keras.layers.Dense(3, activation="tanh")(both)
    outputs = [
        keras.layers.Dense(1, name="total")(hidden),
        keras.layers.Dense(1, name="half")(hidden),
    ]
    model = keras.Model([left, right], outputs)
    model.compile("adam", loss=["mse", "mae"], metrics=[["mae"], ["mse"]])
    return model


def sequential(keras: Any) -> Any:
    layers = keras.layers
    parts = [layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *parts])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def own(keras: Any, backend: str, calls: Counter[str]) -> Any:
    """A model with a step of its own, which counts how often Python comes along."""

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.drop = keras.layers.Dropout(0.3)
            self.line = keras.layers.Dense(1)

        def call(self, x: Any, training: bool = False) -> Any:
            calls["call"] += 1
            return self.line(self.drop(x, training=training))

        def train_step(self, *args: Any) -> Any:
            calls["train_step"] += 1
            if backend == "jax":
                return super().train_step(*args)
            x, y = args[0]
            if backend == "torch":
                self.zero_grad()
                loss = ((self(x, training=True) - y) ** 2).mean()
                loss.backward()
                with import_module("torch").no_grad():
                    trained = self.trainable_variables
                    self.optimizer.apply([one.value.grad for one in trained], trained)
                return {"loss": loss.detach()}
            tf = import_module("tensorflow")
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    model = Own()
    model.compile("adam", "mse")
    return model


def looking(keras: Any, seen: list[Any]) -> Any:
    """A callback of the user's, which sees what a callback can see."""

    class Looks(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            seen.append(("begin", sorted(self.params), sorted(vars(self.model))))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(("batch", batch, type(logs).__name__, sorted(logs)))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["seen"] = 1.0  # History keeps it
            seen.append(("epoch", epoch, dict(logs), sorted(vars(self.model))))

    return Looks()


@pytest.mark.edge_case("EC-D9", "EC-D10", "EC-N3", "EC-K2")
def test_a_functional_model_with_callbacks_and_validation(recording, keras):
    def train():
        seen: list[Any] = []
        model = functional(keras)
        stopping = keras.callbacks.EarlyStopping("loss", patience=0, restore_best_weights=True)
        callbacks = [looking(keras, seen), stopping]
        before = list(callbacks)
        for _ in range(2):  # the same list again
            model.fit(
                [ROWS, ROWS[::-1]],
                [SUMS, SUMS / 2],
                batch_size=5,
                epochs=3,
                callbacks=callbacks,
                validation_data=([ROWS, ROWS], [SUMS, SUMS]),
                class_weight=None,
                verbose=2,
            )
        assert all(one is other for one, other in zip(callbacks, before, strict=True))
        kept = [sorted(vars(one)) for one in callbacks]
        return model, {"seen": seen, "callbacks": kept, "stopped": stopping.stopped_epoch}

    twice(keras, train)
    assert [run.status for run in recording.runs()] == ["FINISHED", "FINISHED"]


@pytest.mark.edge_case("EC-D10")
def test_dropout_and_batch_normalization_on_lazy_batches(recording, keras, backend):
    def batches() -> Any:
        if backend == "tensorflow":
            data = import_module("tensorflow").data.Dataset.from_tensor_slices((ROWS, SUMS))
            return data.shuffle(16).batch(4)
        if backend == "torch":
            loading, torch = import_module("torch.utils.data"), import_module("torch")
            data = loading.TensorDataset(torch.from_numpy(ROWS), torch.from_numpy(SUMS))
            return loading.DataLoader(data, batch_size=4, shuffle=True)
        return None

    def train():
        model, data = sequential(keras), batches()
        if data is None:
            model.fit(ROWS, SUMS, batch_size=4, epochs=2, validation_split=0.25, verbose=0)
        else:
            model.fit(data, epochs=2, validation_data=data, verbose=0)
        given = ROWS if data is None else data
        measured = model.evaluate(given, SUMS if data is None else None, verbose=0)
        predicted = model.predict(ROWS, verbose=0).tolist()
        copied = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
        others = {
            "measured": measured,
            "predicted": predicted,
            "config": model.get_config(),
            "copies": [[sorted(vars(one)), bits(one.variables)] for one in copied],
        }
        return model, others

    twice(keras, train)
    assert recording.run().status == "FINISHED"


@pytest.mark.edge_case("EC-D2")
def test_a_step_of_ones_own_on_a_generator(recording, keras, backend):
    def train():
        calls: Counter[str] = Counter()
        drawn: list[int] = []

        def endless() -> Iterator[Any]:
            while True:
                for start in (4, 8, 12, 0):
                    drawn.append(start)
                    yield ROWS[start : start + 4], SUMS[start : start + 4]

        model = own(keras, backend, calls)
        model.fit(endless(), steps_per_epoch=3, epochs=2, verbose=0)
        drawn.clear()
        model.fit(endless(), steps_per_epoch=3, epochs=1, verbose=0)
        others: dict[str, Any] = {"calls": dict(calls), "drawn": len(drawn)}
        if backend == "tensorflow":  # tf.data reads ahead as far as time allows
            assert others.pop("drawn") >= 3
        traced = getattr(model.train_function, "experimental_get_tracing_count", None)
        others["traced"] = traced and traced()
        return model, others

    twice(keras, train)
    assert {run.status for run in recording.runs()} == {"FINISHED"}


@pytest.mark.edge_case("EC-D3")
def test_a_data_set_that_counts(recording, keras):
    base = getattr(keras.utils, "PyDataset", None) or keras.utils.Sequence

    class Counting(base):
        def __init__(self) -> None:
            if base is not getattr(keras.utils, "Sequence", None):
                super().__init__()
            self.calls: Counter[Any] = Counter()

        def __len__(self) -> int:
            self.calls["len"] += 1
            return 4

        def __getitem__(self, index: Any) -> Any:
            self.calls[type(index).__name__, int(index)] += 1
            return ROWS[index * 4 : index * 4 + 4], SUMS[index * 4 : index * 4 + 4]

        def on_epoch_end(self) -> None:
            self.calls["epoch"] += 1

    def train():
        data, held_out = Counting(), Counting()
        model = sequential(keras)
        model.fit(data, epochs=2, validation_data=held_out, shuffle=False, verbose=0)
        items = {key: count for key, count in data.calls.items() if key != "len"}
        return model, {"calls": items, "held out": dict(held_out.calls), "len": data.calls["len"]}

    twice(keras, train)
    assert recording.run().status == "FINISHED"


def test_batches_by_hand(recording, keras):
    def train():
        model = sequential(keras)
        logs = [
            model.train_on_batch(ROWS[start : start + 4], SUMS[start : start + 4])
            for start in (0, 4, 8, 0)
        ]
        logs.append(model.test_on_batch(ROWS, SUMS))
        model.fit(ROWS, SUMS, verbose=0)
        return model, {"logs": [[float(one) for one in log] for log in logs]}

    twice(keras, train)


FAILURES = ("call", "callback", "arguments")


@pytest.mark.edge_case("EC-R2")
@pytest.mark.parametrize("where", FAILURES)
def test_what_raises_raises_the_same(recording, keras, where):
    class Raises(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            raise LookupError("the user's own")

    class Stops(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise SystemExit(3)

    def fail() -> Any:
        keras.backend.clear_session()
        model = sequential(keras)
        if where == "call":
            model = keras.Sequential([Raises()])
            model.compile("sgd", "mse")
        callbacks = [Stops()] if where == "callback" else []
        unknown = {"unknown": 1} if where == "arguments" else {}
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            model.fit(ROWS, SUMS, callbacks=callbacks, verbose=0, **unknown)
        frames = traceback.extract_tb(caught.value.__traceback__)
        chain = [type(one) for one in (caught.value.__cause__, caught.value.__context__)]
        return (
            caught.type,
            str(caught.value),
            chain,
            [(one.filename, one.name) for one in frames if "autolog engine" not in one.filename],
        )

    plain = fail()
    autolog.autolog()
    assert fail() == plain
    assert recording.run().status == "FAILED"
    assert autolog.active_run() is None


@pytest.mark.edge_case("EC-R3")
def test_ctrl_c_ends_a_fit_as_ever(recording, keras):
    class Interrupts(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.optimizer.iterations == 6:
                raise KeyboardInterrupt

    autolog.autolog()
    model = sequential(keras)
    with pytest.raises(KeyboardInterrupt):
        model.fit(ROWS, SUMS, batch_size=4, epochs=3, callbacks=[Interrupts()], verbose=0)
    run = recording.run()
    assert run.status == "KILLED"
    assert len(autolog.metric_history(run.run_id, "loss").value) == 1
    assert autolog.active_run() is None


METHODS = ("fit", "evaluate", "predict")


@pytest.mark.edge_case("EC-N7")
def test_methods_describe_themselves_as_before(recording, keras):
    def described() -> list[Any]:
        found = []
        for name in METHODS:
            method = getattr(keras.Model, name)
            found.append([str(inspect.signature(method)), inspect.getsource(method)])
            names = ("__name__", "__doc__", "__module__", "__qualname__")
            found[-1] += [getattr(method, name) for name in names]
        return found

    before = described()
    autolog.autolog("keras")
    assert described() == before
