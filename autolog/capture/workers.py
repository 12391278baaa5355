"""Whether this process works for a framework: then its trainings are parts of another's run.

A process that was forked while a training was open, a loky worker and a DataLoader worker are
the framework's, and so is a rank above 0 of a process group. A process that the user started
outside of any training is the user's.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from autolog.capture import spans
from autolog.tracking import ranks, recorder

__all__ = ["is_framework_worker"]

_forked_in_training = False


def is_framework_worker() -> bool:
    """Whether a training in this process is part of one in another process."""
    if _forked_in_training:
        return True
    rank = ranks.current()
    if rank is not None:
        for one in recorder.all_recorders():  # what was recorded before the group existed
            if not one.knows_group:
                one.note_group()
        if rank.rank > 0:
            return True
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None and process.current_process().name.startswith("LokyProcess"):
        return True
    data: Any = sys.modules.get("torch.utils.data")
    get_worker_info = getattr(data, "get_worker_info", None)
    return get_worker_info is not None and get_worker_info() is not None


def _after_fork() -> None:
    global _forked_in_training
    _forked_in_training = _forked_in_training or spans.open_anywhere()
    spans.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
