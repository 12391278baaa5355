"""Walks a model for its state with Keras' own functions, and without what these do besides.

On each walk Keras builds a reference object of every kind, to know the attributes that hold no
state, and so counts up the names of the program's next layers; and it imports TensorFlow, to ask
whether something is one of its types. The functions are used with other globals than their module
has, which stays as it is.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from autolog_keras.hdf5 import Groups
from autolog_keras.kinds import unwarned

__all__ = ["UnserialisableError", "converter", "copied", "is_known", "state_of", "undisturbed"]

_WALKERS: Final = (
    "_save_state",
    "_save_container_state",
    "_walk_saveable",
    "_walk_trackable",
)
_SERIALISING: Final = ("ObjectSharingScope", "serialize_dict", "serialize_keras_object")
_SKIPPED: Final = ("get_attr_skipset", "get_attr_skiplist")
_LEGACY_SKIPPED: Final = frozenset({"_tracking_metadata", "_trackable_saved_model_saver"})
"""Attributes of tf_keras that compute for long and hold no state."""

_skipped: dict[str, Any] = {}
"""By kind of object, the attributes in which Keras looks for no state."""


class UnserialisableError(ValueError):
    """A model whose architecture cannot be written down."""


@functools.cache
def is_known(package: str) -> bool:
    """Whether the installed version has the private functions that a model is stored with."""
    try:
        library: Any = import_module(f"{package}.src.saving.saving_lib")
        serialising: Any = import_module(f"{package}.src.saving.serialization_lib")
        for prepare in (_memory, _folder):
            prepare(library)
        _walker(package)
        with undisturbed(package):
            return all(hasattr(serialising, name) for name in _SERIALISING)
    except (AttributeError, ImportError, KeyError):
        return False


def state_of(model: Any, package: str, assets: Path | None) -> Groups:
    """Return what Keras stores of every part, by the path of the part."""
    library: Any = import_module(f"{package}.src.saving.saving_lib")
    keep = converter(library.backend.convert_to_numpy) if package == "keras" else _as_array
    groups: Groups = {}
    weights = _memory(library)(groups, keep)
    files = _folder(library)(assets) if assets is not None else None
    with undisturbed(package), unwarned():
        _walker(package)(model, weights, files, "", set())
    return groups


def converter(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what makes arrays of the variables of Keras 3, by the backend's own function.

    It is given what the backend holds, and TensorFlow's is not used: NumPy warns of how Keras'
    variables are copied, and where warnings are errors there would be no model.
    """

    def keep(value: Any) -> Any:
        inner: Any = getattr(value, "value", value)
        inner = value if callable(inner) else inner
        ours = type(inner).__module__.startswith("tensorflow") and hasattr(inner, "numpy")
        return inner.numpy() if ours else convert(inner)

    return keep


def _as_array(value: Any) -> Any:
    return value.numpy() if hasattr(value, "numpy") else import_module("numpy").asarray(value)


@functools.cache
def _memory(library: Any) -> Callable[[Groups, Callable[[Any], Any]], Any]:
    """Make a class of stores that Keras takes for one of its own: the check is by class."""

    class Memory(library.H5IOStore):  # pyright: ignore[reportUntypedBaseClass]
        def __init__(self, groups: Groups, keep: Callable[[Any], Any]) -> None:
            self.groups = groups
            self.keep = keep

        def __bool__(self) -> bool:
            return True

        def make(self, path: str, metadata: Any = None) -> _Entry:  # noqa: ARG002
            if path in self.groups:
                raise UnserialisableError(f"two of its parts are both called {path!r}")
            entry = _Entry(self.keep)
            self.groups[path] = entry
            return entry

    return cast("Any", Memory)


@functools.cache
def _folder(library: Any) -> Callable[[Path], Any]:
    """Make a class of folders for files, as above, which come into being when they are needed."""

    class Folder(library.DiskIOStore):  # pyright: ignore[reportUntypedBaseClass]
        def __init__(self, root: Path) -> None:
            self.root = root

        def make(self, path: str) -> str:
            place = self.root / path
            place.mkdir(parents=True, exist_ok=True)
            return str(place)

    return cast("Any", Folder)


class _Entry(dict[str, Any]):
    """The arrays of one part."""

    def __init__(self, keep: Callable[[Any], Any]) -> None:
        super().__init__()
        self._keep = keep

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, self._keep(value))


@functools.cache
def _walker(package: str) -> Callable[..., None]:
    """Return Keras' function that walks a model, with other functions below it than Keras' own."""
    library: Any = import_module(f"{package}.src.saving.saving_lib")
    space: dict[str, Any] = {**vars(library)}
    for name in _SKIPPED:
        if name in space:
            space[name] = functools.partial(_attributes_skipped, space[name])
    for name in _WALKERS:
        if name in space:
            space[name] = copied(space[name], space)
    if package == "tf_keras":
        space["_walk_trackable"] = functools.partial(_legacy_attributes, library.ATTR_SKIPLIST)
        space["_is_keras_trackable"] = _legacy_parts()
    return space["_save_state"]


def _attributes_skipped(ask: Callable[[str], Any], kind: str) -> Any:
    """Keras means to remember these sets, and looks for them under another name."""
    found = _skipped.get(kind)
    if found is None:
        found = _skipped[kind] = ask(kind)
    return found


def _legacy_attributes(skipped: frozenset[str], part: Any) -> Iterator[tuple[str, Any]]:
    for name in sorted(dir(part), reverse=True):
        if name.startswith("__") or name in skipped or name in _LEGACY_SKIPPED:
            continue
        try:
            yield name, getattr(part, name)
        except Exception:  # noqa: S112  a property of an unbuilt layer: Keras passes over it, too
            continue


def _legacy_parts() -> Callable[[Any], bool]:
    root = "tf_keras.src"
    kinds = (
        import_module(f"{root}.engine.base_layer").Layer,
        import_module(f"{root}.optimizers.optimizer").Optimizer,
        import_module(f"{root}.metrics.base_metric").Metric,
        import_module(f"{root}.losses").Loss,
    )
    return lambda part: isinstance(part, kinds)


def copied(function: Any, space: dict[str, Any]) -> Any:
    """Return a function that looks its names up in `space`; the module stays as it is."""
    made = types.FunctionType(
        function.__code__, space, function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


@contextmanager
def undisturbed(package: str) -> Generator[None]:
    """Leave no trace in what Keras counts, and import no TensorFlow for it."""
    if package != "keras":
        yield
        return
    states: Any = import_module("keras.src.backend.common.global_state")
    names = states.get_global_attribute("object_name_uids")
    before = dict(names) if names is not None else None
    lazy: Any = import_module("keras.src.utils.module_utils").tensorflow
    # quirk keras-saving-imports-tensorflow: nothing can be of a type of TensorFlow without it
    absent = "tensorflow" not in sys.modules and getattr(lazy, "_available", False) is None
    if absent:
        lazy._available = False  # noqa: SLF001
    try:
        yield
    finally:
        if absent:
            lazy._available = None  # noqa: SLF001
        after = states.get_global_attribute("object_name_uids")
        if after is not None:
            after.clear()
            after.update(before or {})
