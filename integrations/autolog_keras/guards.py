"""The guards of this integration, by the names that `compat_matrix.yaml` uses.

A guard is a piece of code that is there for one quirk of the framework. Where the code stands, a
comment names the quirk; `capture.guard(name)` asks whether it is needed.
"""

from __future__ import annotations

GUARDS: dict[str, str] = {
    "both_namespaces": "Watch tf_keras beside keras: they share no class.",
    "stale_best": "Tell the best value of this fit from the one of an earlier fit.",
}
