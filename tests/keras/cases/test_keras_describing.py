"""What is told of a fit, its data and its model before they train: read, and nothing set off."""

from __future__ import annotations

import json
import random
from importlib import import_module

import numpy as np
import pytest

from autolog.tracking.datasets import describe
from autolog_keras import architecture, arguments, callbacks, compiled, data
from tests.keras.cases.models import ROWS, TARGETS, line

DEFAULTS = {
    "epochs": 1,
    "batch_size": None,
    "shuffle": True,
    "validation_split": 0.0,
    "validation_freq": 1,
    "initial_epoch": 0,
    "steps_per_epoch": None,
    "class_weight": None,
    "verbose": "auto",
    "callbacks": None,
}


# -- the arguments ---------------------------------------------------------------------------


@pytest.mark.edge_case("EC-K4")
def test_arguments_are_recorded_as_they_are_and_defaults_where_they_matter():
    bound = {"x": ROWS, "y": TARGETS, "batch_size": 8, "epochs": 3, "verbose": 0, "workers": 2}
    assert arguments.fit_params(bound, DEFAULTS) == {
        "epochs": 3,
        "batch_size": 8,
        "shuffle": True,
        "validation_split": 0.0,
        "validation_freq": 1,
        "initial_epoch": 0,
        "steps_per_epoch": None,
        "class_weight": None,
        "workers": 2,
        "sample_weight": False,
        "validation_data": False,
    }


@pytest.mark.edge_case("EC-V1")
def test_class_weights_are_recorded_whole_and_data_is_not(keras):
    weights = {at: float(at) for at in range(5000)}
    bound = {
        "x": ROWS,
        "class_weight": weights,
        "sample_weight": ROWS[:, 0],
        "validation_data": (ROWS, TARGETS),
        "callbacks": [keras.callbacks.TerminateOnNaN(), [keras.callbacks.Callback()]],
    }
    params = arguments.fit_params(bound, DEFAULTS)
    assert params["class_weight"] == weights
    assert params["sample_weight"] is params["validation_data"] is True
    assert params["callbacks"] == ["TerminateOnNaN", "Callback"]
    assert "x" not in params


# -- the size of a batch ---------------------------------------------------------------------


@pytest.mark.edge_case("EC-D4")
@pytest.mark.parametrize(
    ("bound", "size"),
    [
        ({"x": ROWS}, 32),
        ({"x": ROWS, "batch_size": 5}, 5),
        ({"x": [ROWS, ROWS], "y": TARGETS}, 32),
        ({"x": {"a": ROWS, "b": TARGETS}, "batch_size": 4}, 4),
        ({"x": ROWS.tolist()}, 32),
        ({"x": ROWS, "steps_per_epoch": 4}, 8),
        ({"x": ROWS, "steps_per_epoch": 4, "validation_split": 0.5}, 4),
        ({"x": (row for row in ROWS)}, None),
        ({"x": (row for row in ROWS), "batch_size": 4}, None),
        ({"x": object()}, None),
        ({"x": []}, None),
        ({}, None),
    ],
)
def test_the_size_of_a_batch_is_right_or_absent(bound, size):
    assert data.batch_size(bound) == size


@pytest.mark.edge_case("EC-D3")
def test_a_sequence_of_the_users_is_not_asked_for_anything(keras):
    class Touchy(keras.utils.Sequence):
        def __len__(self):
            raise AssertionError

        __iter__ = __getitem__ = __len__

    assert data.batch_size({"x": Touchy()}) is None
    (part,) = data.describe({"x": Touchy()})
    assert set(describe(part.data)) == {"class"}


def test_all_data_of_a_fit_is_given_with_its_role():
    bound = {"x": ROWS, "y": TARGETS, "validation_data": (ROWS, TARGETS, TARGETS)}
    roles = ["train", "train_target", "validation", "validation_target"]
    assert [part.role for part in data.describe(bound)] == roles
    whole = {"x": iter(()), "y": None, "validation_data": iter(())}
    assert [part.role for part in data.describe(whole)] == ["train", "validation"]


@pytest.mark.edge_case("EC-D5")
def test_tensors_have_the_fingerprint_of_the_array_that_they_hold(keras, backend):
    if backend == "torch":
        tensor = import_module("torch").tensor(ROWS)
    elif backend == "jax":
        tensor = import_module("jax.numpy").asarray(ROWS)
    else:
        tensor = import_module("tensorflow").constant(ROWS)
    told = describe(tensor)
    assert told["digest"] == describe(ROWS)["digest"]
    assert told["shape"] == [32, 4]
    assert told["dtype"].endswith("float32")
    assert data.batch_size({"x": tensor}) == 32


# -- what compile set up ---------------------------------------------------------------------


def test_the_optimizer_is_recorded_with_its_whole_configuration(keras):
    params = compiled.compile_params(line(keras, optimizer=keras.optimizers.Adam(0.1, beta_1=0.8)))
    assert params["optimizer"] == "Adam"
    assert params["optimizer.learning_rate"] == 0.1
    assert (params["optimizer.beta_1"], params["optimizer.beta_2"]) == (0.8, 0.999)
    assert params["optimizer.clipnorm"] is None
    assert "optimizer.name" not in params
    assert (params["loss"], params["metrics"]) == ("mse", ["mae"])
    assert (params["run_eagerly"], params["steps_per_execution"]) == (False, 1)
    assert params["dtype_policy"] == "float32"


def test_a_schedule_is_flat(keras):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.9)
    params = compiled.compile_params(line(keras, optimizer=keras.optimizers.SGD(schedule)))
    prefix = "optimizer.learning_rate"
    found = {key.removeprefix(prefix): params[key] for key in params if key.startswith(prefix)}
    assert found == {
        "": "ExponentialDecay",
        ".initial_learning_rate": 0.1,
        ".decay_steps": 100,
        ".decay_rate": 0.9,
        ".staircase": False,
    }


def test_the_optimizer_inside_of_a_loss_scale_is_the_optimizer(keras):
    scaling = keras.mixed_precision if keras.__name__ == "tf_keras" else keras.optimizers
    optimizer = scaling.LossScaleOptimizer(keras.optimizers.SGD(0.5))
    params = compiled.compile_params(line(keras, optimizer=optimizer))
    assert (params["optimizer"], params["optimizer.learning_rate"]) == ("SGD", 0.5)
    assert params["optimizer.loss_scale"].startswith("LossScaleOptimizer")
    assert params["optimizer.loss_scale.initial_scale"] == 32768.0


def test_losses_and_metrics_of_several_outputs_go_by_output(keras):
    entry = keras.layers.Input((4,))
    left = keras.layers.Dense(1, name="left")(entry)
    right = keras.layers.Dense(1, name="right")(entry)
    model = keras.Model(entry, [left, right])

    def own(true, predicted):
        return (true - predicted) ** 2

    model.compile(
        loss={"left": keras.losses.Huber(delta=2.0), "right": own},
        loss_weights={"left": 0.5, "right": 2},
        metrics={"left": ["mae", keras.metrics.RootMeanSquaredError(name="rmse")]},
    )
    params = compiled.compile_params(model)
    assert params["loss"] == {"left": "Huber", "right": "own"}
    assert params["loss.left.delta"] == 2.0
    assert params["loss_weights"] == {"left": 0.5, "right": 2}
    assert params["metrics"] == {"left": ["mae", "rmse"]}


@pytest.mark.edge_case("EC-K11")
def test_an_item_that_cannot_be_read_leaves_the_others(keras):
    class Silent(keras.optimizers.SGD):
        def get_config(self):
            raise NotImplementedError

    class Unnamed(keras.losses.Loss):
        def get_config(self):
            raise NotImplementedError

        def call(self, y_true, y_pred):
            return y_true - y_pred

    params = compiled.compile_params(line(keras, optimizer=Silent(0.5), loss=Unnamed()))
    assert params["optimizer"] == "Silent"
    assert params["optimizer.nesterov"] is False
    assert params["loss"] == "Unnamed"
    assert params["metrics"] == ["mae"]


def test_functions_of_the_user_are_named_and_not_called(keras, recwarn):
    optimizer = keras.optimizers.SGD(lambda: 0.25)
    params = compiled.compile_params(line(keras, optimizer=optimizer, loss=lambda a, b: a - b))
    # tf_keras itself calls it once, to make a variable
    assert params["optimizer.learning_rate"] in ("<lambda>", 0.25)
    assert params["loss"] == "<lambda>"
    assert not recwarn.list


def test_a_model_with_a_loop_of_its_own_has_its_own_optimizers(keras):
    class Adversarial(keras.Model):
        def compile(self, first, second):
            super().compile()
            self.first, self.second = first, second

    model = Adversarial()
    model.compile(keras.optimizers.Adam(0.1), keras.optimizers.SGD(0.2))
    params = compiled.compile_params(model)
    assert (params["first"], params["first.learning_rate"]) == ("Adam", 0.1)
    assert (params["second"], params["second.learning_rate"]) == ("SGD", 0.2)
    assert "optimizer" not in params  # which nobody chose


@pytest.mark.edge_case("EC-K10")
def test_package_backend_and_their_versions_are_recorded(keras, backend):
    params = compiled.compile_params(line(keras))
    assert (params["keras.package"], params["keras.backend"]) == (keras.__name__, backend)
    assert params["keras.version"] == keras.__version__
    assert params["keras.backend_version"] == import_module(backend).__version__


# -- the architecture ------------------------------------------------------------------------


def test_parameters_are_counted_and_the_table_is_that_of_keras(keras, capfd):
    frozen = keras.layers.Dense(2, trainable=False)
    model = keras.Sequential([keras.layers.Input((4,)), frozen, keras.layers.Dense(1)])
    assert architecture.is_built(model)
    assert architecture.size_params(model) == {
        "model": "Sequential",
        "model.layers": 2,
        "model.parameters": 13,
        "model.trainable_parameters": 3,
        "model.non_trainable_parameters": 10,
    }
    table = architecture.summary(model)
    assert "Trainable params: 3 (" in table
    assert "\x1b" not in table
    assert capfd.readouterr().out == ""


def test_the_configuration_makes_the_same_architecture(keras):
    model = line(keras, loss=lambda a, b: a - b)
    text = architecture.config_json(model)
    assert text is not None
    again = keras.models.model_from_json(text)
    assert [one.shape for one in again.weights] == [one.shape for one in model.weights]


def test_a_model_that_is_not_built_is_described_as_far_as_it_is_known(keras):
    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Dense(3)

        def call(self, inputs):
            return self.inner(inputs)

        def summary(self, **_):
            raise AssertionError("it may build anything")

        def get_config(self):
            raise NotImplementedError

    model = Mine()
    assert not architecture.is_built(model)
    assert architecture.size_params(model) == {"model": "Mine", "model.layers": 1}
    assert architecture.config_json(model) is None
    architecture.summary(model)
    model(ROWS)
    assert architecture.is_built(model)
    assert architecture.size_params(model)["model.parameters"] == 15
    assert "(Dense)" in architecture.summary(model)


def test_a_layer_with_a_lambda_leaves_the_configuration_out_without_a_warning(keras, recwarn):
    dense = keras.layers.Dense(1, activation=lambda x: x)
    model = keras.Sequential([keras.layers.Input((4,)), dense])
    assert architecture.config_json(model) is None
    own = keras.Sequential([keras.layers.Input((4,)), keras.layers.Lambda(lambda x: x)])
    assert json.loads(architecture.config_json(own) or "{}")["class_name"] == "Sequential"
    assert not recwarn.list


@pytest.mark.edge_case("EC-D10")
def test_describing_a_model_changes_nothing_of_it(keras):
    keras.utils.set_random_seed(1)
    model = line(keras, optimizer="adam")
    before = [np.array(one) for one in model.get_weights()]
    states = random.getstate(), np.random.get_state()[1].copy()
    held = set(vars(model)), set(vars(model.optimizer))
    callbacks.params(())
    compiled.compile_params(model)
    architecture.size_params(model)
    architecture.summary(model)
    architecture.config_json(model)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert (set(vars(model)), set(vars(model.optimizer))) == held
    drawn = line(keras).get_weights()
    keras.utils.set_random_seed(1)
    for told in (before, drawn):
        for one, again in zip(told, line(keras).get_weights(), strict=True):
            assert (one == again).all()
