"""Who called a watched function: the user's code, or Keras for itself."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final

__all__ = ["is_called_by_keras"]

_BETWEEN: Final = frozenset({"tensorboard", "tensorflow"})
_KERAS: Final = frozenset({"keras", "tf_keras"})
_ENGINE: Final = "autolog engine"
_DEPTH: Final = 24

_get_frame = sys._getframe  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def is_called_by_keras() -> bool:
    """Whether Keras is the first around the watched call that is no part of TensorFlow."""
    frame: FrameType | None = _get_frame(1)
    reached = False
    for _ in range(_DEPTH):
        if frame is None:
            return False
        if _ENGINE in frame.f_code.co_filename:
            reached = True
        elif reached:
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if package not in _BETWEEN:
                return package in _KERAS
        frame = frame.f_back
    return False
