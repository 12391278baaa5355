"""autolog is switched on before TensorFlow and Keras are imported, as a script does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys, warnings
environment = dict(os.environ)
from autolog import autolog
autolog()
early = sorted({"keras", "tensorflow", "tf_keras", "jax", "torch"} & set(sys.modules))
changed = dict(os.environ) != environment
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import tensorflow
    import keras
    kept = dict(os.environ)
    import numpy
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    rows = numpy.ones((8, 4), "float32")
    model.fit(rows, rows[:, :1], epochs=2, verbose=0)
import autolog
states = {site.integration: [] for site in autolog.status().sites}
for site in autolog.status().sites:
    states[site.integration].append(site.state)
autolog.disable()
model.fit(rows, rows[:, :1], verbose=0)
print(json.dumps({
    "early": early,
    "changed": changed,
    "backend": kept.get("KERAS_BACKEND") == environment.get("KERAS_BACKEND"),
    "warned": sorted({(one.category.__name__, one.filename) for one in caught}),
    "states": states,
    "left": [type(one).__name__ for one in sys.meta_path if "autolog" in type(one).__module__],
}))
"""


@pytest.mark.edge_case("EC-I1", "EC-I2", "EC-I8", "EC-I14")
def test_frameworks_imported_later_are_watched_and_nothing_else_is_different(recording, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["early"], found["changed"], found["backend"]) == ([], False, True)
    assert "autolog" not in done.stderr
    ours = [one for one in found["warned"] if one[0] == "ImportWarning" or "autolog" in one[1]]
    assert ours == []
    assert "applied" in found["states"]["keras"]
    assert set(found["states"]["keras"]) <= {"applied", "waiting"}
    assert set(found["states"]["tensorflow"]) <= {"applied", "waiting"}
    assert found["left"] == []
    run = recording.run()  # one run: that of the first fit, made by both integrations together
    assert run.status == "FINISHED"
    assert run.metrics["loss"] >= 0
