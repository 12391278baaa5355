"""The checkpoints of one run: copied as they are written, the last and the best of each kept.

What is done while the program waits is the copy. The last one of each file, and the best by the
run's first validation series, get their digests and their place among the run's models when the run
ends, or when this process reads it; the others are gone by then. Files that differ only in the
numbers of their names (`epoch-3.pt`, `epoch-4.pt`) are states of one.
"""

from __future__ import annotations

import math
import os
import re
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autolog.artifacts import links, waiting
from autolog.artifacts.blobs import Blob
from autolog.artifacts.copying import Identity, copy, identify, sha256
from autolog.artifacts.manifest import format_named
from autolog.integration import Origin
from autolog.tracking import lifecycle, lineage
from autolog.tracking.printing import lower_is_better
from autolog.tracking.values import well_formed

if TYPE_CHECKING:
    from autolog.integration import Checkpoint
    from autolog.tracking.run import LiveRun, Point

__all__ = ["CHECKPOINT", "Checkpoints"]

CHECKPOINT: Final = "checkpoint"
"""Event of a checkpoint."""

_VALIDATION: Final = ("val/", "val_")
_NUMBERS: Final = re.compile(r"\d+(?:\.\d+)*")
_UNUSUAL: Final = re.compile(r"[^\w.]+|[_.]{2,}")
_ENDINGS: Final = re.compile(
    r"(\.(tmp|temp|part|new|pt|pth|ckpt|bin|safetensors|tar|model))+$", re.IGNORECASE
)
_GROUPS: Final = 16
"""More files than this are states of one: their names are made up anew each time."""
_LONGEST_HASHED: Final = 4 << 30
"""The end of a program does not wait to hash a linked file that is larger."""

_all: weakref.WeakSet[Checkpoints] = weakref.WeakSet()


@dataclass(eq=False)
class _State:
    """One checkpoint of which the copy, or the link, is kept.

    Attributes:
        told: what the integration said of it.
        number: how many of its group came before it.
        path: the user's file; None if it was written for the store alone.
        identity: what that file was.
        place: the folder where the copy waits.
        files: its files once they are among the blobs.
        value: the validation that belongs to it.
        seen: the mark of the validation that was the newest when it was written.
        mark: its mark for those who load the file.
    """

    told: Checkpoint
    number: int
    path: Path | None
    identity: Identity
    place: Path | None = None
    files: dict[str, Blob] | None = None
    value: float | None = None
    seen: object = None
    mark: str | None = None


@dataclass(eq=False)
class _Group:
    """The states of one file."""

    label: str
    last: _State | None = None
    best: _State | None = None
    """The best of those before the last."""
    spare: Path | None = None
    """The copy of a state that went, which the next one is written over."""
    count: int = 0
    told: tuple[_State | None, _State | None] = (None, None)
    """What is recorded as the last and as the best."""


class Checkpoints:
    """Takes the checkpoints of one run."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._groups: dict[str, _Group] = {}
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._waits_for_end = False
        _all.add(self)

    def add(self, checkpoint: Checkpoint, *, limit: int) -> int:
        """Take a checkpoint that was just written, or write it.

        Args:
            checkpoint: what is known of it.
            limit: bytes above which it is linked to; nothing is copied if that is 0.

        Returns:
            The bytes of one that was linked to, else 0.

        Raises:
            OSError: the file cannot be read, or the copy not be written.
        """
        with self._lock:
            if self._pid != os.getpid():  # a forked child: the run is its parent's
                return 0
            group = self._group(checkpoint)
            state = self._new_state(checkpoint, limit, group)
            if state is None:
                return 0
            if not limit:
                self._mark(state)
                self._tell(state, None, "not stored")
                return 0
            try:
                self._take(group, state)
            except BaseException:
                if state.place is not None:
                    waiting.discard(state.place)
                raise
            return state.identity.size if state.place is None and state.files is None else 0

    def _take(self, group: _Group, state: _State) -> None:
        """Make it the last one of its group."""
        group.count += 1
        state.number = group.count
        newest = self._run.newest(state.told.by or _VALIDATION)
        self._validate(group, state, newest)
        if state.place is not None:
            waiting.write_note(state.place, self._note(group, state))
        self._promote(group, newest)
        group.last = state
        self._mark(state)
        self._tell(state, newest, "linked" if state.place is None else "copied")
        if not self._run.active:
            self.settle()
        elif not self._waits_for_end:
            self._waits_for_end = True
            self._run.before_end(self._at_end)

    def settle(self) -> None:
        """Give what is kept its place among the run's files and models."""
        with self._lock:
            if self._pid != os.getpid():
                return
            for group in self._groups.values():
                last, best = group.last, group.best
                if last is None:
                    continue
                newest = self._run.newest(last.told.by or _VALIDATION)
                if last.value is None and newest is not None and newest.mark is not last.seen:
                    last.value = newest.value
                if best is not None and self._is_better(last, best, newest):
                    self._release(group, best)
                    group.best = best = None
                told_last, told_best = group.told
                if best is None and told_best is not None:
                    best = last
                if told_last is not last:
                    self._record(last, group.label, "last")
                if best is not None and told_best is not best:
                    self._record(best, f"{group.label}-best", "best")
                group.told = (last, best)

    # -- one checkpoint ----------------------------------------------------------------------

    def _new_state(self, told: Checkpoint, limit: int, group: _Group) -> _State | None:
        """Copy the file, or write it; None if it is no file that can be taken."""
        if told.write is None:
            path = Path(told.path)
            identity = identify(path)
            state = _State(told, 0, path.absolute(), identity)
            if identity.size > limit:
                return state
            state.place = self._place(group, told.file)
            copied = copy(path, state.place / told.file)
            if copied is None:  # somebody else writes to it: it is known, and not kept
                waiting.discard(state.place)
                state.place = None
                return state
            state.identity = copied
        else:
            if not limit:
                return None
            place = self._place(group, "")
            try:
                told.write(place / told.file)
                state = _State(told, 0, None, identify(place / told.file), place)
            except BaseException:
                waiting.discard(place)
                raise
        assert state.place is not None
        for name, content in (told.beside or {}).items():
            (state.place / name).write_bytes(content)
        return state

    def _place(self, group: _Group, file: str) -> Path:
        """Return a folder for the next copy."""
        spare, group.spare = group.spare, None
        if spare is not None:
            try:
                waiting.reuse(spare, file)
            except OSError:  # somebody has cleared it away
                waiting.discard(spare)
            else:
                return spare
        return waiting.new_place(self._run.recorder.blobs)

    def _mark(self, state: _State) -> None:
        """Let whoever loads the file find this run."""
        path = state.path
        if path is None:
            assert state.place is not None
            path = state.place / state.told.file
        origin = Origin(
            run_id=self._run.run_id,
            step=state.told.step,
            epoch=state.told.epoch,
            writer=self._run.recorder.writer.uid,
        )
        state.mark = lineage.mark(self._run.recorder.location, path, origin)

    def _tell(self, state: _State, newest: Point | None, kind: str) -> None:
        told = state.told
        data: dict[str, Any] = {"path": told.path, "step": told.step}
        if told.epoch is not None:
            data["epoch"] = told.epoch
        data |= {"size": state.identity.size, "kind": kind}
        if newest is not None and state.value is not None:
            data[newest.key] = state.value
        self._run.log_event(CHECKPOINT, data)

    def _note(self, group: _Group, state: _State) -> waiting.Note:
        form = format_named(state.told.format)
        return waiting.Note(
            run_id=self._run.run_id,
            label=group.label,
            number=state.number,
            format=state.told.format,
            safe=form is not None and form.safe,
            manifest=self._manifest(group.label, state, "last"),
        )

    def _manifest(self, label: str, state: _State, role: str) -> dict[str, Any]:
        told = state.told
        known = {"class": told.model, "versions": dict(told.versions or {})}
        place = {"group": label.removesuffix("-best"), "role": role}
        return {**known, "step": told.step, "epoch": told.epoch, "path": told.path, **place}

    # -- which are kept ----------------------------------------------------------------------

    def _group(self, told: Checkpoint) -> _Group:
        name = _NUMBERS.sub("#", os.path.abspath(told.path))  # noqa: PTH100
        group = self._groups.get(name)
        if group is None and len(self._groups) >= _GROUPS:
            group = next(reversed(self._groups.values()))
        if group is None:
            taken = {one.label for one in self._groups.values()}
            label = base = told.name or _label(told.path)
            number = 2
            while label in taken:
                label, number = f"{base}-{number}", number + 1
            group = self._groups[name] = _Group(label)
        return group

    def _validate(self, group: _Group, state: _State, newest: Point | None) -> None:
        """Say whose validation the newest one is.

        A program validates and then saves, or the other way round. A validation that is new since
        the checkpoint before belongs to that one if it was of the same step, and else to this.
        """
        if newest is None:
            return
        state.seen = newest.mark
        before = group.last
        if before is not None and newest.mark is before.seen:
            return
        step = state.told.step
        if before is not None and before.value is None and newest.step == before.told.step != step:
            before.value = newest.value
        else:
            state.value = newest.value

    def _promote(self, group: _Group, newest: Point | None) -> None:
        """The last one makes place: it is the best until now, or it goes."""
        last, best = group.last, group.best
        if last is None:
            return
        if last.value is not None and (best is None or self._is_better(last, best, newest)):
            gone, group.best = best, last
        else:
            gone = last
        if gone is not None:
            self._release(group, gone)

    def _is_better(self, one: _State, other: _State, newest: Point | None) -> bool:
        if one.value is None or math.isnan(one.value) or newest is None:
            return False
        if other.value is None or math.isnan(other.value):
            return True
        lower = lower_is_better(newest.key)
        return one.value < other.value if lower else one.value > other.value

    def _release(self, group: _Group, state: _State) -> None:
        if state.place is not None:
            if group.spare is not None:
                waiting.discard(group.spare)
            group.spare = state.place
            (state.place / waiting.NOTE).unlink(missing_ok=True)
        if state.mark is None:
            return
        if state.path is None or links.where_now(state.path, state.identity) is None:
            lineage.forget(self._run.recorder.location, state.mark)

    # -- the run's files and models ----------------------------------------------------------

    def _at_end(self) -> None:
        self._waits_for_end = False
        try:
            self.settle()
            for group in self._groups.values():
                spare, group.spare = group.spare, None
                if spare is not None:
                    waiting.discard(spare)
        except Exception as exc:
            from autolog.tracking import notices

            notices.keep_with(self._run, "checkpoints", exc)
            notices.fault("keeping checkpoints", exc)

    def _record(self, state: _State, name: str, role: str) -> None:
        if state.place is None and state.files is None:
            self._link(state, name)
            return
        if state.files is None:
            assert state.place is not None
            state.files = waiting.take(state.place, self._run.recorder.blobs)
            state.place = None
        form = format_named(state.told.format)
        described = self._manifest(name, state, role)
        safe = form is not None and form.safe
        self._run.note_model(name, state.told.format, state.files, described, safe=safe)

    def _link(self, state: _State, name: str) -> None:
        assert state.path is not None
        path = links.where_now(state.path, state.identity)
        digest = ""
        if path is not None and state.identity.size <= _LONGEST_HASHED:
            digest = sha256(path)
            if identify(path) != state.identity:
                digest = ""
        uri = links.link(path or state.path, state.identity)
        self._run.note_file(f"{name}/{state.told.file}", Blob(digest, state.identity.size, uri))


def _settle_all() -> None:
    """Bring the checkpoints of this process's runs where a reader finds them."""
    for one in list(_all):
        one.settle()


lifecycle.on_settle(_settle_all)


def _label(path: str) -> str:
    """Return what the states of a file are called: its name without numbers and endings."""
    for name in (Path(path).name, Path(path).absolute().parent.name):
        plain = _NUMBERS.sub("", _ENDINGS.sub("", name))
        plain = _UNUSUAL.sub("-", plain).strip("-_.= ")
        if plain:
            return well_formed(plain)
    return "checkpoint"
