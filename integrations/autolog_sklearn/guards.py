"""The guards of this integration, by the names that `compat_matrix.yaml` uses.

A guard is a piece of code that is there for one quirk of the framework. Where the code stands, a
comment names the quirk; `capture.guard(name)` or `requires_guard=` asks whether it is needed.
"""

from __future__ import annotations

GUARDS: dict[str, str] = {
    "joblib_bridge": "Carry the span of the training into joblib's worker threads.",
    "kind_by_tags": "Ask for the kind of an estimator as its tags say.",
    "kind_by_attribute": "Read the kind of an estimator, which has no tags yet.",
}
