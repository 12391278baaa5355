"""The guards of this integration, by the names that `compat_matrix.yaml` uses.

A guard is a piece of code that is there for one quirk of the framework. Where the code stands, a
comment names the quirk; `capture.guard(name)` asks whether it is needed.
"""

from __future__ import annotations

GUARDS: dict[str, str] = {
    "both_namespaces": "Watch pytorch_lightning beside lightning.pytorch: they share no class.",
    "swallowed_interrupt": "Ask the trainer whether a fit that returned was interrupted.",
    "interrupt_is_exit": "Take the SystemExit that a trainer makes of Ctrl-C for an interruption.",
}
