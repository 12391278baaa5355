"""Trainings that are not well are said to be, and go on as they did."""

from __future__ import annotations

import math

import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional

import autolog
from autolog.capture.health import Health
from autolog.cli.commands import cli


class Told:
    """Takes what a run would be told."""

    def __init__(self):
        self.events, self.tags = [], {}

    def log_event(self, kind, data):
        assert kind == "health"
        self.events.append((data["what"], data["key"], data["step"]))

    def set_tag(self, key, value):
        self.tags[key] = value


def findings(key, values):
    told, health = Told(), Health()
    for step, value in enumerate(values):
        health.observe(told, ("lr", key), [0.1, value], step)
    return told.events, told.tags.get("health")


def noisy(step):
    """A loss that falls from 2.3, with noise of a tenth."""
    return 2.3 * 0.99**step + 0.1 + 0.1 * math.sin(7.0 * step)


def train(model, losses, factor):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(6):
        optimizer.zero_grad()
        loss = functional.mse_loss(model(losses.X), losses.Y) * factor(step)
        loss.backward()
        optimizer.step()
    return [one.detach().clone() for one in model.parameters()]


def test_a_loss_that_becomes_nan_is_an_event_a_mark_in_ls_and_a_line_in_show(loops):
    train(loops.net(), loops, lambda step: 1.0 if step < 2 else float("nan"))
    run = loops.run()
    text = "train/loss became NaN at step 2"
    expected = {"what": "nan", "key": "train/loss", "step": 2, "text": text}
    assert loops.recording.events("health") == [expected]
    assert len(autolog.metric_history(run.run_id, "train/loss").step) == 6
    assert [one.run_id for one in autolog.search_runs("tags.health = 'nan'")] == [run.run_id]
    env = {"AUTOLOG_STORE": str(loops.recording.folder)}
    listed = CliRunner().invoke(cli, ["ls"], env=env).stdout
    assert "FINISHED, nan" in listed
    assert text in CliRunner().invoke(cli, ["show", run.run_id], env=env).stdout


def test_a_training_that_is_not_well_ends_with_the_weights_it_would_have(loops):
    def factor(step):
        return 1e20 if step == 3 else 1.0

    watched = train(loops.net(), loops, factor)
    autolog.disable()
    assert all(map(torch.equal, watched, train(loops.net(), loops, factor)))


def test_a_loss_is_nan_from_the_first_step(loops):
    train(loops.net(), loops, lambda step: float("nan"))
    assert [one["step"] for one in loops.recording.events("health")] == [0]


def test_the_clipped_norm_of_a_gradient_that_is_infinite_is_said(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    (functional.mse_loss(model(loops.X), loops.Y) * float("inf")).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    assert {one["key"] for one in loops.recording.events("health")} == {"train/loss", "grad_norm"}


def test_the_series_that_other_integrations_record_are_watched_too(loops):
    from autolog_torch.steps import tracking

    span = tracking._capture.open("training", "fit", object(), "Model")
    for epoch, loss in enumerate([1.0, float("nan"), float("nan")]):
        span.metrics({"loss": loss, "accuracy": torch.tensor(float("nan"))}, step=epoch)
    span.end()
    assert [(one["key"], one["step"]) for one in loops.recording.events("health")] == [("loss", 1)]


@pytest.mark.parametrize("key", ["loss", "train/loss/optimizerD", "val_loss", "train_loss_step"])
def test_losses_are_watched_by_their_names(key):
    assert findings(key, [1.0, float("-inf")]) == ([("infinite", key, 1)], "infinite")


@pytest.mark.parametrize("key", ["validation_0-logloss", "glossary", "acc", "lr"])
def test_other_series_are_not(key):
    assert findings(key, [1.0, float("nan")]) == ([], None)


def test_an_episode_is_said_once_and_a_later_one_again():
    nan = float("nan")
    events, _ = findings("loss", [1.0, nan, 1.0, nan, nan, *[1.0] * 40, nan])
    assert events == [("nan", "loss", 1), ("nan", "loss", 45)]


def test_a_loss_that_stays_far_above_what_was_usual_has_diverged_once():
    values = [*map(noisy, range(200)), *[60.0 + step for step in range(64)]]
    assert findings("loss", values) == ([("diverged", "loss", 207)], "diverged")


def test_a_loss_that_grows_from_the_beginning_diverges_before_it_is_infinite():
    events, _ = findings("loss", [1.1**step for step in range(200)])
    assert events[0][0] == "diverged"
    assert events[0][2] < 120


@pytest.mark.parametrize(
    "values",
    [
        [noisy(step) for step in range(2000)],
        [noisy(step) + (50.0 if step % 25 == 0 else 0.0) for step in range(500)],
        [math.sin(step) for step in range(500)],
        [2.3 * 0.9**step + (1e-6 if step > 300 else 0.0) for step in range(400)],
        [0.0] * 100 + [1e-9] * 100,
        [-3.0 - step / 100 + math.cos(step) for step in range(500)],
    ],
    ids=["falls", "spikes", "around zero", "noise once solved", "barely not zero", "negative"],
)
def test_an_ordinary_loss_is_well(values):
    assert findings("train/loss", values) == ([], None)


def test_a_gradient_far_above_what_was_usual_has_exploded():
    values = [1.0 + 0.5 * math.sin(step) for step in range(100)]
    values[80] = 500.0
    assert findings("grad_norm", values) == ([("exploded", "grad_norm", 80)], "exploded")
    assert findings("grad_norm", [5.0, 700.0, 3.0]) == ([], None)
