"""What the README shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def example() -> str:
    text = (ROOT / "README.md").read_text()
    block = text.partition("<!-- example:begin -->")[2].partition("<!-- example:end -->")[0]
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


def test_the_examples_by_hand_run(program, recording):
    text = (ROOT / "README.md").read_text().partition("## By hand")[2]
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    source = found[1]
    program("open('plot.png', 'wb').write(b'PNG')\n" + source)
    run = recording.run()
    assert (run.name, run.params["layers"]) == ("baseline", [64, 64])
    assert run.metrics["loss"] == 0.001
