"""A run of this process: everything that is logged goes through it into the journal.

A call that returned has been written: it survives the death of the process. What is written
after the end of a run is kept too, marked as phase `post`.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from autolog.artifacts.manifest import STAGED, manifest, native_format, snapshot
from autolog.entities import TABLE, Kind, Phase, Status
from autolog.errors import UsageError
from autolog.journal.records import (
    ArtifactFile,
    Event,
    Input,
    ModelSaved,
    Params,
    RunEnd,
    RunUpdate,
    Tags,
)
from autolog.tracking import context, datasets, notices
from autolog.tracking.tables import CELLS_IN_JOURNAL, as_columns, as_json
from autolog.tracking.values import as_float, as_floats, as_texts, plain_mapping, well_formed

if TYPE_CHECKING:
    from types import TracebackType

    from autolog.artifacts.blobs import Blob
    from autolog.artifacts.staging import TooLarge
    from autolog.integration import Snapshot
    from autolog.journal.writer import Writer
    from autolog.tracking.checkpoints import Checkpoints
    from autolog.tracking.recorder import Recorder

__all__ = ["CallSite", "Fits", "LiveRun", "Point", "last_exception", "outcome"]

Fits = Literal["join", "children"]
CallSite = tuple[str, int, int]
"""File, line and instruction of a call."""

_RUNNING: Final = Status.RUNNING.value
_PLAIN: Final = frozenset({float, int, bool})
"""Types of numbers that the journal takes as they are."""

_LONG_PARAM: Final = 8192
"""A longer text is stored as an artifact; the parameter keeps its beginning and says so."""


def last_exception() -> BaseException | None:
    """Return the exception that this process reported last, if any."""
    return getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)


class Point(NamedTuple):
    """The newest point of a series; `mark` is the same object as long as there is no newer one."""

    key: str
    step: int
    value: float
    mark: object


class LiveRun:
    """A run that this process writes to; `start_run` returns it.

    As a context manager it ends the run when the block ends: FINISHED, KILLED after a
    KeyboardInterrupt, FAILED after any other exception or a non-zero exit code.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        run_id: str,
        name: str,
        kind: str,
        experiment: str,
        parent_id: str | None = None,
        user_opened: bool = False,
        attached: bool = False,
        fits: Fits = "join",
        attempt: int = 0,
    ) -> None:
        self.run_id = run_id
        self.name = name
        self.kind = kind
        self.experiment = experiment
        self.parent_id = parent_id
        self.user_opened = user_opened
        self.attached = attached
        self.fits: Fits = fits
        self.status: str = Status.RUNNING.value
        self._claims = itertools.count()
        self._continuations = itertools.count(2)
        self.opened_at: CallSite | None = None
        self.opened_in = threading.get_ident()
        self.in_block = False
        self.loop_step: int | None = None
        self._last_step_us: int | None = None
        self._before_end: list[Callable[[], None]] = []
        self.rank: int | None = None
        """Of a rank above 0: its points are told apart from those of the group's other ranks."""
        self._newest: dict[tuple[str, ...], tuple[int, list[float]]] = {}
        """The newest step and values of each set of keys that are logged together."""
        self._checkpoints: Checkpoints | None = None
        self._recorder = recorder
        self._attempt = attempt
        self.began_us = time.time_ns() // 1000
        self._error_before = last_exception()
        self._counters: dict[str, Iterator[int]] = {}
        self._counting: Writer | None = None
        self._bound: tuple[Writer, int] | None = None
        """The journal of this process and the run's number in it, while both hold."""

    def __repr__(self) -> str:
        return f"<autolog run {self.name} {self.run_id} {self.status}>"

    @property
    def active(self) -> bool:
        """Whether the run has not ended yet."""
        return self.status == _RUNNING

    def claim_first_training(self) -> bool:
        """Whether the caller is the first training of this run; true only once."""
        return next(self._claims) == 0

    def next_training_number(self) -> int:
        """Return 2 for the first training that continues the one of this run, then 3."""
        return next(self._continuations)

    @property
    def recorder(self) -> Recorder:
        """The journal and blobs it writes to."""
        return self._recorder

    # -- parameters, tags and events ---------------------------------------------------------

    def log_param(self, key: str, value: Any) -> None:
        """Record one parameter; the first value of a key stands."""
        self.log_params({key: value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters: scalars keep their type, other objects are described."""
        if not isinstance(params, Mapping):  # type: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"log_params takes a dictionary, not a {type(params).__name__}")
        values = plain_mapping(params)
        for key, value in values.items():
            text = value if isinstance(value, str) else None
            if isinstance(value, (list, dict)):
                text = json.dumps(value)
            if text is not None and len(text) > _LONG_PARAM:
                values[key] = self._store_long_param(key, text)
        self._append(Params(run=self._number(), values=values))

    def set_tag(self, key: str, value: Any) -> None:
        """Set one tag; the last value of a key stands."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; values are stored as text."""
        values = as_texts(tags)
        self._append(Tags(run=self._number(), values=values))

    def log_event(self, kind: str, data: Mapping[str, Any] | None = None) -> None:
        """Record that something happened."""
        event = Event(
            kind=kind,
            run=self._number(),
            wall_us=self._writer.now_us(),
            data=plain_mapping(data or {}),
        )
        self._append(event)

    # -- metrics -----------------------------------------------------------------------------

    def log_metric(
        self, key: str, value: Any, step: int | None = None, *, epoch: int | None = None
    ) -> None:
        """Record one point. Without `step` the points of a key are numbered from 0."""
        self.log_metrics({key: value}, step, epoch=epoch)

    def log_metrics(
        self,
        metrics: Mapping[str, Any],
        step: int | None = None,
        *,
        epoch: int | None = None,
        dataset: str | None = None,
    ) -> None:
        """Record one point of each key at the same step and time.

        Args:
            metrics: numbers, or arrays and tensors of one element.
            step: any 64-bit integer; None numbers each key's points from 0, but not below the step
                of the loop that trains in this run.
            epoch: the epoch it belongs to, beside the step.
            dataset: the data it was measured on.

        Raises:
            UsageError: a value is no number, or a key no text.
            JournalError: the journal cannot be written.
        """
        bound = self._bound
        if bound is None or not bound[0].alive:
            bound = self._bind()
        writer, number = bound
        kind = type(metrics)  # a name of its own: the type of `metrics` stays what it is declared
        if kind is not dict or not _PLAIN.issuperset(map(type, metrics.values())):
            metrics = as_floats(metrics)
        if not metrics:
            return
        ctx = 0
        if dataset is not None or self.status != _RUNNING or self.rank is not None:
            phase = Phase.FIT if self.active else Phase.POST
            ctx = writer.context(phase=phase.value, dataset=dataset, rank=self.rank)
        if step is not None:
            values, keys = [*metrics.values()], tuple(metrics)
            writer.points(number, keys, values, step, epoch, ctx, self._attempt)
            self._newest[keys] = (step, values)
            return
        for at, group in self._numbered(writer, metrics):
            values, keys = [*group.values()], tuple(group)
            writer.points(number, keys, values, at, epoch, ctx, self._attempt)
            self._newest[keys] = (at, values)

    def newest(self, prefix: str | tuple[str, ...]) -> Point | None:
        """Return the newest point of the first series whose name begins so."""
        for keys, (step, values) in tuple(self._newest.items()):
            for key, value in zip(keys, values, strict=True):
                if key.startswith(prefix):
                    return Point(key, step, value, values)
        return None

    def log_step(
        self, keys: tuple[str, ...], values: list[float], step: int, epoch: int | None
    ) -> None:
        """Record the step of a loop: plain numbers at keys that are the same in many steps."""
        bound = self._bound
        if bound is None or not bound[0].alive:
            bound = self._bind()
        writer, number = bound
        writer.points(number, keys, values, step, epoch, 0, self._attempt)
        self.loop_step = step
        self._last_step_us = writer.now_us()

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Record a dictionary of numbers; nested dictionaries become `outer/inner`."""
        self.log_metrics(dict(_flatten(values)), step)

    # -- files -------------------------------------------------------------------------------

    def log_artifact(self, path: str | Path, artifact_path: str | None = None) -> None:
        """Store a copy of a file (or of a folder's files) below `artifact_path`."""
        source = Path(path)
        if source.is_dir():
            self.log_artifacts(source, _join(artifact_path, source.name))
        elif source.is_file():
            self.note_file(_join(artifact_path, source.name), self._recorder.blobs.put_file(source))
        else:
            raise UsageError(f"log_artifact: there is no file {str(source)!r}")

    def copy_file(self, path: str | Path, name: str) -> None:
        """Store a copy of a file as the artifact `name`."""
        self.note_file(_join(None, name), self._recorder.blobs.put_file(Path(path)))

    def log_artifacts(self, folder: str | Path, artifact_path: str | None = None) -> None:
        """Store copies of all files of a folder, with their relative paths."""
        root = Path(folder)
        if not root.is_dir():
            raise UsageError(f"log_artifacts: there is no folder {str(root)!r}")
        for path in sorted(root.rglob("*")):
            if path.is_file():
                name = _join(artifact_path, path.relative_to(root).as_posix())
                self.note_file(name, self._recorder.blobs.put_file(path))

    def log_text(self, text: str, artifact_file: str) -> None:
        """Store text as a file (UTF-8)."""
        self.log_bytes(text.encode("utf-8", "surrogatepass"), artifact_file)

    def log_dict(self, dictionary: Mapping[str, Any] | list[Any], artifact_file: str) -> None:
        """Store a dictionary or a list as a JSON file."""
        self.log_text(json.dumps(dictionary, indent=2, default=str), artifact_file)

    def log_figure(self, figure: Any, artifact_file: str) -> None:
        """Store a figure of matplotlib (any suffix it can save), plotly (`.html`) or a picture.

        Raises:
            UsageError: the object can do none of these.
        """
        suffix = PurePosixPath(artifact_file).suffix.lstrip(".") or "png"
        target = BytesIO()
        if hasattr(figure, "savefig"):
            figure.savefig(target, format=suffix)
        elif hasattr(figure, "to_html"):
            target.write(str(figure.to_html(include_plotlyjs="cdn")).encode())
        elif hasattr(figure, "save"):
            figure.save(target, format=suffix)
        else:
            raise UsageError(
                f"log_figure cannot save a {type(figure).__name__}: expected a matplotlib or plotly"
                " figure or a PIL image; other files are stored with log_artifact"
            )
        self.log_bytes(target.getvalue(), artifact_file)

    def log_bytes(self, content: bytes, artifact_file: str) -> None:
        """Store bytes as a file."""
        self.note_file(_join(None, artifact_file), self._recorder.blobs.put(content))

    def log_table(self, data: Any, name: str) -> None:
        """Record a table, so that `load_table` can give it back.

        Args:
            data: a dictionary of columns of one length, or a DataFrame of pandas or polars.
            name: what it is called; a later table of the name stands beside the earlier one.

        Raises:
            UsageError: it is no table.
        """
        columns = as_columns(data)
        rows = max(map(len, columns.values()), default=0)
        told: dict[str, Any] = {"name": name, "rows": rows}
        if rows * len(columns) <= CELLS_IN_JOURNAL:
            self.log_event(TABLE, {**told, "columns": columns})
            return
        path = self._placed(_join("tables", f"{name}.json"))
        self.log_text(as_json(columns), path)
        self.log_event(TABLE, {**told, "artifact": path})

    def log_input(self, data: Any, name: str | None = None, *, role: str = "train") -> None:
        """Record which data the run used: shape, dtypes, columns and a fingerprint, not the data.

        It is read as it is now, before a training can change it: whole up to 8 MB, else a sample.
        """
        profile = plain_mapping(datasets.describe(data))
        number = self._number()
        label = well_formed(name or role)
        self._append(Input(run=number, role=role, name=label, profile=profile))

    def log_model(self, model: Any, name: str = "model") -> None:
        """Store a model, whatever its size, so that `load_model` can give it back.

        Raises:
            ModelError: it cannot be pickled.
        """
        self.save_model(snapshot(model), name)

    def save_model(
        self, snapshot: Snapshot, name: str | None = None, *, limit: int = sys.maxsize
    ) -> TooLarge | None:
        """Store a snapshot if it takes at most `limit` bytes; else say what it would take."""
        from autolog.artifacts.staging import TooLarge, stage

        name = self._placed(snapshot.name if name is None else name)
        if snapshot.size is not None and snapshot.size > limit:
            return TooLarge(snapshot.size)
        native = native_format(snapshot)
        staged = stage(snapshot.model, self._recorder.blobs, limit=limit, native=native)
        if isinstance(staged, TooLarge):
            return staged
        form = STAGED if staged.form is None else staged.form.name
        safe = staged.form is not None and staged.form.safe
        described = manifest(snapshot, by_value=staged.by_value, fallback=staged.fallback)
        self.note_model(name, form, staged.files, described, safe=safe)
        if staged.form is not None and staged.fallback is not None:
            kind = type(snapshot.model).__name__
            text = f"the model {kind} was stored {staged.fallback}"
            notices.tell("model_reduced", text, self, about=text)
        return None

    def note_model(
        self,
        name: str,
        form: str,
        files: Mapping[str, Blob],
        described: Mapping[str, Any],
        *,
        safe: bool,
    ) -> None:
        """Record a model whose files are in the store, by their names below the model's."""
        named = {f"{name}/{path}": blob for path, blob in files.items()}
        for path, blob in named.items():
            self.note_file(path, blob)
        self._append(
            ModelSaved(
                run=self._number(),
                name=name,
                format=form,
                safe=safe,
                size=sum(blob.size for blob in files.values()),
                paths=list(named),
                manifest=plain_mapping(described),
                wall_us=self._writer.now_us(),
            )
        )

    @property
    def checkpoints(self) -> Checkpoints:
        """The files that its training writes its models to."""
        if self._checkpoints is None:
            from autolog.tracking.checkpoints import Checkpoints

            self._checkpoints = Checkpoints(self)
        return self._checkpoints

    # -- the tree and the end ----------------------------------------------------------------

    def child(self, name: str | None = None, *, kind: str = Kind.RUN.value) -> LiveRun:
        """Open a run below this one; end it with `end`, or use it as a context manager."""
        from autolog.tracking import opening

        return opening.open_run(name=name, kind=kind, parent=self, experiment=self.experiment)

    def restored(self, step: int) -> None:
        """Say that the training goes on from a checkpoint written after `step`.

        Of earlier attempts of this run, points after that step are superseded: they stay stored,
        and histories pass over them. Without this call they are superseded from the first step on
        that this attempt logs of a metric.
        """
        self._append(RunUpdate(run=self._number(), restored_step=int(step)))

    def rename(self, name: str) -> None:
        """Give the run another name."""
        self.name = well_formed(name)
        self._append(RunUpdate(run=self._number(), name=self.name))

    def become(self, kind: str, *, below: LiveRun | None = None) -> None:
        """Say what the run has turned out to be: a fit that tried candidates is a search.

        Args:
            kind: its new kind.
            below: the run that it turned out to be a part of.
        """
        self.kind = kind
        if below is not None:
            self.parent_id = below.run_id
        parent = self.parent_id if below is not None else None
        self._append(RunUpdate(run=self._number(), kind=kind, parent=parent))

    def end(
        self,
        status: str = Status.FINISHED.value,
        *,
        exit_code: int | None = None,
        error: str | None = None,
    ) -> None:
        """End the run; a run that has ended keeps its status.

        Raises:
            UsageError: no such status.
        """
        if status not in Status.__members__:
            raise UsageError(f"unknown status {status!r}: {', '.join(Status.__members__)}")
        if not self.active:
            return
        from autolog.tracking import lifecycle

        if self.user_opened:  # what is held until its place is clear has its place here
            lifecycle.settle()
        while self._before_end:
            self._before_end.pop(0)()
        if not self.active:  # one of them has ended it
            return
        context.pop(self)
        self._recorder.open_runs.pop(self.run_id, None)
        self._write_end(status, exit_code, error)
        self.status = status
        self._bound = None
        lifecycle.run_ended(self)

    def reopen(self) -> None:
        """Go on with a run that has ended: its training does."""
        if self.active:
            return
        before, self.status = self.status, Status.RUNNING.value
        self._append(RunUpdate(run=self._number(), reopened=True))
        self._recorder.open_runs[self.run_id] = self
        from autolog.tracking import lifecycle

        lifecycle.run_reopened(before)

    def before_end(self, callback: Callable[[], None]) -> None:
        """Call back once, right before the run ends; what it raises must stay inside."""
        self._before_end.append(callback)

    def note_step(self) -> None:
        """Note that a training without an end of its own has made a step: the run ends with it."""
        self._last_step_us = self._writer.now_us()

    def end_by(self, exception: BaseException | None) -> None:
        """End the run with the status that an exception means; None is success."""
        status, code, error = outcome(exception)
        self.end(status, exit_code=code, error=error)

    def failed_since_start(self) -> BaseException | None:
        """Return the exception that this process has reported since the run began."""
        reported = last_exception()
        return reported if reported is not self._error_before else None

    def __enter__(self) -> LiveRun:
        self.in_block = True
        context.push(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end_by(exception)

    # -- the journal -------------------------------------------------------------------------

    def _write_end(self, status: str, exit_code: int | None, error: str | None) -> None:
        if not self.attached:  # whoever opened the run ends it
            writer = self._writer
            writer.append(
                RunEnd(
                    run=writer.run(self.run_id),
                    status=status,
                    end_us=self._last_step_us or writer.now_us(),
                    exit_code=exit_code,
                    error=error,
                )
            )
        self._recorder.note_group()
        self._recorder.sync()

    @property
    def _writer(self) -> Writer:
        return self._recorder.writer

    def _bind(self) -> tuple[Writer, int]:
        """Find the journal of this process and the run's number in it.

        The number of a run that has ended does not hold for ever.
        """
        number = self._number()
        bound = (self._recorder.writer, number)
        if self.status == _RUNNING:
            self._bound = bound
        return bound

    def _number(self) -> int:
        return self._recorder.writer.run(self.run_id)

    def _append(self, record: Any) -> None:
        self._recorder.writer.append(record)

    def _placed(self, path: str) -> str:
        return path

    def note_file(self, path: str, blob: Blob) -> None:
        """Record a file that is in the store, or a link to one that is not."""
        path = self._placed(path)
        number = self._number()
        self._append(
            ArtifactFile(run=number, path=path, size=blob.size, sha256=blob.sha256, uri=blob.uri)
        )

    def _store_long_param(self, key: str, text: str) -> str:
        path = self._placed(f"params/{key.replace('/', '_')}.txt")
        self.log_text(text, path)
        self.log_event("long_param", {"key": key, "characters": len(text), "artifact": path})
        return f"{text[:200]}… ({len(text)} characters, whole in artifact {path})"

    def _numbered(
        self, writer: Writer, metrics: Mapping[str, float]
    ) -> Iterator[tuple[int, dict[str, float]]]:
        """Group keys by their next number; a new writer counts from 0.

        Where a loop trains, a key that is logged once in each step has the numbers of the steps,
        and one that is logged more often goes on counting.
        """
        if self._counting is not writer:
            self._counting, self._counters = writer, {}
        groups: dict[int, dict[str, float]] = {}
        for key, value in metrics.items():
            counter = self._counters.get(key)
            if counter is None:
                counter = self._counters.setdefault(key, itertools.count())
            number = next(counter)
            if self.loop_step is not None and self.loop_step > number:
                number = self.loop_step
                self._counters[key] = itertools.count(number + 1)
            groups.setdefault(number, {})[key] = value
        return iter(groups.items())


def outcome(exception: BaseException | None) -> tuple[str, int | None, str | None]:
    """Return status, exit code and message for the exception that ended a run."""
    if exception is None or isinstance(exception, GeneratorExit):  # its caller closed a generator
        return Status.FINISHED.value, None, None
    if isinstance(exception, KeyboardInterrupt):
        return Status.KILLED.value, None, "KeyboardInterrupt"
    if isinstance(exception, SystemExit):
        code = exception.code
        number = 0 if code is None else code if isinstance(code, int) else 1
        status = Status.FINISHED if number == 0 else Status.FAILED
        return status.value, number, None if number == 0 else f"SystemExit: {code}"
    text = f"{type(exception).__name__}: {exception}"
    return Status.FAILED.value, None, text[:2000]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}/")  # type: ignore[reportUnknownArgumentType]
        else:
            yield f"{prefix}{key}", as_float(f"{prefix}{key}", value)


def _join(folder: str | None, name: str) -> str:
    """Make a relative artifact path; parts that would leave the run's folder are refused."""
    path = PurePosixPath(folder or "", name)
    text = str(path)
    leaves = not path.name or ".." in path.parts or path.is_absolute() or path.parts[0][-1] == ":"
    if leaves or {"\\", "\0"} & set(text):
        raise UsageError(f"artifact path {text!r} must be relative and stay inside the run")
    return well_formed(str(path))
