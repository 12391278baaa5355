"""What the README shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import autolog

ROOT = Path(__file__).parents[1]


def example(name: str = "example") -> str:
    text = (ROOT / "README.md").read_text()
    block = text.partition(f"<!-- {name}:begin -->")[2].partition(f"<!-- {name}:end -->")[0]
    found = re.search(r"```python\n(.*?)```", block, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_ten_lines_are_ten_and_record_a_training(program, recording):
    source = example()
    assert len(source.splitlines()) == 10
    assert "accuracy" in program(source).out
    run = recording.run()
    assert run.status == "FINISHED"
    assert run.metrics["test/accuracy"] > 0.97


def test_the_loop_of_ten_lines_is_recorded_step_by_step(program, recording):
    source = example("loop")
    assert len(source.splitlines()) == 10
    assert program(source).out == ""
    run = recording.run()
    assert (run.kind, run.status, run.metrics["epoch"]) == ("loop", "FINISHED", 2)
    assert {"train/loss", "lr", "train/samples_per_second"} <= run.metrics.keys()
    assert (run.params["optimizer"], run.params["criterion"]) == ("Adam", "MSELoss")
    assert autolog.load_model(run.run_id)["weight"].shape == (1, 4)


def test_the_examples_by_hand_run(program, recording):
    text = (ROOT / "README.md").read_text().partition("## By hand")[2]
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    source = found[1]
    program("open('plot.png', 'wb').write(b'PNG')\n" + source)
    run = recording.run()
    assert (run.name, run.params["layers"]) == ("baseline", [64, 64])
    assert run.metrics["loss"] == 0.001
