"""Notebooks: a loop's run ends with the cell that trained, and with that cell's outcome.

A later cell that trains the same parameters reopens it. IPython says when a cell has run; it is
asked to from the first loop on, and no longer when autolog is off. Loops of other threads go on.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from autolog.capture import loops
from autolog.tracking import lifecycle, notices

if TYPE_CHECKING:
    from autolog.tracking.run import LiveRun

__all__ = ["unwatch"]

_EVENT = "post_run_cell"


class _Watched:
    shell: Any = None


_watched = _Watched()


def unwatch() -> None:
    """Have IPython forget us."""
    shell, _watched.shell = _watched.shell, None
    if shell is not None and _cell_has_run in shell.events.callbacks.get(_EVENT, ()):
        shell.events.unregister(_EVENT, _cell_has_run)


def _watch(_: LiveRun | None) -> None:
    """Ask the IPython that this program runs in, if it does."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_shell() if get_shell is not None else None
    if shell is None or shell is _watched.shell:
        return
    unwatch()
    shell.events.register(_EVENT, _cell_has_run)
    _watched.shell = shell


def _cell_has_run(result: Any = None) -> None:
    try:
        lifecycle.settle()
        error = getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None)
        loops.end_here(error)
    except Exception as exc:  # IPython would print it below the user's cell
        notices.fault("autolog's end of a cell", exc)


loops.on_begin(_watch)
