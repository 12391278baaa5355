"""Scalars that the user writes for TensorBoard land in the run."""

from __future__ import annotations

import autolog


def writer(loops, tmp_path, name="events"):
    return loops.tf.summary.create_file_writer(str(tmp_path / name))


def test_scalars_keep_their_names_and_their_steps(loops, tmp_path):
    tf, model = loops.tf, loops.net()
    optimizer = tf.keras.optimizers.SGD(0.1)
    with writer(loops, tmp_path).as_default():
        for step in range(3):
            loops.step(model, optimizer)
            tf.summary.scalar("accuracy", step / 2, step=10 * step)
            with tf.name_scope("epoch"):
                at = tf.Variable(step, dtype=tf.int64)
                tf.summary.scalar("loss", data=tf.constant(step + 0.5), step=at)
    assert loops.points("accuracy") == [(0, 0.0), (10, 0.5), (20, 1.0)]
    assert loops.points("epoch/loss") == [(0, 0.5), (1, 1.5), (2, 2.5)]
    assert loops.run().kind == "loop"


def test_a_scalar_takes_the_step_that_was_set(loops, tmp_path):
    tf = loops.tf
    tf.summary.experimental.set_step(7)
    try:
        with writer(loops, tmp_path).as_default():
            tf.summary.scalar("reward", 2.0)
    finally:
        tf.summary.experimental.set_step(None)
    assert loops.points("reward") == [(7, 2.0)]


def test_what_is_not_written_is_not_recorded(loops, tmp_path):
    tf = loops.tf
    tf.summary.scalar("nowhere", 1.0, step=0)
    with writer(loops, tmp_path).as_default(), tf.summary.record_if(False):
        tf.summary.scalar("paused", 1.0, step=0)
    assert loops.runs() == []


def test_the_folders_of_the_writers_are_tags_of_the_run(loops, tmp_path):
    tf, model = loops.tf, loops.net()
    optimizer = tf.keras.optimizers.SGD(0.1)
    writers = [writer(loops, tmp_path, name) for name in ("train", "test")]
    for step in range(2):
        loops.step(model, optimizer)
        for one in writers:
            with one.as_default(step=step):
                tf.summary.scalar("mine", 1.0)
    tags = loops.run().tags
    assert tags["tensorboard.log_dir"] == str(tmp_path / "train")
    assert tags["tensorboard.log_dir.2"] == str(tmp_path / "test")


def test_a_scalar_in_a_graph_is_left_to_it_with_a_notice(loops, tmp_path):
    tf, model, traced = loops.tf, loops.net(), []
    optimizer = tf.keras.optimizers.SGD(0.1)
    loops.step(model, optimizer)

    @tf.function
    def write(value, step):
        traced.append(step)
        tf.summary.scalar("in_graph", value, step=step)

    with writer(loops, tmp_path).as_default():
        for step in range(3):
            write(tf.constant(1.0), tf.constant(step, tf.int64))
    assert len(traced) == 1
    assert "in_graph" not in loops.run().metrics
    assert loops.notices() == {"summaries_in_graphs"}


def test_callbacks_of_keras_write_nothing_twice(loops, tmp_path):
    autolog.autolog("keras")
    tf, model = loops.tf, loops.net()
    model.compile("sgd", "mse")
    mine = writer(loops, tmp_path, "mine")

    class Writes(tf.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with mine.as_default():
                tf.summary.scalar("by_the_user", 0.5, step=epoch)

    board = tf.keras.callbacks.TensorBoard(str(tmp_path / "board"))
    model.fit(loops.x, loops.y, verbose=0, callbacks=[board, Writes()])
    assert loops.points("by_the_user") == [(0, 0.5)]
    assert not [key for key in loops.run().metrics if "epoch_loss" in key]


def test_summaries_can_be_left_out(loops, tmp_path):
    autolog.autolog(tensorflow={"summaries": False})
    with writer(loops, tmp_path).as_default():
        loops.tf.summary.scalar("reward", 2.0, step=0)
    assert loops.runs() == []
