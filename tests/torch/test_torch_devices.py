"""Numbers of another device: nobody waits for it, and they arrive in order, the last ones too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("late_device.py").read_text()


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    """What the program printed, and the runs in its store; it runs once."""
    import os
    import subprocess
    import sys

    from autolog.tracking.reading import open_store

    folder = tmp_path_factory.mktemp("late")
    (folder / "script.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-W", "error", "script.py"],
        cwd=folder,
        env={**os.environ, "AUTOLOG_STORE": str(folder / "store"), "AUTOLOG_PRINT": "never"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["faults"] == []
    store = open_store(str(folder / "store"))
    try:
        found["last run"] = store.runs(limit=1).runs[0]
        points = store.history(found["last run"].run_id, "train/loss")
        found["last points"] = points.value.tolist()
    finally:
        store.close()
    return found


def test_no_number_is_read_from_a_device(late):
    assert late["read from the device"] == []
    assert late["copies"] == [["torch.bfloat16", True], ["torch.float32", True]]
    assert late["unpinned"] == 0


@pytest.mark.parametrize("name", ["accumulated", "beside the current device", "bfloat16"])
def test_numbers_arrive_in_order(late, name):
    losses, recorded = late["compared"][name]
    assert recorded == pytest.approx(losses, rel=1e-6 if name != "bfloat16" else 1e-2)
    assert len(recorded) == 4


def test_steps_go_on_while_the_device_does_nothing(late):
    losses, recorded, waiting = late["asleep"]
    assert waiting >= 5
    assert recorded == pytest.approx(losses)


def test_a_learning_rate_is_that_of_its_step_however_late_the_loss_is(late):
    assert late["rates"] == [0.5, 0.25, 0.125]


def test_nothing_is_asked_of_a_device_whose_work_is_captured(late):
    losses, recorded, copies = late["captured"]
    assert (copies, late["queries while capturing"]) == (0, 0)
    assert "captured_steps" in late["notices"]
    assert recorded == pytest.approx(losses)


def test_the_last_numbers_are_there_when_the_program_has_ended(late):
    assert late["last points"] == pytest.approx(late["at exit"])
    assert late["last run"].status == "FINISHED"
