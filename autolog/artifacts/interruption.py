"""Tells an interruption of the process from one that the code just called has made up.

autolog calls code of the user's objects (`__getstate__`) at moments of its own. A `SystemExit` that
such code raises would end a program that had gone on without autolog. One that a signal handler
raises meanwhile is somebody's wish to end the process.
"""

from __future__ import annotations

import opcode
import signal
from types import CodeType, TracebackType
from typing import Any, Final

__all__ = ["is_delivered"]

_RAISE: Final = opcode.opmap["RAISE_VARARGS"]


def is_delivered(exception: BaseException) -> bool:
    """Whether an exception came from a signal (Ctrl-C included), not from the code that it left.

    Python's own handler of Ctrl-C has no frame: its KeyboardInterrupt appears between two
    instructions, where no `raise` stands.
    """
    if isinstance(exception, Exception):
        return False
    handlers = _handlers()
    innermost: TracebackType | None = None
    step = exception.__traceback__
    while step is not None:
        if step.tb_frame.f_code in handlers:
            return True
        innermost, step = step, step.tb_next
    if not isinstance(exception, KeyboardInterrupt) or innermost is None:
        return False
    return innermost.tb_frame.f_code.co_code[innermost.tb_lasti] != _RAISE


def _handlers() -> set[CodeType]:
    """Return the code of the signal handlers that are written in Python."""
    found: set[CodeType] = set()
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        for thing in (handler, getattr(handler, "func", None), getattr(handler, "__call__", None)):
            code = getattr(thing, "__code__", None)
            if isinstance(code, CodeType):
                found.add(code)
    return found
