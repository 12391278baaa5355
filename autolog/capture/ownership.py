"""The ownership table: what a watched call is to the calls around it.

Rules, by their numbers in docs/architecture.md; the first that matches decides:

    1  the same object is already being trained (`super().fit()`)      -> PASS
    2  this process is a framework's worker                            -> PASS
    6  anything inside a piece (role part) of a container              -> PASS
       a piece of a container, inside it                               -> SILENT
       with nothing around it                                          -> PASS
    4  a lone transformer with nothing around it                       -> SILENT
    9  an evaluation: with nothing around it, or a trial               -> EVALUATE
       inside another evaluation                                       -> WATCH
       inside a training                                               -> PASS
    6  of an integration that is off (a bridge): nothing or a study
       around it                                                       -> DEFER
       inside a study                                                  -> CHILD
       inside a trial of a study: the first training                   -> JOIN
         one that goes on from present weights                         -> CONTINUE
         any other                                                     -> CHILD
       the first training inside a container whose integration is off  -> JOIN
       inside anything else                                            -> FOLD
    5  in a user's run: opened with fits="children", or by the parent  -> CHILD
       process
       the first training of it                                        -> JOIN
       one that goes on from present weights                           -> CONTINUE
       any other                                                       -> CHILD
    3  nothing around it and no run                                    -> OWN
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

__all__ = ["Around", "Decision", "UserRun", "decide"]


class Decision(Enum):
    """What becomes of a call."""

    PASS = "pass"  # noqa: S105
    """It is not looked at."""
    WATCH = "watch"
    """Its hook runs without a span of its own."""
    SILENT = "silent"
    """It gets a span without a run."""
    EVALUATE = "evaluate"
    """It gets a span without a run; its value goes to the run of what it evaluates."""
    OWN = "own"
    """It gets a run."""
    JOIN = "join"
    """It writes to the run around it (the user's, a bridge's) as its first training."""
    CONTINUE = "continue"
    """It writes to the user's run as a later part of the same training."""
    CHILD = "child"
    """It gets a run below the one around it."""
    FOLD = "fold"
    """It belongs to the training around it."""
    DEFER = "defer"
    """It gets its place, by the rules below, once something inside it is recorded."""


class Around(Protocol):
    """What the table asks of a span on the stack."""

    @property
    def role(self) -> str: ...  # noqa: D102

    @property
    def bridge(self) -> bool:
        """Whether its integration is off, and says nothing of what it trains."""
        ...

    def claim_first_training(self) -> bool:
        """Whether the caller is the first training inside of it; true only once."""
        ...

    def is_of(self, owner: object) -> bool:
        """Whether the span is a call on this very object."""
        ...


class UserRun(Protocol):
    """What the table asks of the run that is active."""

    @property
    def attached(self) -> bool: ...  # noqa: D102

    @property
    def fits(self) -> str: ...  # noqa: D102

    def claim_first_training(self) -> bool:
        """Whether the caller is the first training of this run; true only once."""
        ...


def decide(
    role: str,
    owner: object,
    stack: Sequence[Around],
    user_run: UserRun | None,
    *,
    worker: bool = False,
    bridge: bool = False,
) -> Decision:
    """Look a call up in the table.

    Args:
        role: the call's role (`autolog.integration.Role`, but not `watch`).
        owner: the object whose method is called, or the function.
        stack: the spans around the call, outermost first.
        user_run: the active run that the user opened.
        worker: this process is a worker of a framework.
        bridge: the call's integration is off; it takes part in ownership only.
    """
    evaluation = role == "evaluation"
    if not evaluation and any(span.is_of(owner) and span.role != "evaluation" for span in stack):
        return Decision.PASS
    if worker or (stack and stack[-1].role == "part"):
        return Decision.PASS
    if role == "part":
        return Decision.SILENT if stack else Decision.PASS
    if evaluation:
        if not stack or stack[-1].role == "trial":
            return Decision.EVALUATE
        return Decision.WATCH if stack[-1].role == "evaluation" else Decision.PASS
    if role == "preparation":
        return Decision.PASS if stack else Decision.SILENT
    if stack:
        around = stack[-1]
        if around.role == "study":
            return Decision.DEFER if bridge else Decision.CHILD
        if around.role == "trial" and not bridge:
            if around.claim_first_training():
                return Decision.JOIN
            return Decision.CONTINUE if role == "continuation" else Decision.CHILD
        joins = around.bridge and not bridge and around.claim_first_training()
        return Decision.JOIN if joins else Decision.FOLD
    if bridge:
        return Decision.DEFER
    if user_run is None:
        return Decision.OWN
    if user_run.attached or user_run.fits == "children":
        return Decision.CHILD
    if user_run.claim_first_training():
        return Decision.JOIN
    return Decision.CONTINUE if role == "continuation" else Decision.CHILD
