"""One experiment of the contract suite, in a process of its own.

    python -m autolog.testing.trial INTEGRATION EXPERIMENT [ARGUMENT]

Each experiment prints what it found as one line of JSON; the suite says what is right. The
process is fresh, so what an integration imports or leaves behind cannot hide in another test.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import io
import json
import pickle
import random
import sys
import tempfile
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import autolog
from autolog.discovery import discover, resolve
from autolog.integration import Example, Hook, Integration, Patch

__all__ = ["EXPERIMENTS", "main"]

Found = dict[str, Any]


def main(name: str, experiment: str, *arguments: str) -> None:
    """Run one experiment and print what it found."""
    print(json.dumps(EXPERIMENTS[experiment](discover().integrations[name], *arguments)))  # noqa: T201


def declaration(integration: Integration) -> Found:
    """Whether the declaration stays clear of its framework, and what of it cannot be resolved."""
    tops = {module.partition(".")[0] for module in integration.modules}
    found: Found = {"imported": sorted(tops & set(sys.modules)), "broken": []}
    for module in integration.modules:
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
    """How many runs a training makes after importing, activating and disabling in an order."""
    example: Example | None = None
    for letter in order:
        if letter == "i":
            example = _example(integration)
        elif letter == "a":
            autolog.autolog(integration.name)
        else:
            autolog.disable()
    (example or _example(integration)).train()
    return {"runs": len(autolog.search_runs())}


def record(integration: Integration) -> Found:
    """What one training leaves in the store when autolog was switched on twice."""
    example = _example(integration)
    autolog.autolog(integration.name)
    autolog.autolog(integration.name)
    example.train()
    runs = autolog.search_runs()
    model = type(autolog.load_model(runs[0].run_id)).__name__ if _has_model(runs) else None
    return {
        "runs": [[run.status, len(run.params), len(run.logging_errors)] for run in runs],
        "model": model,
        "active": autolog.active_run() is not None,
        "faults": [site.reason for site in autolog.status().sites if site.faults],
        "missing": [site.place for site in autolog.status().sites if site.state == "missing"],
    }


def neutral(integration: Integration) -> Found:
    """Whether a training computes the same bits, and leaves the same random states."""
    example = _example(integration)

    def train() -> tuple[bytes, Any, list[str]]:
        _seed()
        model, result = example.train()
        return pickle.dumps(result), _random_state(), sorted(getattr(model, "__dict__", ()))

    train()  # what a framework imports late may draw random numbers once
    plain = train()
    autolog.autolog(integration.name)
    watched = train()
    return {
        "result": plain[0] == watched[0],
        "random": plain[1] == watched[1],
        "attributes": plain[2] == watched[2],
    }


def restore(integration: Integration) -> Found:
    """Which attributes of the framework are not what they were once autolog is off again."""
    example = _example(integration)
    example.train()  # lazy imports of the framework are not ours
    finders = list(sys.meta_path)
    before = _attributes(integration)
    autolog.autolog(integration.name)
    example.train()
    changed = _differences(before, _attributes(integration))
    autolog.disable()
    return {
        "patched": len(changed),
        "left": _differences(before, _attributes(integration)),
        "finders": sys.meta_path == finders,
        "sites": len(autolog.status().sites),
    }


def objects(integration: Integration) -> Found:
    """Which ways of copying, pickling and describing the patched method fail while it is on."""
    cloudpickle: Any = importlib.import_module("cloudpickle")
    example = _example(integration)
    model, _ = example.train()
    owner = resolve(example.owner)
    original = getattr(owner, example.method)
    described = ("__name__", "__doc__", "__module__", "__qualname__")
    was = [inspect.signature(original), *(getattr(original, name) for name in described)]
    autolog.autolog(integration.name)
    example.train()
    patched = getattr(owner, example.method)
    now = [inspect.signature(patched), *(getattr(patched, name) for name in described)]
    bound = getattr(model, example.method)
    trials: dict[str, Callable[[], Any]] = {
        "pickle": lambda: pickle.loads(pickle.dumps(bound)),  # noqa: S301
        "pickle of the object": lambda: pickle.loads(pickle.dumps(model)),  # noqa: S301
        "cloudpickle": lambda: pickle.loads(cloudpickle.dumps(bound)),  # noqa: S301
        "copy": lambda: copy.copy(model),
        "deepcopy": lambda: copy.deepcopy(bound),
        "WeakMethod": lambda: weakref.WeakMethod(bound)() or _fail("the method is gone"),
        "clone": lambda: _clone(model),
    }
    failed: list[str] = []
    for name, trial in trials.items():
        try:
            trial()
        except Exception as exc:
            failed.append(f"{name}: {type(exc).__name__}: {exc}")
    same = [str(a) == str(b) for a, b in zip(was, now, strict=True)]
    names = ("signature", *described)
    changed = [name for name, equal in zip(names, same, strict=True) if not equal]
    return {"failed": failed, "changed": changed}


def faults(integration: Integration, phase: str) -> Found:
    """What a hook that always raises changes, and whether it is counted and switched off."""
    from autolog.capture.port import Port

    example = _example(integration)
    plain = pickle.dumps(example.train()[1])

    def boom(*_: Any) -> None:
        raise RuntimeError("broken on purpose")

    patch = Port.patch

    def breaking(self: Port, owner: Any, attribute: str, hook: Hook | None, **rest: Any) -> Any:
        parts = {name: getattr(hook, name, None) for name in ("enter", "exit", "error")}
        broken = Hook(**{**parts, phase: boom}) if rest.get("role", "watch") != "watch" else hook
        return patch(self, owner, attribute, broken, **rest)

    Port.patch = breaking
    autolog.autolog(integration.name)
    results = [pickle.dumps(example.train()[1]) for _ in range(4)]
    sites = [site for site in autolog.status().sites if site.faults]
    return {
        "same": all(result == plain for result in results),
        "states": sorted({run.status for run in autolog.search_runs()}),
        "faults": sum(site.faults for site in sites),
        "switched_off": any(site.state == "faulted" for site in sites),
        "told": any("broken on purpose" in notice.text for notice in autolog.status().notices),
        "kept": any(run.logging_errors for run in autolog.search_runs()),
    }


def unwritable(integration: Integration) -> Found:
    """What a store that cannot be written changes for the training."""
    example = _example(integration)
    plain = pickle.dumps(example.train()[1])
    with tempfile.NamedTemporaryFile() as file:  # a folder cannot be made below a file
        autolog.autolog(integration.name, store=f"{file.name}/store")
        same = pickle.dumps(example.train()[1]) == plain
        notices = [notice.text for notice in autolog.status().notices]
        autolog.disable()
    return {"same": same, "notices": notices}


def formats(integration: Integration) -> Found:
    """Which safe formats do not give the example's model back."""
    model, _ = _example(integration).train()
    failed: list[str] = []
    for form in integration.formats:
        if not form.safe:
            continue
        with tempfile.TemporaryDirectory() as place:
            try:
                resolve(form.save)(model, Path(place))
                loaded = resolve(form.load)(Path(place))
                if type(loaded) is not type(model):
                    failed.append(f"{form.name}: gave a {type(loaded).__name__}")
            except Exception:
                failed.append(f"{form.name}: {traceback.format_exc(limit=1)}")
    return {"failed": failed}


EXPERIMENTS: dict[str, Callable[..., Found]] = {
    "declaration": declaration,
    "permutation": permutation,
    "record": record,
    "neutral": neutral,
    "restore": restore,
    "objects": objects,
    "faults": faults,
    "unwritable": unwritable,
    "formats": formats,
}


def _sites(integration: Integration) -> list[Any]:
    return [*integration.sites, *integration.bridges]


def _example(integration: Integration) -> Example:
    assert integration.example is not None
    for module in integration.modules:
        importlib.import_module(module)
    return resolve(integration.example)


def _has_model(runs: list[Any]) -> bool:
    store = autolog.open_store()
    try:
        return bool(runs) and bool(store.details(runs[0].run_id).models)
    finally:
        store.close()


def _seed() -> None:
    random.seed(0)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(0)


def _random_state() -> tuple[Any, ...]:
    numpy = sys.modules.get("numpy")
    arrays = pickle.dumps(numpy.random.get_state()) if numpy is not None else b""
    return random.getstate(), arrays


def _clone(model: Any) -> None:
    if hasattr(model, "get_params") and "sklearn" in sys.modules:
        importlib.import_module("sklearn.base").clone(model)


def _attributes(integration: Integration) -> dict[str, Any]:
    """Collect every attribute of the framework's modules and classes, functions with their code.

    `__slotnames__` is what copyreg keeps on a class of which an instance was pickled.
    """
    tops = tuple({module.partition(".")[0] for module in integration.modules})
    found: dict[str, Any] = {}
    modules: list[tuple[str, Any]] = list(sys.modules.items())
    for name, module in modules:
        if name.partition(".")[0] not in tops or module is None:
            continue
        held: dict[str, Any] = module.__dict__
        for key, value in list(held.items()):
            if isinstance(value, FunctionType):
                found[f"{name}:{key}"] = (value, value.__code__)
            if isinstance(value, type) and value.__module__.partition(".")[0] in tops:
                for attribute, inner in vars(value).items():
                    if attribute != "__slotnames__":
                        found[f"{name}:{key}.{attribute}"] = (inner,)
    return found


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    gone = [name for name in before if name not in after]
    changed = [
        name
        for name, parts in after.items()
        if name in before
        and any(old is not new for old, new in zip(before[name], parts, strict=True))
    ]
    added = [name for name in after if name not in before and "." in name.partition(":")[2]]
    return sorted({*gone, *changed, *added})


def _fail(text: str) -> None:
    raise AssertionError(text)


if __name__ == "__main__":
    output, sys.stdout = sys.stdout, io.StringIO()  # a chatty training must not spoil the answer
    try:
        main(*sys.argv[1:])
        answer = sys.stdout.getvalue().splitlines()[-1]
    finally:
        sys.stdout = output
    output.write(answer + "\n")
