"""Spans: trainings, preparations and evaluations in progress, and the stack they form.

The stack is an immutable tuple in a context variable. A span is removed by identity, so leaving
in another order, or in another task than it was entered in, neither raises nor harms others.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

from autolog.capture import health, kept
from autolog.capture.options import MEGABYTE, Options
from autolog.entities import Kind, Status
from autolog.errors import AutologError, ModelError, StoreError
from autolog.integration import Checkpoint, Finished, Snapshot
from autolog.journal.records import SpanClose, SpanOpen
from autolog.tracking import context, finished, notices, opening, printing
from autolog.tracking.run import LiveRun, outcome

__all__ = [
    "COVERED",
    "CaptureSpan",
    "activate",
    "close",
    "covered",
    "covering",
    "current",
    "enclosed",
    "enter",
    "in_part",
    "nothing_open",
    "open_anywhere",
    "settle",
    "stack",
]

_DATA_LIMIT: Final = 16 * MEGABYTE

COVERED: Final = "torch.covered"
"""In the state of a span: its integration records the loop of PyTorch in it itself."""

_stack: ContextVar[tuple[CaptureSpan, ...]] = ContextVar("autolog_spans", default=())
_covering: ContextVar[bool] = ContextVar("autolog_covering", default=False)
_numbers = itertools.count(1)
_open: Counter[int] = Counter()
"""How often each span stands on a stack: one that is kept open may do so in several threads."""
_deciding = threading.RLock()
"""Threads that work for one container may be the first to be recorded at the same time."""


class CaptureSpan:
    """A call in progress; afterwards the handle through which its run is written.

    A span without a run takes everything and keeps nothing, except the step that a preparation
    hands to the next training. A span that folds has the run of the one `above` it. A span whose
    run is `deferred` gets it by that function, with the first thing that is recorded inside.
    """

    def __init__(
        self,
        *,
        role: str,
        owner: object,
        name: str,
        kind: str,
        integration: str,
        options: Options,
        run: LiveRun | None = None,
        owns_run: bool = False,
        ends_run: bool = False,
        prefix: str = "",
        above: CaptureSpan | None = None,
        bridge: bool = False,
        deferred: Callable[[CaptureSpan], None] | None = None,
    ) -> None:
        self.role = role
        self.name = name
        self.kind = kind
        self.integration = integration
        self.owns_run = owns_run
        self.bridge = bridge
        self.state: dict[str, Any] = {}
        self.joined_by: str | None = None
        self.has_model = False
        self.step: dict[str, Any] | None = None
        self._owner: object | None = owner
        self._options = options
        self._ends_run = ends_run
        self._prefix = prefix
        self._number = next(_numbers)
        self._run = run
        self._above = above
        self._deferred = deferred
        self._trainings = itertools.count()
        self.started_us = time.time_ns() // 1000
        self.thread = threading.get_ident()
        self._announced = False
        self.closed = False
        self.kept: kept.Kept | None = None
        """What keeps it open between the calls that its training is made of."""

    @property
    def run(self) -> LiveRun | None:
        """The run this span writes to now."""
        if self._run is None and self._above is not None:
            return self._above.run
        return self._run

    @property
    def owner(self) -> CaptureSpan:
        """The span that this one folds into, in the end; itself if it does not fold."""
        return self if self._above is None else self._above.owner

    def settle(self) -> None:
        """Get the run that was put off until there is something to record."""
        if self._above is not None:
            self._above.settle()
        elif self._deferred is not None:
            with _deciding:
                deferred, self._deferred = self._deferred, None
                if deferred is not None:
                    deferred(self)

    def take(self, run: LiveRun, *, ends_run: bool, prefix: str = "") -> None:
        """Write to `run` from here on."""
        self._run = run
        self.owns_run = True
        self._ends_run = ends_run
        self._prefix = prefix

    def claim_first_training(self) -> bool:
        """Whether the caller is the first training inside of this; true only once."""
        if self._above is not None:
            return self._above.claim_first_training()
        return next(self._trainings) == 0

    @property
    def run_id(self) -> str | None:
        """Id of the run this span writes to; None if it has none."""
        return self.run.run_id if self.run is not None else None

    @property
    def trained_by(self) -> str | None:
        """Id of the run that trained the model."""
        return self.run_id

    @property
    def number(self) -> int:
        """Its number in this process."""
        return self._number

    @property
    def opened_run(self) -> bool:
        """Whether its run was opened for it, and ends with it."""
        return self.owns_run and self._ends_run

    @property
    def subject(self) -> object | None:
        """The object whose method was called, while it is."""
        return self._owner

    def is_of(self, owner: object) -> bool:
        """Whether this is a call on that very object; the object is forgotten at the end."""
        return owner is not None and self._owner is owner

    # -- the contract ------------------------------------------------------------------------

    def child(self, kind: str, name: str) -> CaptureSpan:
        """Open a child run; end it with `end`."""
        self.settle()
        run = None
        if self.run is not None:
            run = opening.open_run(
                base=name, kind=kind, parent=self.run, experiment=self.run.experiment
            )
        return CaptureSpan(
            role="training",
            owner=object(),
            name=name,
            kind=kind,
            integration=self.integration,
            options=self._options,
            run=run,
            owns_run=run is not None,
            ends_run=True,
        )

    def children(self, kind: str, trainings: Sequence[Finished]) -> Sequence[str]:
        """Record child runs that are over; a fit that has candidates is a search."""
        self.settle()
        if self.run is None:
            return ()
        if kind == Kind.CANDIDATE.value and self.run.kind == Kind.FIT.value:
            self.run.become(Kind.SEARCH.value)
        return finished.record_children(self.run, kind, trainings)

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters; those of a continued training as `fit.2.*`."""
        self.settle()
        if self.run is not None and self.owns_run:
            if self._prefix:
                values = {f"{self._prefix}{key}": value for key, value in values.items()}
            self.run.log_params(values)

    def metrics(
        self, values: Mapping[str, float], *, step: int | None = None, epoch: int | None = None
    ) -> None:
        """Record one point for each key."""
        self.settle()
        if self.run is None:
            return
        if self.kept is not None and step is not None:
            self.run.loop_step = step
        self.run.log_metrics(values, step, epoch=epoch)
        health.observe(self.run, values, step)

    def evaluation(self, name: str, value: float) -> None:
        """Record the value of an evaluation, named `<data>/<metric>`."""
        self.settle()
        if self.run is not None:
            self.run.log_metrics({name: value}, dataset=name.rpartition("/")[0] or None)
            printing.evaluated(self.run, name, value)

    def input(self, role: str, data: Any, *, name: str | None = None) -> None:
        """Describe data that was used, if the user wants data described."""
        self.settle()
        if self.run is not None and self._options.log_datasets:
            self.run.log_input(data, name, role=role)

    def model(self, snapshot: Snapshot) -> None:
        """Store the model within the user's limits; a notice says what was left out and why."""
        self.has_model = True  # also one that is not stored: the user was told why
        self.settle()
        if self.run is None or self._options.log_models == "never":
            return
        limit = self._options.max_model_bytes
        capped = snapshot.contains_data and self._options.log_models == "auto"
        capped = capped and limit > _DATA_LIMIT
        name = type(snapshot.model).__name__
        try:
            refused = self.run.save_model(snapshot, limit=_DATA_LIMIT if capped else limit)
        except ModelError as exc:  # no fault of a hook, which would be switched off after three
            notices.keep_with(self.run, f"{self.integration}, model", exc)
            notices.tell("model_not_stored", str(exc), self.run, about=f"{name} pickle")
            return
        if refused is None:
            return
        megabytes = refused.size // MEGABYTE + 1
        why, option = f"takes {megabytes} MB", f"max_model_mb={megabytes}"
        if capped:
            why = f"{why} and holds training rows"
            option = 'log_models="always"' + (f", {option}" if refused.size > limit else "")
        notices.tell(
            "model_not_stored",
            f"the model {name} {why} and was not stored; autolog({option}) stores it",
            self.run,
            about=f"{name} {capped}",
        )

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a copy of a checkpoint, or a link to it, within the user's limits."""
        self.settle()
        if self.run is None:
            return
        limit = 0 if self._options.log_models == "never" else self._options.max_model_bytes
        try:
            linked = self.run.checkpoints.add(checkpoint, limit=limit)
        except (OSError, StoreError) as exc:  # no fault of a hook: a full disk, a file that is gone
            notices.keep_with(self.run, f"{self.integration}, checkpoint", exc)
            notices.tell("checkpoint_not_stored", f"a checkpoint was not stored: {exc}", self.run)
            return
        if linked > limit:
            megabytes = linked // MEGABYTE + 1
            notices.tell(
                "checkpoint_linked",
                f"checkpoints of {megabytes} MB are linked to, not copied, and lost once they are"
                f" overwritten; autolog(max_model_mb={megabytes}) copies them",
                self.run,
                about=checkpoint.model,
            )

    def artifact(self, path: str, content: bytes) -> None:
        """Store a file under the run's artifacts."""
        self.settle()
        if self.run is not None:
            self.run.log_bytes(content, path)

    def file(self, path: str, name: str) -> bool:
        """Store a copy of a model's file within the user's limits."""
        self.settle()
        if self.run is None or self._options.log_models == "never":
            return False
        if not 0 < os.path.getsize(path) <= self._options.max_model_bytes:  # noqa: PTH202
            return False
        self.run.copy_file(path, name)
        return True

    def table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Record a table by its columns."""
        self.settle()
        if self.run is not None:
            self.run.log_table(columns, name)

    def tag(self, key: str, value: str) -> None:
        """Set a tag of the run; a continued training does not rename what it continues."""
        self.settle()
        if self.run is not None and self.owns_run and not self._prefix:
            self.run.set_tag(key, value)

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Record something that happened; what a preparation reports waits for its training."""
        if self.role == "preparation":
            self.step = dict(data)
            return
        self.settle()
        if self.run is not None:
            self.run.log_event(kind, data)

    def keep(self, owner: Any) -> None:
        """Leave the call, and keep the run open until `owner` is collected or somebody ends it."""
        if self.kept is None and self.run is not None and self.owns_run and not self.closed:
            kept.keep(self, owner)
        self._pause(None)

    def at_end(self, callback: Callable[[], None]) -> None:
        """Call back before a training that is kept open ends, each time that it does."""
        if self.kept is not None:
            self.kept.callbacks.append(callback)

    def end(self, status: str = Status.FINISHED.value) -> None:
        """Close a span that `Capture.open` or `child` opened."""
        self._leave()
        if self.run is not None and self._ends_run:
            self.run.end(status)
        elif self.run is not None and self.owns_run and status != Status.FINISHED.value:
            self.run.log_event("training_failed", {"status": status, "error": None})

    # -- the engine's side -------------------------------------------------------------------

    def announce(self) -> None:
        """Write the beginning of a training: processes born before its end are its workers."""
        if self.run is None:
            return
        self._announced = True
        writer = self.run.recorder.writer
        writer.append(
            SpanOpen(
                span=self._number,
                run=writer.run(self.run.run_id),
                role=self.role,
                kind=self.kind,
                name=self.name,
                wall_us=writer.now_us(),
            )
        )

    def finish(self, exception: BaseException | None) -> None:
        """Leave the stack, and end the run if it is this span's to end."""
        if self.kept is not None:
            self._pause(exception)
            if self._ends_run:
                return
        elif self.closed:  # by the integration, which knows better how the training ended
            return
        else:
            self._leave()
        if self.run is None or not self.owns_run:
            return
        if self._ends_run:
            self.run.end_by(exception)
        elif exception is not None:
            status, _, error = outcome(exception)
            self.run.log_event("training_failed", {"status": status, "error": error})

    def resume(self, owner: object) -> None:
        """Go on with a training that is kept open."""
        self._owner = owner
        self.thread = threading.get_ident()
        if self.kept is not None:
            self.kept.enter()

    def _pause(self, exception: BaseException | None) -> None:
        """Take a span that is kept open off this context's stack, once."""
        entries = list(_stack.get())
        at = next((at for at in reversed(range(len(entries))) if entries[at] is self), None)
        if self.kept is None or at is None:
            return
        del entries[at]
        _stack.set(tuple(entries))
        _open[self._number] -= 1
        if self.run is not None and self._ends_run:
            context.pop(self.run)
        self._announce_end()
        self.kept.leave(exception)
        if not self.kept.in_call:
            self._owner = None
            _open.pop(self._number, None)

    def _leave(self) -> None:
        """Take the span off the stack, whatever context this is, and write that it has ended."""
        if self.closed:
            return
        self.closed = True
        self._owner = None
        self._deferred = None
        _open.pop(self._number, None)
        _stack.set(tuple(span for span in _stack.get() if not span.closed))
        if self.run is None or not self.owns_run or self.role == "evaluation":
            return
        context.remember_trained(self.run)
        if self._ends_run:
            context.pop(self.run)
        self._announce_end()

    def _announce_end(self) -> None:
        if self.run is None or not self._announced:
            return
        self._announced = False
        with contextlib.suppress(AutologError):  # the run's end is worth the try without it
            writer = self.run.recorder.writer
            writer.append(SpanClose(span=self._number, wall_us=writer.now_us()))


def stack() -> tuple[CaptureSpan, ...]:
    """Return the open spans of this context, outermost first.

    A span that was closed in another context still stands on this one's tuple.
    """
    return tuple(span for span in _stack.get() if not span.closed)


def current() -> CaptureSpan | None:
    """Return the innermost open span of this context."""
    spans = stack()
    return spans[-1] if spans else None


def covered() -> bool:
    """Whether raw loops in here are nobody's: somebody else records them, or a piece is silent."""
    spans = _stack.get()
    if not spans:
        return _covering.get()
    return (
        _covering.get()
        or in_part()
        or any(COVERED in span.state for span in spans if not span.closed)
    )


class covering:  # noqa: N801  read as a verb, and a generator would cost more than what it does
    """Have `covered` say yes inside the block: whoever enters it records what happens there."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        """Cover what this context does."""
        self._token = _covering.set(True)

    def __exit__(self, *_: object) -> None:
        """Uncover it, in another context too: a generator may be closed anywhere."""
        try:
            _covering.reset(self._token)
        except ValueError:
            _covering.set(False)


def nothing_open() -> bool:
    """Whether no span stands on this context's stack, not even one that was closed elsewhere."""
    return not _stack.get()


def enter(span: CaptureSpan) -> None:
    """Make `span` the innermost one, and its run the active one."""
    _stack.set((*stack(), span))
    _open[span.number] += 1
    activate(span)


def activate(span: CaptureSpan) -> None:
    """Make the run that was opened for a span the active one, where the span is open."""
    if span.run is not None and span.opened_run and span.thread == threading.get_ident():
        context.push(span.run)


def close(span: CaptureSpan, exception: BaseException | None = None) -> None:
    """End a span with the exception that left its call, if one did."""
    span.finish(exception)


def in_part() -> bool:
    """Whether this is inside a piece of a container, where nothing is looked at."""
    spans = _stack.get()
    return bool(spans) and spans[-1].role == "part" and not spans[-1].closed


def settle() -> None:
    """Give the training around this call its run, if that was put off; a piece has none."""
    for span in reversed(stack()):
        if span.role != "part":
            span.settle()
            return


def open_anywhere() -> bool:
    """Whether a span is open in any thread of this process."""
    return bool(_open)


@contextlib.contextmanager
def enclosed(span: CaptureSpan | None) -> Generator[None]:
    """Make `span` the innermost one inside the block: for a thread that works for it."""
    if span is None:
        yield
        return
    before = _stack.get()
    _stack.set((*before, span))
    try:
        yield
    finally:
        _stack.set(before)


def after_fork() -> None:
    """In a forked child: the parent's spans are not ours, nor is a lock of its threads."""
    global _deciding
    _deciding = threading.RLock()
    _stack.set(())
    _open.clear()
    kept.after_fork()
