"""Runs as another store would give them out."""

from __future__ import annotations

import itertools
import math

import numpy as np

from autolog.store.portrait import Points, Portrait, State

_versions = itertools.count(1)


def portrait_of(uid, points, **fields) -> Portrait:
    """Return a portrait of a run with one metric, in a state that was never seen before."""
    phases = ["fit", "post"]
    contexts = [{"phase": phase} for phase in phases]
    columns = Points(
        step=np.array([point.get("step", 0) for point in points], np.int64),
        value=np.array([point.get("value", 0.0) for point in points], np.float64),
        timestamp=np.array([point.get("us", 7) for point in points], np.int64),
        epoch=np.array([point.get("epoch", math.nan) for point in points], np.float64),
        attempt=np.array([point.get("attempt", 0) for point in points], np.int64),
        context=np.array([phases.index(point.get("phase", "fit")) for point in points], np.int64),
        contexts=contexts,
    )
    state = {"name": "x", "kind": "run", "status": "RUNNING", "opened": True} | fields
    return Portrait(
        uid=uid,
        source="s" * 32,
        ver=next(_versions),
        state=State(start_us=1, last_us=10, **state),
        contexts=contexts,
        metrics=["loss"],
        points=[("loss", columns)] if points else [],
    )
