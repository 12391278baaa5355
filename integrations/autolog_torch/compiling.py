"""What keeps this integration out of the graphs that `torch.compile` traces.

A hook that is traced breaks the graph, and one that looks away while tracing is not called when the
compiled code runs. So hooks are disabled for the compiler, which costs no graph break where torch
breaks the graph anyway (a backward, an optimizer's hooks), and taps pass while something is traced.
Nothing of the compiler is imported before the user imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from autolog.integration import Capture, Detach

__all__ = ["attach", "is_compiling", "outside_graphs"]

_PACKAGES: Final = ("autolog", "autolog_torch")


class _Switch:
    """Whether the compiler is there, and how to keep a hook from it."""

    disable: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None


_switch = _Switch()


def is_compiling() -> bool:
    """Whether the code that calls is being traced; the compiler knows this function's answer."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_compiling()


def outside_graphs(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Make a hook that the compiler calls without tracing it."""
    disabled: Callable[..., Any] | None = None

    def outside(*given: Any) -> None:
        nonlocal disabled
        if _switch.disable is None:
            hook(*given)
            return
        if disabled is None:
            disabled = _switch.disable(hook)
        disabled(*given)

    outside._torchdynamo_disable = True  # type: ignore[attr-defined]
    return outside


def attach(capture: Capture) -> Detach:
    """Have the compiler, now that it is there, leave our code alone."""
    del capture
    rules: Any = import_module("torch._dynamo.trace_rules")
    compiler: Any = import_module("torch.compiler")
    before = list(rules.SKIP_DIRS)
    for package in _PACKAGES:
        rules.add(package)
    _switch.disable = compiler.disable

    def detach() -> None:
        _switch.disable = None
        rules.SKIP_DIRS[:] = before
        rules._recompile_re()

    return detach
