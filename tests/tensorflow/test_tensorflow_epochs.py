"""Epochs from passes over datasets, learning rates, and what is known of a training."""

from __future__ import annotations

import pytest

import autolog


def test_each_pass_over_the_training_data_is_an_epoch(loops):
    model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    data, held_out = loops.dataset(), loops.dataset(8)
    train_step = loops.tf.function(lambda x, y: loops.step(model, optimizer, x, y))
    for _ in range(2):
        for x, y in data:
            train_step(x, y)
        for x, _ in held_out:
            model(x)
    assert loops.epochs() == [0.0] * 4 + [1.0] * 4
    assert loops.points("epoch") == [(3, 0.0), (7, 1.0)]
    assert len(loops.points("train/samples_per_second")) == 2


def test_an_iterator_that_is_asked_by_hand_is_a_pass(loops):
    model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    data = loops.dataset().repeat()
    for _ in range(2):
        batches = iter(data)
        for _ in range(3):
            loops.step(model, optimizer, *next(batches))
        del batches
    assert loops.epochs() == [0.0] * 3 + [1.0] * 3


def test_no_batch_is_drawn_that_the_user_did_not_ask_for(loops):
    tf, drawn = loops.tf, []

    def rows():
        for at in range(8):
            drawn.append(at)
            yield loops.x[at], loops.y[at]

    spec = (tf.TensorSpec((4,)), tf.TensorSpec((1,)))
    data = tf.data.Dataset.from_generator(rows, output_signature=spec).batch(2)
    model, optimizer = loops.net(), tf.keras.optimizers.SGD(0.1)
    for x, y in data:
        loops.step(model, optimizer, x, y)
    assert drawn == list(range(8))
    assert loops.epochs() == [0.0] * 4


@pytest.mark.edge_case("EC-D1")
def test_an_endless_dataset_is_not_counted(loops):
    data = loops.dataset().repeat()
    model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    for at, (x, y) in enumerate(data):
        loops.step(model, optimizer, x, y)
        if at == 2:
            break
    assert "batches_per_epoch" not in loops.run().params
    assert len(loops.series()) == 3


def test_a_schedule_is_described_and_its_rate_read_at_the_first_step_of_an_epoch(loops):
    schedule = loops.tf.keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
    model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(schedule)
    for _ in range(2):
        for x, y in loops.dataset():
            loops.step(model, optimizer, x, y)
    assert loops.points("lr") == [(0, pytest.approx(0.1)), (4, pytest.approx(0.05))]
    params = loops.run().params
    assert params["optimizer.learning_rate"] == "ExponentialDecay"
    assert params["optimizer.learning_rate.decay_rate"] == 0.5


def test_what_trains_is_described(loops):
    model, optimizer = loops.net(), loops.tf.keras.optimizers.Adam(0.1, beta_1=0.8)
    for x, y in loops.dataset().take(3):
        loops.step(model, optimizer, x, y)
    params = loops.run().params
    assert params["optimizer"] == "Adam"
    assert params["optimizer.learning_rate"] == 0.1
    assert params["optimizer.beta_1"] == 0.8
    assert params["model"] == "Sequential"
    assert params["trainable_parameters"] == 19
    assert params["dataset.element_spec"] == "(float32(None, 4), float32(None, 1))"
    assert params["batches_per_epoch"] == 3


def test_a_run_is_called_after_the_users_own_class(loops):
    tf = loops.tf

    class Net(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.body = loops.net()

        def call(self, x):
            return self.body(x)

    loops.step(Net(), tf.keras.optimizers.SGD(0.1))
    assert loops.run().name.startswith("Net-")


def test_a_module_of_tensorflow_names_its_run(loops):
    tf = loops.tf

    class Line(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable(tf.ones((4, 1)))

        def __call__(self, x, training=False):
            return x @ self.weight

    line, optimizer = Line(), tf.keras.optimizers.SGD(0.1)
    loops.step(line, optimizer)
    assert loops.run().name.startswith("Line-")


@pytest.mark.edge_case("EC-R5")
def test_a_loss_that_is_not_finite_is_an_event(loops):
    tf, model, optimizer = loops.tf, loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(loops.x)) * float("nan")
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    assert loops.recording.events("health")


def test_a_run_ends_when_its_model_is_gone(loops):
    model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    loops.step(model, optimizer)
    autolog.end_run()
    assert loops.run().status == "FINISHED"
