"""Tells an interruption that reached a hook by chance from an error of the hook.

A signal is handled wherever the program happens to be. While it is in one of our hooks, Ctrl-C
raises `KeyboardInterrupt` there, and a handler of the program's own (a SIGTERM handler that calls
`sys.exit()`, a timeout by SIGALRM) whatever it likes. That was never meant for us: kept from the
user, the program could not be stopped, or would miss its timeout.

Everything else that a hook raises is its own error, of whatever class. `SystemExit` and the like
come out of the user's code that a hook has called (`get_params`, `__getstate__`), and would end a
training that runs to its end without us. A `KeyboardInterrupt` raised by such code looks like
Ctrl-C and is taken for it: a program that cannot be interrupted would be worse.
"""

from __future__ import annotations

import functools
import signal
from types import CodeType
from typing import Any, cast

__all__ = ["comes_from_outside"]


def comes_from_outside(exception: BaseException) -> bool:
    """Whether an exception out of a hook is the user's: Ctrl-C, or raised by a signal handler.

    What another thread injects (`PyThreadState_SetAsyncExc`) leaves no trace to tell it by.
    """
    if isinstance(exception, KeyboardInterrupt):
        return True
    handlers = _handlers()
    trace = exception.__traceback__ if handlers else None
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _handlers() -> set[CodeType]:
    """The code of all functions that handle signals in this process."""
    found: set[CodeType] = set()
    for number in signal.valid_signals():
        try:
            handler: Any = signal.getsignal(number)
        except ValueError:
            continue
        if not callable(handler):  # SIG_DFL, SIG_IGN, or set by C code
            continue
        while isinstance(handler, functools.partial):
            handler = cast("Any", handler).func
        called: Any = type(cast("object", handler)).__call__  # of an object that is callable
        for function in (handler, called):
            code = getattr(getattr(function, "__func__", function), "__code__", None)
            if isinstance(code, CodeType):
                found.add(code)
    return found
