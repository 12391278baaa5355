"""What a store takes in: one stretch of one writer's journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autolog.journal.reader import Chunk, Cursor
from autolog.journal.records import Header

__all__ = ["Batch", "Due", "WriterRow", "WriterState"]

WriterState = Literal["open", "closed", "silent", "lost", "dead"]
"""What the store knows of a writer. closed: it wrote its last record; silent: whether its process
lives cannot be known from here; lost: a promised beat did not come; dead: its process is gone."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A chunk of a journal, with the cursor that it was read from.

    The store applies it only while its own cursor of this writer is still `since`: whoever lost
    a race reads on from the winner's cursor.
    """

    header: Header
    since: Cursor
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class WriterRow:
    """How far a writer's journal was folded, and what is known of the writer."""

    cursor: Cursor
    state: WriterState


@dataclass(frozen=True, slots=True)
class Due:
    """What a store has to do besides taking batches: nothing, as a rule."""

    parents: bool
    """A run asks for a parent: `Store.link_parents`."""
    seal: bool
    """A run has a long tail: `Store.seal`."""
    silent: bool
    """A promised beat did not come: `Store.judge_silent`."""
