"""The guards of this integration, by the names that `compat_matrix.yaml` uses.

A guard is a piece of code that is there for one quirk of the framework. Where the code stands, a
comment names the quirk; `capture.guard(name)` or `requires_guard=` asks whether it is needed.
"""

from __future__ import annotations

GUARDS: dict[str, str] = {
    "outside_graphs": "Have the compiler pass over our files.",
}
