"""One experiment of the contract suite, in a process of its own.

    python -m autolog.testing.trial ANSWER INTEGRATION EXPERIMENT [ARGUMENT]

Each experiment writes what it found to the file ANSWER as JSON; the suite says what is right. The
process is fresh, so what an integration imports or leaves behind cannot hide in another test.
Each training is recorded under an experiment of its own, so that the suite can tell which were.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import importlib.util
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import autolog
from autolog.discovery import discover, resolve
from autolog.integration import Example, Hook, Integration, Patch
from autolog.testing import observation

__all__ = ["BROKEN", "EXPERIMENTS", "PHASES", "main"]

Found = dict[str, Any]

BROKEN = "broken on purpose"
"""What the hooks raise that `faults` breaks."""

PHASES = ("enter", "exit", "callback", "metrics")
"""What `faults` breaks, one after the other."""


def main(answer: str, name: str, experiment: str, *arguments: str) -> None:
    """Run one experiment and write down what it found, and what was warned of."""
    integration = discover().integrations[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = EXPERIMENTS[experiment](integration, *arguments)
    texts = {f"{one.category.__name__}: {one.message}" for one in caught}
    Path(answer).write_text(json.dumps({**found, "warnings": sorted(texts)}))


def declaration(integration: Integration) -> Found:
    """Whether the declaration stays clear of its framework, and what of it cannot be resolved."""
    found: Found = {"imported": sorted(_tops(integration) & set(sys.modules)), "broken": []}
    for module in _installed(integration.modules):
        importlib.import_module(module)
    names = [site.hook if isinstance(site, Patch) else site.attach for site in _sites(integration)]
    names += [text for form in integration.formats for text in (form.save, form.load)]
    names += [integration.options, integration.example, integration.compat]
    for reference in names:
        try:
            if reference is not None:
                resolve(reference)
        except Exception as exc:
            found["broken"].append(f"{reference}: {type(exc).__name__}: {exc}")
    return found


def permutation(integration: Integration, order: str) -> Found:
    """Import, activate and disable in an order; train after each step that allows it."""
    example: Example | None = None
    for letter in order:
        if letter == "i":
            example = _ready(integration)
        elif letter == "a":
            autolog.autolog()
        else:
            autolog.disable()
        if example is not None:
            with _recorded_as(f"{order} after {letter}"):
                example.train()
    return {}


def plain(integration: Integration) -> Found:
    """What trainings and their method are without autolog."""
    example = _ready(integration)
    model, _ = observation.training(example)  # late imports may draw random numbers, once
    trainings = [observation.training(example)[1] for _ in range(2)]
    return {
        "trainings": trainings,
        "traits": observation.traits(example, model),
        "failure": observation.failure(example, model),
        "predictions": observation.predictions(example, model),
    }


def watched(integration: Integration) -> Found:
    """The same with autolog, then what is left of it when it is off again."""
    example, tops = _ready(integration), _tops(integration)
    for site in _sites(integration):
        with contextlib.suppress(ImportError):  # its state will say so
            importlib.import_module(site.module)
    observation.training(example)
    before = observation.attributes(tops)
    observation.training(example)
    restless = set(observation.differences(before, observation.attributes(tops)))
    before, process = observation.attributes(tops), observation.process_state()
    finders = list(sys.meta_path)

    autolog.autolog(integration.name)
    with _recorded_as("once"):
        model, once = observation.training(example)
    found: Found = {
        "process": _changes(process, observation.process_state()),
        "traits": observation.traits(example, model),
        "open": autolog.active_run() is not None,
    }
    with _recorded_as("failing"):
        found["failure"] = observation.failure(example, model)
    found["sites_once"] = _states(integration)
    autolog.autolog(integration.name)
    with _recorded_as("twice"):
        _, twice = observation.training(example)
    found["trainings"] = [once, twice]
    found["sites"] = _states(integration)
    found["method"] = [site.state for site in _sites_of_method(integration, example)]

    autolog.disable()
    left = observation.differences(before, observation.attributes(tops))
    found["left"] = [name for name in left if name not in restless]
    if sys.meta_path != finders:
        found["left"].append("sys.meta_path")
    found["left"] += _changes(process, observation.process_state())
    found["left"] += [site.place for site in autolog.status().sites]
    return found


def faults(integration: Integration) -> Found:
    """What changes when hooks, callbacks or what they write raise, one after the other."""
    example = _ready(integration)
    model, _ = observation.training(example)
    found: Found = {}
    for phase in PHASES:
        told = _notices()
        with _breaking(phase) as used, _recorded_as(f"broken {phase}"):
            autolog.autolog(integration.name)
            failed = observation.failure(example, model)
            trainings: list[Found] = []
            raised = None
            try:
                trainings += [observation.training(example)[1] for _ in range(3)]
            except Exception as exc:
                raised = f"{type(exc).__name__}: {exc}"
            sites = autolog.status().sites
            found[phase] = {
                "failure": failed,
                "trainings": trainings,
                "raised": raised,
                "method": [site.state for site in _sites_of_method(integration, example)],
                "faults": sum(site.faults for site in sites),
                "told": _notices() > told,
                "used": bool(used),
            }
            autolog.disable()
    return found


def unwritable(integration: Integration) -> Found:
    """What a store that cannot be written changes for the training."""
    example = _ready(integration)
    model, _ = observation.training(example)
    with tempfile.NamedTemporaryFile() as file:  # a folder cannot be made below a file
        os.environ["AUTOLOG_STORE"] = f"{file.name}/store"
        autolog.autolog(integration.name)
        trainings = [observation.training(example)[1] for _ in range(2)]
        failed = observation.failure(example, model)
        notices = [notice.text for notice in autolog.status().notices]
        autolog.disable()
    return {"trainings": trainings, "failure": failed, "notices": notices}


def load(integration: Integration, run_id: str) -> Found:
    """What the stored model computes, and what it computes out of each safe format."""
    example = _ready(integration)
    model = autolog.load_model(run_id)
    formats: dict[str, list[str | None]] = {}
    for form in integration.formats:
        if not form.safe:
            continue
        with tempfile.TemporaryDirectory() as place:
            try:
                resolve(form.save)(model, Path(place))
                back = resolve(form.load)(Path(place))
                formats[form.name] = [observation.predictions(example, back), None]
            except Exception as exc:
                formats[form.name] = [None, f"{type(exc).__name__}: {exc}"]
    return {"predictions": observation.predictions(example, model), "formats": formats}


EXPERIMENTS: dict[str, Callable[..., Found]] = {
    "declaration": declaration,
    "permutation": permutation,
    "plain": plain,
    "watched": watched,
    "faults": faults,
    "unwritable": unwritable,
    "load": load,
}


def _sites(integration: Integration) -> list[Any]:
    return [*integration.sites, *integration.bridges]


def _tops(integration: Integration) -> set[str]:
    """The packages that the integration touches."""
    modules = [*integration.modules, *(site.module for site in _sites(integration))]
    return {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names)


def _ready(integration: Integration) -> Example:
    """Import what the example trains with: others of several packages may not be there."""
    assert integration.example is not None
    example: Example = resolve(integration.example)
    importlib.import_module(example.owner.partition(":")[0])
    return example


def _installed(modules: Iterable[str]) -> list[str]:
    """Those that are there: a framework may have several packages."""
    return [one for one in modules if importlib.util.find_spec(one.partition(".")[0]) is not None]


@contextlib.contextmanager
def _recorded_as(experiment: str) -> Generator[None]:
    os.environ["AUTOLOG_EXPERIMENT"] = experiment
    try:
        yield
    finally:
        del os.environ["AUTOLOG_EXPERIMENT"]


def _sites_of_method(integration: Integration, example: Example) -> list[Any]:
    """The integration's sites at the example's method, wherever it is defined."""
    owner = _owners(example)
    return [
        site
        for site in autolog.status().sites
        if (site.integration, site.attribute) == (integration.name, example.method)
        and (owner is None or site.owner in owner)
    ]


def _owners(example: Example) -> list[str] | None:
    """Names of the classes that may define the example's method; None for a module's function."""
    owner = observation.locate(example.owner)
    if isinstance(owner, ModuleType):
        return None
    return [f"{one.__module__}:{one.__qualname__}" for one in owner.__mro__]


def _states(integration: Integration) -> list[list[str | None]]:
    sites = autolog.status().sites
    return [[s.place, s.state, s.reason] for s in sites if s.integration == integration.name]


def _notices() -> int:
    """How often autolog has told of errors of its own."""
    return sum(one.count for one in autolog.status().notices if one.key == "logging_error")


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [name for name in before if before[name] != after.get(name)]


@contextlib.contextmanager
def _breaking(phase: str) -> Generator[list[str]]:
    """Break hooks on purpose; the list says whether there was anything to break."""
    from autolog.capture.port import Port
    from autolog.capture.spans import CaptureSpan

    used: list[str] = []

    def boom(*_: Any, **__: Any) -> None:
        used.append(phase)
        raise OSError(errno.ENOSPC, f"{BROKEN}: {phase}")

    patch, guarded = Port.patch, Port.guarded
    ends = {"enter": ("enter",), "exit": ("exit", "error")}.get(phase, ())

    def broken_patch(port: Port, owner: Any, attribute: str, hook: Hook | None, **rest: Any) -> Any:
        parts = {end: getattr(hook, end, None) for end in ("enter", "exit", "error")}
        broken = hook and Hook(**parts | dict.fromkeys(ends, boom))
        return patch(port, owner, attribute, broken, **rest)

    def broken_callback(port: Port, _: Callable[..., None]) -> Callable[..., None]:
        return guarded(port, boom)

    doubles: list[tuple[type, str, Any]] = [(Port, "patch", broken_patch)]
    if phase == "callback":
        doubles = [(Port, "guarded", broken_callback)]
    elif phase == "metrics":
        doubles = [(CaptureSpan, "metrics", boom)]
    originals = [(owner, name, vars(owner)[name]) for owner, name, _ in doubles]
    for owner, name, double in doubles:
        setattr(owner, name, double)
    try:
        yield used
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


if __name__ == "__main__":
    main(*sys.argv[1:])
