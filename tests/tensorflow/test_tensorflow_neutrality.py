"""A training computes the same bits with autolog and without, and is traced as often."""

from __future__ import annotations

import random

import numpy as np
import pytest

import autolog


def _eager(tf, model, optimizer, data):
    for x, y in data:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return 0


def _function(tf, model, optimizer, data):
    @tf.function
    def train_step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.constant(0.0)
            for _ in tf.range(2):  # converted by AutoGraph
                loss += tf.reduce_mean((model(x, training=True) - y) ** 2)
            if loss > 1000.0:
                loss = loss * 0.5
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    for x, y in data:
        train_step(x, y)
    return train_step.experimental_get_tracing_count()


def _whole(tf, model, optimizer, data):
    @tf.function
    def epoch(rows):
        for x, y in rows:
            _eager(tf, model, optimizer, [(x, y)])

    epoch(data)
    epoch(data)
    return epoch.experimental_get_tracing_count()


def _scaled(tf, model, optimizer, data):
    optimizer = tf.keras.optimizers.LossScaleOptimizer(optimizer)

    @tf.function(jit_compile=True)
    def train_step(x, y):
        with tf.GradientTape() as tape:
            scaled = optimizer.scale_loss(tf.reduce_mean((model(x, training=True) - y) ** 2))
        gradients = tape.gradient(scaled, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    optimizer.build(model.trainable_variables)
    for x, y in data:
        train_step(x, y)
    return train_step.experimental_get_tracing_count()


STYLES = {"eager": _eager, "function": _function, "whole": _whole, "scaled": _scaled}


def _train(loops, style):
    """Train, and return everything that must be the same."""
    tf = loops.tf
    tf.keras.utils.set_random_seed(3)
    model = tf.keras.Sequential(
        [tf.keras.layers.Dense(5, "tanh"), tf.keras.layers.Dropout(0.2), tf.keras.layers.Dense(1)]
    )
    model.build((None, 4))
    optimizer = tf.keras.optimizers.Adam(0.05)
    data = loops.dataset().shuffle(4)
    traced = STYLES[style](tf, model, optimizer, data)
    states = [*model.variables, *optimizer.variables]
    return (
        [one.numpy().tobytes() for one in states],
        sorted(set(vars(model)) | set(vars(optimizer))),
        traced,
        random.random(),
        np.random.random(),
        tf.random.uniform(()).numpy(),
    )


@pytest.mark.parametrize("style", STYLES)
def test_a_training_computes_the_same_bits(loops, style, capfd):
    recorded = _train(loops, style)
    with_autolog = capfd.readouterr()
    assert len(loops.runs()) == 1
    autolog.disable()
    assert recorded == _train(loops, style)
    assert with_autolog == capfd.readouterr()


def test_nothing_stays_on_the_classes_of_tensorflow_when_autolog_is_off(loops):
    from keras.src.optimizers.base_optimizer import BaseOptimizer
    from tensorflow.python.eager.polymorphic_function.concrete_function import ConcreteFunction

    watched = [
        (BaseOptimizer, "apply"),
        (loops.tf.GradientTape, "gradient"),
        (ConcreteFunction, "_call_flat"),
        (loops.tf.data.Dataset, "__iter__"),
    ]
    assert all(hasattr(vars(cls)[name], "__wrapped__") for cls, name in watched)
    autolog.disable()
    assert not any(hasattr(vars(cls)[name], "__wrapped__") for cls, name in watched)
