"""Programs as people write them: what the tutorials show, with Keras' models around."""

from __future__ import annotations

import gc

import pytest

import autolog


def test_the_quickstart_for_experts(loops):
    """A subclassed model, Keras' metrics, a step in a tf.function that returns nothing."""
    tf = loops.tf

    class MyModel(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.d1 = tf.keras.layers.Dense(3, activation="relu")
            self.d2 = tf.keras.layers.Dense(1)

        def call(self, x):
            return self.d2(self.d1(x))

    model = MyModel()
    loss_object = tf.keras.losses.MeanSquaredError()
    optimizer = tf.keras.optimizers.Adam()
    train_loss = tf.keras.metrics.Mean(name="train_loss")

    @tf.function
    def train_step(rows, labels):
        with tf.GradientTape() as tape:
            predictions = model(rows, training=True)
            loss = loss_object(labels, predictions)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        train_loss(loss)

    shown = []
    for _ in range(2):
        train_loss.reset_state()
        for rows, labels in loops.dataset():
            train_step(rows, labels)
        shown.append(float(train_loss.result()))
    run = loops.run()
    assert run.name.startswith("MyModel-")
    assert run.params["optimizer"] == "Adam"
    assert loops.points("epoch") == [(3, 0.0), (7, 1.0)]


def test_a_dcgan(loops):
    tf = loops.tf
    generator, discriminator = loops.net(), loops.net(width=5)
    cross_entropy = tf.keras.losses.BinaryCrossentropy(from_logits=True)
    generator_optimizer = tf.keras.optimizers.Adam(1e-4)
    discriminator_optimizer = tf.keras.optimizers.Adam(1e-4)

    @tf.function
    def train_step(images):
        noise = tf.random.normal([4, 4])
        with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
            fake = tf.tile(generator(noise, training=True), [1, 4])
            real_output = discriminator(images, training=True)
            fake_output = discriminator(fake, training=True)
            gen_loss = cross_entropy(tf.ones_like(fake_output), fake_output)
            disc_loss = cross_entropy(tf.ones_like(real_output), real_output) + cross_entropy(
                tf.zeros_like(fake_output), fake_output
            )
        ones = gen_tape.gradient(gen_loss, generator.trainable_variables)
        others = disc_tape.gradient(disc_loss, discriminator.trainable_variables)
        generator_optimizer.apply_gradients(zip(ones, generator.trainable_variables, strict=True))
        discriminator_optimizer.apply_gradients(
            zip(others, discriminator.trainable_variables, strict=True)
        )
        return gen_loss, disc_loss

    losses = [train_step(x) for _ in range(2) for x, _ in loops.dataset()]
    for at, name in enumerate(("generator_optimizer", "discriminator_optimizer")):
        assert loops.series(f"train/loss/{name}") == [float(one[at]) for one in losses]
        assert loops.epochs(f"train/loss/{name}") == [0.0] * 4 + [1.0] * 4
    assert loops.run().params["optimizer.generator_optimizer"] == "Adam"


@pytest.mark.parametrize("with_keras", [True, False])
def test_a_train_step_of_the_users_under_fit_is_recorded_once(loops, with_keras):
    tf = loops.tf

    class Custom(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.body = tf.keras.layers.Dense(1)

        def call(self, x):
            return self.body(x)

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            pairs = zip(gradients, self.trainable_variables, strict=True)
            self.optimizer.apply_gradients(pairs)
            return {"loss": loss}

    if with_keras:
        autolog.autolog("keras", "tensorflow")
    model = Custom()
    model.compile(tf.keras.optimizers.SGD(0.1))
    history = model.fit(loops.x, loops.y, batch_size=4, epochs=2, verbose=0)
    if with_keras:
        assert loops.series("loss") == pytest.approx(history.history["loss"])
        assert "train/loss" not in loops.run().metrics
    else:
        assert loops.runs() == []


def test_the_model_is_stored_when_the_training_is_over(loops):
    model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    for x, y in loops.dataset():
        loops.step(model, optimizer, x, y)
    autolog.end_run()
    again = autolog.load_model(loops.run().run_id)
    assert (again(loops.x).numpy() == model(loops.x).numpy()).all()


def test_a_model_that_is_gone_is_told_of(loops):
    model, optimizer = loops.net(), loops.tf.keras.optimizers.SGD(0.1)
    loops.step(model, optimizer)
    del model, optimizer
    gc.collect()
    autolog.end_run()
    assert loops.run().status == "FINISHED"
    assert "model_gone" in loops.notices()


def test_a_regression_without_a_model(loops):
    tf = loops.tf
    weight, bias = tf.Variable(tf.zeros((4, 1))), tf.Variable(0.0)
    optimizer = tf.keras.optimizers.SGD(0.1)
    losses = []
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((loops.x @ weight + bias - loops.y) ** 2)
        gradients = tape.gradient(loss, [weight, bias])
        optimizer.apply_gradients(zip(gradients, [weight, bias], strict=True))
        losses.append(float(loss))
    assert loops.series() == losses
    assert loops.run().name.startswith("SGD-")
