"""What a caller of a package calls what it gives to it, and what it stores the result under.

As in `names`, neither a frame's variables nor a source file is read: the instruction behind the
call says where its result goes.
"""

from __future__ import annotations

import dis
import os
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType
from typing import Final

__all__ = ["argument_outside", "assigned_name", "receiver_outside"]

_DEPTH: Final = 16
"""Frames that are looked at, from the constructor outwards."""

_STORES: Final = frozenset(
    {"STORE_NAME", "STORE_FAST", "STORE_GLOBAL", "STORE_DEREF", "STORE_ATTR"}
)
_RETURNS: Final = frozenset({"RETURN_VALUE", "RETURN_GENERATOR"})

_get_frame = sys._getframe  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def assigned_name(package: str) -> str | None:
    """Return what the caller of this package's constructor stores the new object under.

    It is asked while the constructor runs. A constructor of a subclass and a function that returns
    the new object are passed through.
    """
    for code, lasti in _around(package):
        operation, name = _behind(code, lasti)
        if operation in _STORES:
            return name
        passes_on = operation in _RETURNS or code.co_name == "__init__"
        if not passes_on:
            return None
    return None


def argument_outside(package: str, position: int, count: int) -> str | None:
    """Return the variable that the code around a package gave to it, in the call under way.

    Args:
        package: its frames, the innermost ones, are passed through.
        position: which positional argument it is.
        count: how many there must be.
    """
    from autolog.patching.names import argument_name

    for code, lasti in _around(package):
        return argument_name(
            code,
            lasti,
            callee=None,
            positional=count,
            keywords={},
            wanted=position,
            may_pass_instance=False,
        )
    return None


def receiver_outside(package: str, method: str, count: int, keywords: Iterable[str]) -> str | None:
    """Return the variable that holds the object whose method the code around a package called.

    Args:
        package: its frames, the innermost ones, are passed through.
        method: the method that must have been called.
        count: how many positional arguments it was given.
        keywords: the names of its keyword arguments.
    """
    from autolog.patching.names import receiver_name

    for code, lasti in _around(package):
        return receiver_name(code, lasti, callee=method, positional=count, keywords=keywords)
    return None


def _around(package: str) -> Iterator[tuple[CodeType, int]]:
    """Yield the calls around the innermost frames of a package: code and instruction."""
    home = getattr(sys.modules.get(package), "__file__", None)
    if not home:
        return
    inside = os.path.dirname(home) + os.sep  # noqa: PTH120
    frame: FrameType | None = _get_frame(1)
    reached = False
    for _ in range(_DEPTH):
        if frame is None:
            return
        code = frame.f_code
        if code.co_filename.startswith((inside, "<autolog")):
            reached = True
        elif reached:
            yield code, frame.f_lasti
        frame = frame.f_back


def _behind(code: CodeType, lasti: int) -> tuple[str, str | None]:
    """Return the instruction behind a call, and the name it stores to."""
    prepared = False  # Python 3.11 has the call in two instructions
    for step in dis.get_instructions(code):
        if step.offset <= lasti:
            prepared = step.opname == "PRECALL"
            continue
        if step.opname in {"CACHE", "NOP"}:
            continue
        if prepared and step.opname == "CALL":
            prepared = False
            continue
        if step.opname in {
            "LOAD_FAST",
            "LOAD_NAME",
            "LOAD_GLOBAL",
            "LOAD_DEREF",
            "LOAD_FAST_BORROW",
        }:
            continue  # `self` of a `self.name = ...`
        if step.opname == "STORE_FAST_LOAD_FAST":
            return "STORE_FAST", step.argval[0]
        return step.opname, step.argval if isinstance(step.argval, str) else None
    return "", None
