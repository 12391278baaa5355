"""Eager loops: one call of an optimizer is one step, with the loss that its gradients are of."""

from __future__ import annotations

import pytest
import tf_keras

import autolog


def floats(losses):
    return [float(one) for one in losses]


def test_a_step_is_recorded_with_its_loss(loops):
    model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    losses = floats(loops.step(model, optimizer) for _ in range(4))
    assert loops.series() == losses
    assert loops.run().name.startswith("Sequential-")


def test_apply_counts_as_apply_gradients_does(loops):
    model, optimizer = loops.net(), loops.tf.keras.optimizers.Adam(0.1)
    losses = []
    for _ in range(3):
        loss, gradients = loops.gradients(model)
        optimizer.apply(gradients, model.trainable_variables)
        losses.append(float(loss))
    assert loops.series() == losses


def test_several_targets_are_one_loss(loops):
    tf, model, optimizer = loops.tf, loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    with tf.GradientTape() as tape:
        out = model(loops.x)
        parts = [tf.reduce_mean(out**2), tf.reduce_mean((out - loops.y) ** 2)]
    gradients = tape.gradient(parts, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    assert loops.series() == [pytest.approx(sum(floats(parts)))]


def test_clipped_and_accumulated_gradients_bring_their_losses(loops):
    tf, model, optimizer = loops.tf, loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    losses = []
    for _ in range(2):
        first, ones = loops.gradients(model, loops.x[:8], loops.y[:8])
        second, others = loops.gradients(model, loops.x[8:], loops.y[8:])
        together = [one + other for one, other in zip(ones, others, strict=True)]
        clipped, _ = tf.clip_by_global_norm(together, 0.5)
        optimizer.apply_gradients(zip(clipped, model.trainable_variables, strict=True))
        losses.append(float(first) + float(second))
    assert loops.series() == pytest.approx(losses)


def test_gradients_that_are_not_applied_bring_no_loss(loops):
    model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    loops.gradients(model, loops.x[:2], loops.y[:2])  # a look at them
    loss = float(loops.step(model, optimizer))
    assert loops.series() == [loss]


def test_a_persistent_tape_gives_each_optimizer_of_a_gan_its_loss(loops):
    tf = loops.tf
    generator, critic = loops.net(), loops.net(width=5)
    generator_optimizer = tf.keras.optimizers.Adam(1e-2)
    critic_optimizer = tf.keras.optimizers.Adam(1e-2)
    losses = {"generator_optimizer": [], "critic_optimizer": []}
    for _ in range(3):
        with tf.GradientTape(persistent=True) as tape:
            fake = generator(loops.x)
            first = tf.reduce_mean(fake**2)
            second = tf.reduce_mean((critic(loops.x) - fake) ** 2)
        ones = tape.gradient(first, generator.trainable_variables)
        others = tape.gradient(second, critic.trainable_variables)
        generator_optimizer.apply_gradients(zip(ones, generator.trainable_variables, strict=True))
        critic_optimizer.apply_gradients(zip(others, critic.trainable_variables, strict=True))
        losses["generator_optimizer"].append(float(first))
        losses["critic_optimizer"].append(float(second))
    assert {name: loops.series(f"train/loss/{name}") for name in losses} == losses


def test_two_optimizers_that_share_one_loss_make_one_run(loops):
    tf, wide, deep = loops.tf, loops.net(), loops.net(width=5)
    first = tf.keras.optimizers.SGD(0.1)
    second = tf.keras.optimizers.Adam(0.1)
    losses = []
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((wide(loops.x) + deep(loops.x) - loops.y) ** 2)
        variables = wide.trainable_variables + deep.trainable_variables
        gradients = tape.gradient(loss, variables)
        first.apply_gradients(zip(gradients[:4], variables[:4], strict=True))
        second.apply_gradients(zip(gradients[4:], variables[4:], strict=True))
        losses.append(float(loss))
    assert loops.series("train/loss/first") == losses
    assert loops.series("train/loss/second") == losses


def test_the_loss_is_as_it_was_before_it_was_scaled(loops):
    tf, model = loops.tf, loops.net()
    optimizer = tf.keras.optimizers.LossScaleOptimizer(tf.keras.optimizers.SGD(0.1))
    losses = []
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(loops.x) - loops.y) ** 2)
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        losses.append(float(loss))
    assert loops.series() == losses


def test_a_step_that_a_loss_scale_leaves_out_has_no_number(loops):
    tf, model = loops.tf, loops.net()
    optimizer = tf.keras.optimizers.LossScaleOptimizer(tf.keras.optimizers.SGD(0.1))
    for factor in (1.0, float("inf"), 1.0):
        _, gradients = loops.gradients(model)
        gradients = [one * factor for one in gradients]
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    assert len(loops.series()) == 2
    assert loops.recording.events("step_skipped") == [{"step": 1}]


def test_a_loss_of_several_elements_is_none_and_a_notice_says_so(loops):
    tf, model, optimizer = loops.tf, loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    with tf.GradientTape() as tape:
        loss = (model(loops.x) - loops.y) ** 2
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    assert set(loops.run().metrics) == {"lr"}
    assert "loss_is_no_scalar" in loops.notices()


def test_a_loop_in_a_run_of_the_user_belongs_to_it(loops):
    with autolog.start_run("mine"):
        loops.step(loops.net(), loops.tf.keras.optimizers.SGD(0.1))
    assert loops.run().name == "mine"
    assert len(loops.series()) == 1


def test_nothing_is_recorded_while_autolog_is_suspended(loops):
    model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    with autolog.suspend():
        loops.step(model, optimizer)
    assert loops.runs() == []


def test_what_changes_variables_without_an_optimizer_is_no_training(loops):
    tf = loops.tf
    weight = tf.Variable(0.5)
    with tf.GradientTape() as tape:
        loss = weight**2
    weight.assign_sub(0.1 * tape.gradient(loss, weight))
    assert loops.runs() == []


def test_models_that_are_trained_one_after_the_other_have_a_run_each(loops):
    for _ in range(2):
        model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(0.1)
        for x, y in loops.dataset():
            loops.step(model, optimizer, x, y)
    assert [len(loops.series(run=run)) for run in loops.runs()] == [4, 4]


@pytest.mark.parametrize("kind", ["new", "legacy", "scaled", "minimize", "v1"])
def test_optimizers_of_tf_keras_and_of_tensorflow_1_are_seen(loops, kind):
    model = loops.net(tf_keras)
    optimizer = {
        "new": tf_keras.optimizers.Adam,
        "minimize": tf_keras.optimizers.Adam,
        "legacy": tf_keras.optimizers.legacy.Adam,
        "v1": loops.tf.compat.v1.train.AdamOptimizer,
        "scaled": lambda rate: tf_keras.mixed_precision.LossScaleOptimizer(
            tf_keras.optimizers.SGD(rate)
        ),
    }[kind](0.1)
    losses = []

    def loss():
        return loops.tf.reduce_mean((model(loops.x) - loops.y) ** 2)

    for _ in range(3):
        if kind == "minimize":
            losses.append(float(loss()))
            optimizer.minimize(loss, model.trainable_variables)
        elif kind == "scaled":
            with loops.tf.GradientTape() as tape:
                plain = loss()
                scaled = optimizer.get_scaled_loss(plain)
            gradients = tape.gradient(scaled, model.trainable_variables)
            gradients = optimizer.get_unscaled_gradients(gradients)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            losses.append(float(plain))
        else:
            losses.append(float(loops.step(model, optimizer)))
    assert loops.series() == losses
    assert loops.points("lr")[0] == (0, pytest.approx(0.1))
    assert loops.run().name.startswith("Sequential-")
