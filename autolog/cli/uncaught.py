"""An uncaught exception of a program that autolog started, shown as if Python had started it.

The exception travels on to the top of the process, so that exit code, death by SIGINT,
`sys.last_value` and interactive mode stay CPython's own. Only the display is prepared, and only
once the program has ended with an exception: until then `sys.excepthook` is never touched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any


def show_without_launcher(error: BaseException, after: Callable[[], None]) -> None:
    """Make the display of `error` leave out the frame that caught it, and all above it.

    The hook that the program left in `sys.excepthook` is called with it. `after` runs last.
    """
    caught = error.__traceback__
    traceback = caught.tb_next if caught else None
    missing = object()
    users: Any = getattr(sys, "excepthook", missing)

    def excepthook(
        kind: type[BaseException], value: BaseException, _full: TracebackType | None
    ) -> None:
        value.__traceback__ = traceback
        sys.last_traceback = traceback
        if users is missing:
            del sys.excepthook
            _say("sys.excepthook is missing\n")
            sys.__excepthook__(kind, value, traceback)
        else:
            sys.excepthook = users
            try:
                users(kind, value, traceback)
            except SystemExit:
                raise
            except BaseException as error:  # as in CPython's _PyErr_PrintEx
                _say("Error in sys.excepthook:\n")
                inner = error.__traceback__
                _show(error, inner.tb_next if inner else None)
                _say("\nOriginal exception was:\n")
                _show(value, traceback)
        after()

    sys.excepthook = excepthook


def _show(value: BaseException, traceback: TracebackType | None) -> None:
    value.__traceback__ = traceback
    sys.__excepthook__(type(value), value, traceback)


def _say(text: str) -> None:
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stderr.write(text)
