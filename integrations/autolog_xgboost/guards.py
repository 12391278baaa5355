"""The guards of this integration, by the names that `compat_matrix.yaml` uses."""

from __future__ import annotations

GUARDS: dict[str, str] = {
    "late_history": "Read the round that a callback stopped from the history, after the training.",
    "score_with_deviation": "Take the mean of the best score of a cross-validation.",
}
