"""What keeps this integration out of the graphs that `torch.compile` traces.

A hook that looks away while tracing is not called when the compiled code runs. So the compiler is
told to pass over our files: at the hooks of an optimizer and at a backward, where torch breaks the
graph anyway, they are called as they are; taps of what may be inside a graph pass while something
is traced. Nothing of the compiler is imported before torch or the user imports it.

What our code calls at a break would be compiled too, since the compiler looks at every frame that
begins below a compiled one. So the hooks have it look away for as long as they run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, TypeVar

from autolog.integration import Capture, Detach

__all__ = ["attach", "compiling", "outside_graphs"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_PACKAGES: Final = ("autolog", "autolog_torch")


def compiling() -> Callable[[], bool]:
    """Return torch's own question whether something is traced: the compiler knows its answer."""
    compiler: Any = import_module("torch.compiler")
    return compiler.is_compiling


def outside_graphs(function: _Function) -> _Function:
    """Wrap a function that may be called below compiled code: nothing in it is compiled.

    It takes positional arguments only.
    """
    # It is a part of torch's extension module: there with torch, and the compiler is not.
    extension: Any = import_module("torch._C")
    look: Any = extension._dynamo.eval_frame.set_eval_frame  # noqa: SLF001

    @functools.wraps(function)
    def outside(*given: Any) -> Any:
        compiler = look(None)
        try:
            return function(*given)
        finally:
            look(compiler)

    return outside  # type: ignore[return-value]


def attach(capture: Capture) -> Detach:
    """Have the compiler, now that it is there, leave our code alone."""
    del capture
    rules: Any = import_module("torch._dynamo.trace_rules")
    before = list(rules.SKIP_DIRS)
    for package in _PACKAGES:
        rules.add(package)

    def detach() -> None:
        rules.SKIP_DIRS[:] = before
        rules._recompile_re()  # noqa: SLF001

    return detach
