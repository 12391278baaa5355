"""The guards of this integration, by the names that `compat_matrix.yaml` uses.

A guard is a piece of code that is there for one quirk of the framework. Where the code stands, a
comment names the quirk; `capture.guard(name)` asks whether it is needed.
"""

from __future__ import annotations

GUARDS: dict[str, str] = {
    "uncounted_callback": "Add a callback without changing the number of callbacks.",
    "worker_threads": "Take the trainings of Dask's workers for parts of the one of their client.",
    "merged_names": "Tell the data set from the metric in what a cross-validation calls them.",
    "default_log": "Read the evaluations without a callback where the user gave none.",
}
