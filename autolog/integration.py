"""The contract between autolog and an integration: all that a plugin author imports.

An integration is a package that declares, as plain data, which places of a framework it
watches. It is found through the entry-point group `autolog.integrations`; those shipped with
autolog use the same door as everybody else's:

    [project.entry-points."autolog.integrations"]
    toyfit = "autolog_toyfit:INTEGRATION"

The declaration must import no framework. Hooks are named as `"package.module:name"` and are
imported when the framework is. The engine alone calls the framework's own function, exactly
once and with the user's arguments; a hook that raises is counted and shown, and changes nothing
for the user.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "API",
    "Attach",
    "Call",
    "Capture",
    "Checkpoint",
    "DataPass",
    "Detach",
    "EpochOf",
    "Epochs",
    "Example",
    "Finished",
    "Format",
    "Hook",
    "Integration",
    "Loop",
    "LoopOptimizer",
    "NameOf",
    "Origin",
    "Patch",
    "Produced",
    "Role",
    "RoleOf",
    "Snapshot",
    "Span",
    "Tap",
]

API = 1
"""Version of this contract. An integration that declares a newer one is skipped with a line."""

Role = Literal[
    "watch",
    "training",
    "continuation",
    "step",
    "container",
    "search",
    "study",
    "trial",
    "part",
    "preparation",
    "evaluation",
]
"""What a call is to the ownership rules.

`watch` observes and opens no span. `training` owns, joins or folds into a run; `continuation` is
one that goes on from the weights that its object has. `step` is one call of a training that is
made of calls (`partial_fit`): the first opens a span, which stays open, and the later ones of the
same object go on in it. `container`, `search` and `study` are trainings that call other
trainings. `trial` is one try of a study: the first training inside it is its own, a later one a
child, as in a run that the user opened. `part` is a piece of such a training that is recorded by
its owner as a whole (the fit of one fold): nothing inside it is recorded. `preparation` is a lone
transformer: a step of the next training. `evaluation` scores what was trained before.
"""

RoleOf = Callable[["Call"], Role]
"""A role that depends on the call, for instance on the class of `call.instance`."""

NameOf = Callable[["Call"], str]
"""What a run is called after, where that depends on the call: the model that a trainer trains."""

Detach = Callable[[], None]
"""Undoes an attachment; called at most once, in any order relative to others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """What an integration does around one call.

    `enter(call)` runs before the framework's function, then exactly one of `exit(call, result)`
    and `error(call, exception)`. Whatever one of them raises is counted, never passed on.
    """

    enter: Callable[[Call], None] | None = None
    exit: Callable[[Call, Any], None] | None = None
    error: Callable[[Call, BaseException], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """What an integration does around the calls of a hot loop, at the least cost.

    As a `Hook`, but with bare arguments: `enter(args, kwargs)` gives a state, which
    `exit(state, args, kwargs, result)` or `error(state, args, kwargs, exception)` takes. `args`
    holds the instance too. A tap opens no span and changes no argument.

    Args:
        unless: asked before each call; where it says yes the call passes as if nothing were there.
            `torch.compiler.is_compiling` keeps a tap out of what is being traced. It counts for the
            function: of several taps at one, the first that asks decides for all.
    """

    enter: Callable[[tuple[Any, ...], Mapping[str, Any]], Any] | None = None
    exit: Callable[[Any, tuple[Any, ...], Mapping[str, Any], Any], None] | None = None
    error: Callable[[Any, tuple[Any, ...], Mapping[str, Any], BaseException], None] | None = None
    unless: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One function or method to watch.

    Args:
        module: where it lives; importing this module is what triggers the patch.
        target: the attribute path inside the module, `"Model.fit"` or `"train"`.
        hook: `"package.module:NAME"` of a `Hook`, or of a function `make(capture) -> Hook` for
            one that needs options; None to take part in ownership only.
        role: see `Role`.
        kind: the `kind` of a run that this call opens (`fit`, `search`, ...).
        when: a PEP 440 specifier on the framework's version; None is always.
        name: what a run of this call is called after; by default the class of the instance, or
            the function.
        requires_guard: apply only where the compatibility matrix activates this guard.
    """

    module: str
    target: str
    hook: str | None
    role: Role = "watch"
    kind: str = "fit"
    name: str | None = None
    when: str | None = None
    requires_guard: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attach:
    """An official extension point of a framework, or anything a fixed `Patch` cannot say.

    `attach` names a function `attach(capture) -> detach`. It is called once the module is
    imported; what it returns must undo everything it did.
    """

    module: str
    attach: str
    when: str | None = None
    requires_guard: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A way to store models of one kind: `save(model, directory)` and `load(directory) -> model`.

    A `save` that cannot store all of a model may store a part, and returns what is lost and why:
    "its weights alone: ...". The user is told.

    `save` and `load` are named as `"package.module:name"`. A format is `safe` if loading it runs
    no code that the file brings along. It is `native` if the framework itself writes it, fast and
    without a copy in memory: then the trainer stores it at once, in place of a pickle.

    A format whose files name the types that they are made of says so with `unknown`, the name of a
    function `unknown(directory) -> list[str]`: the types that it does not know as safe. It is then
    loaded by `load(directory, trusted)`, which constructs only what is safe or among these names.
    """

    name: str
    save: str
    load: str
    safe: bool
    native: bool = False
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A tiny training that the contract suite runs: `train()` gives `(model, result)`.

    Args:
        train: trains the same from the same seeds, however often it is called in a process.
            `result` is compared between trainings with and without autolog (`==` on its pickle).
        owner: the class of the model, `"package.module:Class"`, or a module for its function.
        method: the watched method of that class, or the function of that module.
        fails: a training that raises; default: the method is given an unknown argument.
        predict: what a model computes, to compare loaded models; default: their pickles.
    """

    train: Callable[[], tuple[Any, Any]]
    owner: str
    method: str
    fails: Callable[[], Any] | None = None
    predict: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """Everything autolog knows about one framework.

    Args:
        api: the version of this contract that the integration was written for.
        name: its key in the compatibility matrix and in `autolog(name={...})`.
        distributions: the framework's distribution names, the first installed one counts.
        modules: the modules whose `__version__` decides; guards resolve per module.
        sites: what to watch, applied while the integration is on.
        bridges: ownership-only sites, applied whenever any integration is on.
        formats: how its models are stored.
        options: a frozen dataclass of the integration's own options, named as
            `"package.module:Class"`; its fields are the legal keys, its defaults the defaults.
        aliases: other names a user may write.
        example: `"package.module:EXAMPLE"`, an `Example` for the contract suite.
        evaluation: a line that evaluates one of its models, for runs that saw no evaluation.
        limits: what of the framework it does not record yet, a sentence each; doctor prints them.
        compat: a compiled matrix of a third party, `"package.module:DATA"`; ours is built in.
    """

    api: int
    name: str
    distributions: tuple[str, ...]
    modules: tuple[str, ...]
    sites: tuple[Patch | Attach, ...]
    bridges: tuple[Patch | Attach, ...] = ()
    formats: tuple[Format, ...] = ()
    options: str | None = None
    aliases: tuple[str, ...] = ()
    example: str | None = None
    evaluation: str | None = None
    limits: tuple[str, ...] = ()
    compat: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A model as it is at this moment, to be stored with its run.

    Args:
        model: the object itself; it is serialised before `Span.model` returns, never kept.
        format: name of the safe `Format` that the stored bytes are converted to later.
        contains_data: the model holds training rows (nearest neighbours, support vectors).
        signature: what it takes and gives: column names, dtypes, shapes.
        versions: distributions that must be present to load it, with their versions.
        name: what it is called among the models of the run.
        size: its bytes, if they are known: one that is too large is not written at all.
    """

    model: Any
    format: str
    contains_data: bool = False
    signature: Mapping[str, Any] | None = None
    versions: Mapping[str, str] | None = None
    name: str = "model"
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A file with a model in it, as it was after a step of a training.

    Args:
        path: the file that the program wrote, or what to call the one that `write` makes.
        format: name of the `Format` that loads it.
        file: what the format calls it.
        step: the newest step that it holds.
        epoch: the epoch of that step.
        model: the class of the model.
        beside: small files that the format wants beside it, by name.
        versions: distributions that must be present to load it, with their versions.
        write: writes it to a new file; None for one that the program wrote.
        by: the series by which the program says which one is best; None for the run's first one
            whose name begins with `val/` or `val_`.
        name: what its states are called among the models of the run; None for the file's name
            without numbers and ending.
    """

    path: str
    format: str
    file: str
    model: str
    step: int | None = None
    epoch: int | None = None
    beside: Mapping[str, bytes] | None = None
    versions: Mapping[str, str] | None = None
    write: Callable[[Path], None] | None = None
    by: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where weights come from: a run, and the step that they were written after, if known.

    `writer` names the journal of the process that wrote them.
    """

    run_id: str
    step: int | None = None
    epoch: int | None = None
    writer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A training that is over, recorded as a whole: a candidate of a search, a fold.

    Args:
        name: what its run is called after, an estimator's class.
        start: when it began, in seconds since the epoch.
        end: when it ended.
        params: its parameters.
        series: numbers by key, one for each step from 0 on: the scores of folds.
        metrics: single numbers by key.
        tags: its tags.
        status: FINISHED or FAILED.
        error: why it failed, if that is known.
    """

    name: str
    start: float
    end: float
    params: Mapping[str, Any]
    series: Mapping[str, Sequence[float]]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    status: Literal["FINISHED", "FAILED"] = "FINISHED"
    error: str | None = None


class Call(Protocol):
    """One call of a watched function, as its hooks see it."""

    @property
    def instance(self) -> Any:
        """The object whose method was called; None for a module's function."""
        ...

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments, without the instance."""
        ...

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments as they were given."""
        ...

    @property
    def bound(self) -> Mapping[str, Any] | None:
        """Arguments by parameter name, without defaults; None if the call does not bind."""
        ...

    @property
    def span(self) -> Span | None:
        """The span that this call opened; None for `watch` and for calls passed through."""
        ...

    @property
    def state(self) -> dict[str, Any]:
        """A dictionary of this hook's own, from `enter` to `exit` or `error`."""
        ...

    @property
    def name(self) -> str:
        """The function's own name, `fit_transform`."""
        ...

    def written_in(self, package: str) -> bool:
        """Whether a file of this package made the call: it may be the framework, not the user."""
        ...

    def replace(self, name: str, value: Any) -> None:
        """Change one argument of this call where it stands, or add it as a keyword."""
        ...

    def source_name(self, parameter: str) -> str | None:
        """The variable that the caller wrote for a parameter, `X_test`; None if it was none."""
        ...

    def data_name(self, parameter: str) -> str | None:
        """What the data of a parameter is called in the name of an evaluation.

        That is the variable without `X_` or `y_`: `test` for `X_test`. None if there was none, or
        if it does not say which data it is (`X`, `y_true`, `labels`, `data`).
        """
        ...


class Span(Protocol):
    """A training (or search, study, evaluation) in progress, and later: where its run is written.

    What is written after the end goes to the same run, marked as phase `post`.
    """

    @property
    def role(self) -> str:
        """The `Role` it was opened with."""
        ...

    @property
    def run_id(self) -> str | None:
        """Id of the run this span writes to; None for spans that have none."""
        ...

    @property
    def owns_run(self) -> bool:
        """Whether this span opened or joined a run itself, rather than folding into an owner's."""
        ...

    @property
    def state(self) -> dict[str, Any]:
        """A dictionary that the calls inside this span may share, of all integrations.

        A key begins with the name of the integration that it belongs to. `"torch.covered"` is set
        by whoever records a training loop of PyTorch itself: raw capture then stays silent in it.
        """
        ...

    @property
    def trained_by(self) -> str | None:
        """Id of the run that trained the model: of a model from a file, if that is known."""
        ...

    @property
    def joined_by(self) -> str | None:
        """Of a container whose integration is off: the one whose training was the first inside.

        Its parameters and its model are those of the run.
        """
        ...

    @property
    def has_model(self) -> bool:
        """Whether `model` was called already.

        An integration that knows a model less well than another one that watches the same call,
        and is asked after it, stores no second one.
        """
        ...

    def child(self, kind: str, name: str) -> Span:
        """Open a child run (a candidate, a trial); end it with `end`."""
        ...

    def children(self, kind: str, trainings: Sequence[Finished]) -> Sequence[str]:
        """Record child runs that are over, in one go; return their ids.

        A `fit` that gets children of kind `candidate` has turned out to be a `search`.
        """
        ...

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters: scalars keep their type, other objects are described by class."""
        ...

    def metrics(
        self, values: Mapping[str, float], *, step: int | None = None, epoch: int | None = None
    ) -> None:
        """Record one point for each key."""
        ...

    def evaluation(self, name: str, value: float) -> None:
        """Record the value of an evaluation, named `<data>/<metric>`."""
        ...

    def input(self, role: str, data: Any, *, name: str | None = None) -> None:
        """Describe data that was used: shape, dtypes, columns, a fingerprint; it is not copied.

        Say it before the training, which may change the data.
        """
        ...

    def model(self, snapshot: Snapshot) -> None:
        """Store the model as it is now, if it is within the user's limits."""
        ...

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a copy of a checkpoint, if it is within the user's limits; else a link to it.

        Of files whose names differ in numbers alone, the last one is kept and the one with the
        best value of the series that the checkpoint names, or of the run's first of validation.
        """
        ...

    def artifact(self, path: str, content: bytes) -> None:
        """Store a file under the run's artifacts."""
        ...

    def file(self, path: str, name: str) -> bool:
        """Store a copy of a model's file that the program wrote, if it is within the user's limits.

        Returns whether it was stored. It takes the time of reading the file: not in a loop.
        """
        ...

    def table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Record a table by its columns, all of one length: importances, a confusion matrix."""
        ...

    def tag(self, key: str, value: str) -> None:
        """Set a tag of the run."""
        ...

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Record something that happened."""
        ...

    def keep(self, owner: Any) -> None:
        """Leave the call and keep the run open: the training goes on without one.

        It ends when `owner` (referred to weakly) is collected, at `end_run()`, when the thread
        begins another training, or with the process; its end is then that of its last step. Spans
        of the role `step` are kept for the object of the call without this.
        """
        ...

    def at_end(self, callback: Callable[[], None]) -> None:
        """Call back each time before a training that is kept open ends: to store its model.

        `callback` must not hold the trained object, which would then live for ever.
        """
        ...

    def end(self, status: str = "FINISHED") -> None:
        """Close a span that `Capture.open` or `child` opened; others are closed for you."""
        ...


class Loop(Protocol):
    """A training without a call of its own: parameters, and the optimizers that step over them."""

    @property
    def span(self) -> Span:
        """What is recorded of it: inside another integration's training that one's span."""
        ...

    @property
    def several(self) -> bool:
        """Whether more than one optimizer trains in it by turns, each with series of its own."""
        ...

    @property
    def step(self) -> int:
        """The number of the newest step, from 0; with several optimizers the highest."""
        ...

    @property
    def first_epoch(self) -> int:
        """The number of its first epoch: a run that is continued goes on counting."""
        ...

    def knows(self, parameters: Sequence[Any]) -> bool:
        """Whether any of these, the very objects, is trained in it."""
        ...

    @property
    def epochs(self) -> Epochs:
        """Its epochs, if an integration tells it of passes over data."""
        ...


class DataPass(Protocol):
    """One pass over data, as an integration sees it while it goes on and after that."""

    @property
    def source(self) -> object:
        """What it goes over, the same object for each pass over it."""
        ...

    @property
    def data(self) -> Hashable:
        """What this is called by the code, else something that stands for it."""
        ...

    @property
    def open(self) -> bool:
        """Whether it is going on."""
        ...

    @property
    def whole(self) -> bool:
        """Whether it was over because the data was exhausted."""
        ...

    @property
    def evaluates(self) -> bool:
        """Whether it was seen that a model is evaluated on it."""
        ...

    @property
    def batches(self) -> int:
        """How many batches it has given."""
        ...

    @property
    def samples(self) -> int:
        """How many samples these had in all; 0 if that is not known."""
        ...

    @property
    def seconds(self) -> float:
        """How long it has taken, without other passes inside of it."""
        ...

    @property
    def waited(self) -> int:
        """Nanoseconds in which its batches were waited for."""
        ...


class Epochs(Protocol):
    """The epochs of a loop: the passes over data that its steps were made with.

    `epoch` and what the data cost are recorded at the end of each.
    """

    @property
    def current(self) -> int | None:
        """The number of the newest epoch; None if the loop was given no batches."""
        ...

    @property
    def primary(self) -> DataPass | None:
        """The pass that it is."""
        ...

    @property
    def data(self) -> Set[Hashable]:
        """What the loop was trained on, each as `DataPass.data`."""
        ...

    on_begin: Callable[[DataPass, Any], None] | None
    """Told of each pass that has become an epoch of a loop, before its data is among `data`."""

    on_end: Callable[[int, Any], None] | None
    """Told the number of each epoch that is over, and the loop."""

    def take(self, fed: Sequence[tuple[DataPass, bool]], loop: Any) -> int | None:
        """Return the epoch of a step that was made with batches of these passes.

        `fed` has the passes in order, and whether each was going on when the step was made.
        """
        ...

    def knows(self, one: DataPass) -> bool:
        """Whether a pass is over data that was trained on before."""
        ...

    def ended(self, loop: Any) -> None:
        """Say that the current pass is over; its last batch may still be used by a step."""
        ...

    def finish(self, loop: Any) -> None:
        """Say that the current pass is over, and what it gave was used."""
        ...


EpochOf = Callable[[Loop], "int | None"]
"""The epoch of a step, once the loop is known that the step belongs to."""


class LoopOptimizer(Protocol):
    """One optimizer in the loops of this process."""

    @property
    def loop(self) -> Loop | None:
        """The loop that its steps belong to; None before that is decided."""
        ...

    @property
    def name(self) -> str:
        """What the code calls it, or empty."""
        ...

    @property
    def label(self) -> str:
        """What its series are called where there are several: its name, else `opt0`, `opt1`."""
        ...

    def step(
        self, keys: tuple[str, ...], values: list[float], *, epoch: EpochOf | int | None = None
    ) -> Loop | None:
        """Record one step that it made; return the loop, None while that is undecided.

        An epoch that depends on the loop may be given as a function, which is asked once it is
        decided which loop that is.

        Keys that are the same tuple from step to step cost least. In a key, `/*` stands for the
        optimizer's name where there are several and for nothing where it is alone: `train/loss/*`
        is `train/loss` or `train/loss/optimizerD`. `/**` stands for its name in any case.
        """
        ...

    def left_out(self) -> None:
        """Say that it made a step that somebody else records: no loop need wait for its first."""
        ...

    def applied_with(self, others: Sequence[LoopOptimizer]) -> None:
        """Say that one backward gave gradients to this optimizer and to these."""
        ...

    def steps_with(self, others: Sequence[LoopOptimizer]) -> None:
        """Say that this optimizer and these step by turns in one loop, before they do."""
        ...


@dataclass(frozen=True, slots=True)
class Produced:
    """What a model gave: the span of the model's training and the name of the data it was given."""

    span: Span
    data: str | None


class Capture(Protocol):
    """What autolog offers an integration while it is on."""

    @property
    def options(self) -> Any:
        """This integration's options: an instance of its declared dataclass, or None."""
        ...

    @property
    def bridging(self) -> bool:
        """Whether only the bridges of this integration are on, for the sake of another one."""
        ...

    @property
    def suspended(self) -> bool:
        """Whether the user wants nothing of this context recorded for now."""
        ...

    @property
    def covered(self) -> bool:
        """Whether a training around this says that it records loops of PyTorch itself.

        So does a piece of a container, in which nothing is looked at; see `Span.state` and
        `covering`.
        """
        ...

    def covering(self) -> Any:
        """A context manager for one call that the caller records itself: `covered` is true in it.

        For a call of a hot loop: it opens no span, and costs less than a microsecond.
        """
        ...

    def watches(self, package: str) -> bool:
        """Whether an integration that is on watches this package, by its top-level name."""
        ...

    def patch(
        self,
        owner: Any,
        attribute: str,
        hook: Hook | None,
        *,
        role: Role | RoleOf = "watch",
        kind: str = "fit",
        name: str | NameOf | None = None,
    ) -> Detach:
        """Watch one attribute of a class or module, found at run time; see `Patch`."""
        ...

    def renew(self, owner: type) -> None:
        """Put back what watches a class whose methods were set anew.

        A class of `__main__` that comes back from a worker process by value (cloudpickle) has its
        methods set to copies of what they were: an integration that is told of it says so here.
        """
        ...

    def tap(self, owner: Any, attribute: str, tap: Tap) -> Detach:
        """Watch a function of a hot loop; see `Tap`."""
        ...

    def optimizer(
        self,
        optimizer: Any,
        parameters: Callable[[], Sequence[Any]],
        model: Callable[[], Any],
        *,
        name: str,
        built: bool,
    ) -> LoopOptimizer:
        """Say that an optimizer is there; a second call for it gives the same answer.

        What the first call did not know, its name or its model, the second one may add. Neither
        callback may hold the optimizer or the model; their answers are referred to weakly.

        Args:
            optimizer: what steps.
            parameters: what it trains, asked at its first step.
            model: what these are the parameters of; None if that is not known. The run is called
                after its class.
            name: what the code calls the optimizer, `optimizerD`; empty if that is not known,
                then it is numbered, `opt0`.
            built: whether it is being built now, or was there before anybody looked.
        """
        ...

    def assigned_name(self, package: str) -> str | None:
        """What the code around a constructor of this package stores the new object under.

        For `self.opt_d = SGD(...)` that is `opt_d`, also through functions that return the object;
        None where it goes into a list or an argument.
        """
        ...

    def data_named(self, package: str, position: int, count: int) -> str | None:
        """What the data is called that the code around this package gave to it in a call.

        For `criterion(out, y_test)`, `position` 1 and `count` 2 that is `y_test`, also through
        functions of the package; None if it is no variable.
        """
        ...

    def receiver_named(
        self, package: str, method: str, count: int, keywords: Iterable[str]
    ) -> str | None:
        """What the code around this package calls the object whose method it called.

        For `self.gan.train_on_batch(noise, y=ones)`, `count` 1 and `keywords` `{"y"}` that is
        `gan`; None if it is no variable, or `self`.
        """
        ...

    def begin_pass(self) -> None:
        """Say that a pass over data (an iteration of a loader) begins in this thread."""
        ...

    def end_passes(self) -> None:
        """Say that steps are made in this thread that no pass gave the data for."""
        ...

    def loop(self) -> Loop | None:
        """The loop that stepped last in this thread, if it has not gone."""
        ...

    def on_settle(self, callback: Callable[[], None]) -> Detach:
        """Call back when what is still open must be recorded: before an end, before a read."""
        ...

    def log(
        self,
        values: Mapping[str, float],
        *,
        source: str,
        step: int | None = None,
        opens: bool = True,
    ) -> None:
        """Record numbers that the user gave to somebody else, as `autolog.log_metrics` would.

        Those that are given right before a loop's first step go to its run. A name that the run has
        from somebody else becomes `<source>/<name>`.

        Args:
            values: numbers by key.
            source: whom they were given to, `tensorboard`.
            step: their step; None for the loop's.
            opens: whether they are worth a run of their own where nothing trains.
        """
        ...

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Record parameters in the run that `log` writes to; they open none."""
        ...

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag of the run that `log` writes to; it opens none."""
        ...

    def open(self, role: Role, kind: str, owner: Any, name: str) -> Span | None:
        """Open a span by the ownership rules; None if the call must pass through."""
        ...

    def current(self) -> Span | None:
        """The innermost open span of this context."""
        ...

    def enclosed(self, span: Span | None) -> Any:
        """A context manager that makes `span` the innermost one: for worker threads."""
        ...

    def guard(self, name: str) -> bool:
        """Whether the compatibility matrix activates this guard for the installed version."""
        ...

    def strategy(self, name: str) -> str:
        """Return which code path the compatibility matrix names for the installed version.

        Ask once, when the framework is there, not in each call.

        Args:
            name: a key of `strategies`; the answer is the `use` of its first case that matches.

        Raises:
            IntegrationError: the matrix has no such strategy, or no case of it is for the version.
        """
        ...

    def produced(self, thing: Any, span: Span, *, data: str | None = None) -> None:
        """Remember, by weak reference, that `thing` (a model, predictions) came from `span`."""
        ...

    def loaded(self, model: Any, *, trained_by: str | None = None) -> None:
        """Say that a model came from elsewhere (a pickle, a file): evaluations of it are recorded.

        They go to the user's open run, else to a run of kind `eval`.

        Args:
            model: referred to weakly.
            trained_by: the id of the run that trained it, if that is known.
        """
        ...

    def origin(self, path: str) -> Origin | None:
        """Return which run wrote a file as a checkpoint, if that is known."""
        ...

    def restored(self, parameters: Sequence[Any], origin: Origin) -> None:
        """Say that these parameters, referred to weakly, have values that a run wrote.

        A loop that trains them says so: it continues that run where the scheduler started the same
        job again, else its run is tagged `resumed_from`.
        """
        ...

    def wrote(self, path: str, span: Span, *, step: int | None = None) -> None:
        """Remember that the program's training wrote a checkpoint: whoever loads it can be linked.

        The file is not touched. Programs that use the same store on this host know of it too.
        """
        ...

    def producer(self, thing: Any) -> Produced | None:
        """Who produced `thing`, or the array that it is a view of."""
        ...

    def guarded(self, function: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback given to a framework, so that its errors never reach the training.

        They are counted and shown once; after three the callback does nothing any more.
        """
        ...

    def in_group(self, rank: int, size: int) -> None:
        """Say which rank of a process group this process is, where a framework knows it first.

        torchrun's variables and an initialised `torch.distributed` are seen without this. Say it
        before the training's ownership is decided (in the call's `role`); trainings on a rank above
        0 are not recorded, because rank 0 owns the run. A `size` of 1 takes it back.
        """
        ...

    def notice(self, key: str, text: str) -> None:
        """Tell the user something once: it goes to the run and to `autolog.status()`."""
        ...
