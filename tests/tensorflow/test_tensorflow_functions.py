"""Steps inside of `tf.function`: each call of what was traced makes them, the trace makes none."""

from __future__ import annotations

import threading

import pytest

import autolog


@pytest.fixture
def training(loops):
    """A model and its optimizer."""
    return loops.net(), loops.tf.keras.optimizers.SGD(0.1)


def test_each_call_is_a_step_and_a_trace_is_none(loops, training):
    tf = loops.tf

    @tf.function
    def train_step(x, y):
        return loops.step(*training, x, y)

    losses = [float(train_step(loops.x, loops.y)) for _ in range(3)]
    losses.append(float(train_step(loops.x[:3], loops.y[:3])))  # traced again
    assert train_step.experimental_get_tracing_count() == 2
    assert loops.series() == losses


@pytest.mark.parametrize("form", ["tuple", "nested", "same"])
def test_the_loss_is_found_in_what_the_function_returns(loops, training, form):
    tf = loops.tf

    @tf.function
    def train_step(x, y):
        loss = loops.step(*training, x, y)
        return {
            "tuple": (x, None, loss),
            "nested": {"more": [x, {"loss": loss}], "a": y},
            "same": (loss, tf.identity(loss)),
        }[form]

    def loss_in(result):
        return {"tuple": lambda: result[2], "nested": lambda: result["more"][1]["loss"]}.get(
            form, lambda: result[0]
        )()

    assert [float(loss_in(train_step(loops.x, loops.y))) for _ in range(2)] == loops.series()


def test_a_function_that_returns_no_loss_gives_steps_and_a_notice(loops, training):
    @loops.tf.function
    def train_step(x, y):
        loops.step(*training, x, y)

    with autolog.start_run() as run:
        for _ in range(3):
            train_step(loops.x, loops.y)
            autolog.log_metric("mine", 1.0)
    assert [step for step, _ in loops.points("mine", run)] == [0, 1, 2]
    assert "train/loss" not in loops.run().metrics
    assert "loss_is_not_returned" in loops.notices()


def test_two_optimizers_in_one_function_make_one_run(loops):
    tf = loops.tf
    generator, critic = loops.net(), loops.net(width=5)
    generator_optimizer = tf.keras.optimizers.Adam(1e-2)
    critic_optimizer = tf.keras.optimizers.Adam(1e-2)

    @tf.function
    def train_step(x):
        with tf.GradientTape() as tape, tf.GradientTape() as other:
            fake = generator(x)
            first = tf.reduce_mean(fake**2)
            second = tf.reduce_mean((critic(x) - fake) ** 2)
        ones = tape.gradient(first, generator.trainable_variables)
        others = other.gradient(second, critic.trainable_variables)
        generator_optimizer.apply_gradients(zip(ones, generator.trainable_variables, strict=True))
        critic_optimizer.apply_gradients(zip(others, critic.trainable_variables, strict=True))
        return first, second

    losses = [[float(one) for one in train_step(loops.x)] for _ in range(3)]
    assert loops.series("train/loss/generator_optimizer") == [one for one, _ in losses]
    assert loops.series("train/loss/critic_optimizer") == [one for _, one in losses]


def test_a_loop_inside_of_a_function_makes_as_many_steps_as_it_has_turns(loops, training):
    tf = loops.tf

    @tf.function
    def epoch(data):
        for x, y in data:
            loops.step(*training, x, y)

    @tf.function
    def some(count):
        for _ in tf.range(count):
            loops.step(*training)

    with autolog.start_run() as run:
        epoch(loops.dataset())
        autolog.log_metric("mine", 1.0)
        some(tf.constant(3))
        autolog.log_metric("mine", 1.0)
    assert [step for step, _ in loops.points("mine", run)] == [3, 6]
    assert "loss_inside_of_a_loop" in loops.notices()


def test_steps_that_python_unrolls_have_a_loss_each(loops, training):
    @loops.tf.function
    def two(x, y):
        return [loops.step(*training, x, y) for _ in range(2)]

    losses = [float(one) for _ in range(2) for one in two(loops.x, loops.y)]
    assert loops.series() == losses


def test_only_the_outermost_call_counts(loops, training):
    tf = loops.tf

    @tf.function
    def inner(x, y):
        return {"loss": loops.step(*training, x, y)}

    @tf.function
    def outer(x, y):
        return inner(x, y)["loss"], x

    losses = [float(inner(loops.x, loops.y)["loss"])]
    losses += [float(outer(loops.x, loops.y)[0]) for _ in range(2)]
    losses.append(float(inner(loops.x, loops.y)["loss"]))
    assert loops.series() == losses


def test_gradients_of_a_function_may_be_applied_outside(loops, training):
    model, optimizer = training

    @loops.tf.function
    def gradients(x, y):
        return loops.gradients(model, x, y)

    losses = []
    for _ in range(3):
        loss, found = gradients(loops.x, loops.y)
        optimizer.apply_gradients(zip(found, model.trainable_variables, strict=True))
        losses.append(float(loss))
    assert loops.series() == losses


def test_each_trace_has_the_optimizer_that_it_was_made_with(loops):
    @loops.tf.function
    def train_step(x, y, first):
        return loops.step(*pairs[0 if first else 1], x, y)

    pairs = [(loops.net(), loops.tf.keras.optimizers.SGD(0.1)) for _ in range(2)]
    for _, optimizer in pairs:
        optimizer.build(pairs[pairs.index((_, optimizer))][0].trainable_variables)
    losses = [float(train_step(loops.x, loops.y, first=True)) for _ in range(10)]
    others = [float(train_step(loops.x, loops.y, first=False)) for _ in range(10)]
    assert sorted(loops.series(run=run) for run in loops.runs()) == sorted([losses, others])


def test_methods_and_compiled_functions_are_seen(loops):
    tf = loops.tf

    class Trainer(tf.Module):
        def __init__(self):
            super().__init__()
            self.model = loops.net()
            self.optimizer = tf.keras.optimizers.SGD(0.1)

        @tf.function(jit_compile=True)
        def step(self, x, y):
            return loops.step(self.model, self.optimizer, x, y)

    trainer = Trainer()
    trainer.optimizer.build(trainer.model.trainable_variables)
    losses = [float(trainer.step(loops.x, loops.y)) for _ in range(3)]
    assert loops.series() == losses


def test_functions_that_run_eagerly_are_eager_steps(loops, training):
    tf = loops.tf
    train_step = tf.function(lambda x, y: loops.step(*training, x, y))
    tf.config.run_functions_eagerly(True)
    try:
        losses = [float(train_step(loops.x, loops.y)) for _ in range(2)]
    finally:
        tf.config.run_functions_eagerly(False)
    losses.append(float(train_step(loops.x, loops.y)))
    assert loops.series() == losses


def test_a_call_that_raises_is_no_step(loops, training):
    tf = loops.tf

    @tf.function
    def train_step(x, y):
        tf.debugging.assert_all_finite(x, "bad data")
        return loops.step(*training, x, y)

    good = float(train_step(loops.x, loops.y))
    with pytest.raises(tf.errors.InvalidArgumentError):
        train_step(loops.x * float("nan"), loops.y)
    again = float(train_step(loops.x, loops.y))
    assert loops.series() == pytest.approx([good, again], nan_ok=True)


def test_a_thread_of_the_users_may_call_it(loops, training):
    train_step = loops.tf.function(lambda x, y: loops.step(*training, x, y))
    losses = []

    def work():
        losses.extend(float(train_step(loops.x, loops.y)) for _ in range(3))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert loops.series() == losses


def test_a_concrete_function_is_seen_too(loops, training):
    train_step = loops.tf.function(lambda x, y: loops.step(*training, x, y))
    concrete = train_step.get_concrete_function(loops.x, loops.y)
    assert loops.runs() == []
    losses = [float(concrete(loops.x, loops.y)) for _ in range(2)]
    assert loops.series() == losses


def test_a_loss_scale_inside_of_a_function_skips_steps(loops):
    tf, model = loops.tf, loops.net()
    optimizer = tf.keras.optimizers.LossScaleOptimizer(tf.keras.optimizers.SGD(0.1))

    @tf.function
    def train_step(factor):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(loops.x) - loops.y) ** 2)
            scaled = optimizer.scale_loss(loss)
        gradients = [one * factor for one in tape.gradient(scaled, model.trainable_variables)]
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    losses = [float(train_step(tf.constant(one))) for one in (1.0, float("inf"), 1.0)]
    assert loops.series() == [losses[0], losses[2]]


def test_the_loops_of_keras_are_no_loops_of_the_users(loops):
    model = loops.net()
    model.compile("sgd", "mse")
    model.fit(loops.x, loops.y, epochs=2, verbose=0)
    model.train_on_batch(loops.x, loops.y)
    assert loops.runs() == []
    losses = [float(loops.step(model, model.optimizer)) for _ in range(2)]
    assert loops.series() == losses


def test_a_train_step_in_a_loop_of_the_users_is_a_step(loops):
    model = loops.net()
    model.compile("sgd", "mse")
    train = loops.tf.function(model.train_step)
    for batch in loops.dataset():
        train(batch)
    assert len(loops.points("epoch")) == 1


def test_a_strategy_of_one_replica_is_as_none(loops):
    tf = loops.tf
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model, optimizer = loops.net(), tf.keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)

    @tf.function
    def train_step(x, y):
        losses = strategy.run(lambda x, y: loops.step(model, optimizer, x, y), args=(x, y))
        return strategy.reduce("SUM", losses, axis=None)

    losses = [float(train_step(loops.x, loops.y)) for _ in range(2)]
    assert loops.series() == losses
