"""Which run wrote a `tf.train.Checkpoint`, and which trainings begin from it."""

from __future__ import annotations

import shutil

import autolog


def train(loops, model, steps=2, optimizer=None):
    optimizer = optimizer or loops.tf.keras.optimizers.SGD(0.1)
    for _ in range(steps):
        loops.step(model, optimizer)
    return optimizer


def resumed(loops):
    """The last run, and what it says that it goes on from."""
    run = loops.runs()[-1]
    return run.tags.get("resumed_from"), run.tags.get("resumed_from_step")


def test_a_run_names_its_checkpoints(loops, tmp_path):
    tf, model = loops.tf, loops.net()
    checkpoint = tf.train.Checkpoint(model=model)
    train(loops, model, steps=2)
    path = checkpoint.save(str(tmp_path / "saved"))
    train(loops, model, steps=1)
    checkpoint.write(str(tmp_path / "written"))
    manager = tf.train.CheckpointManager(checkpoint, str(tmp_path / "managed"), max_to_keep=1)
    managed = manager.save()
    autolog.end_run()
    events = loops.recording.events("checkpoint")
    assert [event["path"] for event in events] == [path, str(tmp_path / "written"), managed]
    assert events[0]["step"] == 1


def test_restored_weights_link_the_next_run(loops, tmp_path):
    tf, first = loops.tf, loops.net()
    train(loops, first, steps=3)
    path = tf.train.Checkpoint(model=first).save(str(tmp_path / "saved"))
    (tmp_path / "elsewhere").mkdir()
    for file in tmp_path.glob("saved-1*"):
        shutil.copy(file, tmp_path / "elsewhere" / file.name)

    second = loops.net()
    tf.train.Checkpoint(model=second).restore(str(tmp_path / "elsewhere" / "saved-1"))
    train(loops, second)
    autolog.end_run()
    assert len(loops.runs()) == 2
    assert resumed(loops) == (loops.runs()[0].run_id, "2")
    assert path.endswith("saved-1")


def test_weights_that_are_restored_when_they_are_built_link_their_run_too(loops, tmp_path):
    tf, first = loops.tf, loops.net()
    train(loops, first)
    written = tf.train.Checkpoint(model=first).write(str(tmp_path / "written"))

    dense = tf.keras.layers.Dense
    second = tf.keras.Sequential([dense(3, activation="tanh"), dense(1)])
    checkpoint = tf.train.Checkpoint(model=second)
    checkpoint.read(written)
    train(loops, second)
    autolog.end_run()
    assert resumed(loops)[0] == loops.runs()[0].run_id


def test_modules_without_keras_are_linked(loops, tmp_path):
    tf = loops.tf

    class Line(tf.Module):
        def __init__(self):
            super().__init__()
            self.slope = tf.Variable(tf.zeros((4, 1)))

        def __call__(self, x, *, training=False):
            del training
            return x @ self.slope

    first, second = Line(), Line()
    train(loops, first)
    written = tf.train.Checkpoint(first).write(str(tmp_path / "written"))
    tf.train.Checkpoint(second).read(written)
    train(loops, second)
    autolog.end_run()
    assert resumed(loops)[0] == loops.runs()[0].run_id


def test_a_checkpoint_that_is_loaded_within_a_loop_is_an_event_of_it(loops, tmp_path):
    tf, model = loops.tf, loops.net()
    checkpoint = tf.train.Checkpoint(model=model)
    optimizer = train(loops, model)
    written = checkpoint.write(str(tmp_path / "written"))
    checkpoint.read(written)
    train(loops, model, optimizer=optimizer)
    run = loops.run()
    assert loops.recording.events("checkpoint_loaded") == [{"run": run.run_id, "step": 1}]


def test_a_checkpoint_of_something_else_names_no_run(loops, tmp_path):
    tf, model = loops.tf, loops.net()
    train(loops, model)
    tf.train.Checkpoint(other=tf.Variable(1.0)).write(str(tmp_path / "written"))
    assert loops.recording.events("checkpoint") == []
    assert len(loops.runs()) == 1


def test_a_checkpoint_without_a_training_makes_no_run(loops, tmp_path):
    tf = loops.tf
    path = tf.train.Checkpoint(value=tf.Variable(1.0)).save(str(tmp_path / "saved"))
    tf.train.Checkpoint(value=tf.Variable(0.0)).restore(path)
    assert loops.runs() == []


def test_values_are_restored_as_ever(loops, tmp_path):
    tf = loops.tf
    path = tf.train.Checkpoint(value=tf.Variable(3.0)).save(str(tmp_path / "saved"))
    value = tf.Variable(0.0)
    tf.train.Checkpoint(value=value).restore(path).assert_consumed()
    assert float(value) == 3.0
