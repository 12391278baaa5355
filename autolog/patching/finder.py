"""Says when a module has been imported, and changes nothing about the import.

One finder of our own stands first on `sys.meta_path` while anything is watched. For a watched
name it asks the other finders, and puts a loader in front of the one they found, which steps
aside before the module's first line runs: the module sees the loader it would have without us.

No lock is held while anything is imported or called back. wrapt's import hooks cannot be
unregistered, fire on half-initialised modules, and let an exception in a hook break the import.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar, cast

from autolog.interruption import comes_from_outside

Callback = Callable[[ModuleType], None]
_F = TypeVar("_F", bound=Callable[..., Any])


class _Watch:
    """One callback for one module."""

    __slots__ = ("callback", "called")

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.called = False


class ModuleWatch:
    """Calls back when modules have been imported.

    Args:
        on_fault: told of an exception in a callback, `(module_name, exception)`; the user's
            import is never broken by one.
    """

    def __init__(self, on_fault: Callable[[str, BaseException], None] | None = None) -> None:
        self.faults = 0
        self._on_fault = on_fault
        # Exchanged as a whole, read without a lock.
        self._watches: dict[str, tuple[_Watch, ...]] = {}
        self._pending: frozenset[str] = frozenset()
        self._asking = _Asking()

    def watch(self, module_name: str, callback: Callback) -> Callable[[], None]:
        """Call `callback(module)` after each execution of a module, at once if it is imported.

        A module that is being imported right now, beyond our reach, is called back at the next
        import or `flush` after it is done. The result ends the watch; calling it twice is fine.
        """
        entry = _Watch(callback)
        with _lock:
            self._watches = {
                **self._watches,
                module_name: (*self._watches.get(module_name, ()), entry),
            }
            if self not in sys.meta_path:
                sys.meta_path.insert(0, cast("Any", self))
        if module_name in sys.modules:
            self._catch_up(module_name)

        def unwatch() -> None:
            with _lock:
                left = tuple(
                    known for known in self._watches.get(module_name, ()) if known is not entry
                )
                others = {
                    name: entries for name, entries in self._watches.items() if name != module_name
                }
                self._watches = {**others, module_name: left} if left else others
                if not left:
                    self._pending -= {module_name}
                if not self._watches and self in sys.meta_path:
                    sys.meta_path.remove(cast("Any", self))

        return unwatch

    def watched(self) -> tuple[str, ...]:
        """Names of the watched modules, sorted."""
        return tuple(sorted(self._watches))

    def flush(self) -> None:
        """Call back for modules that came to be without the finder having seen them.

        Such are modules that were half-initialised when they were first watched, and those
        found by a finder that was put before ours.
        """
        for name in tuple(self._watches):
            if name in sys.modules:
                self._catch_up(name)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a watched module as the other finders do; never raises (the finder protocol)."""
        for pending in self._pending:
            if pending in sys.modules:
                self._catch_up(pending)
        if name not in self._watches or name in self._asking.names:
            return None
        self._asking.names.add(name)
        try:
            spec = self._ask_others(name, path, target)
            loader: Any = spec.loader if spec is not None else None
            if _watch_of(loader) is self:
                return spec
            if (
                spec is not None
                and hasattr(loader, "exec_module")
                and hasattr(loader, "create_module")
            ):
                spec.loader = cast("Any", _Loader(loader, self))
                return spec
        except Exception:  # the import asks that finder again, and sees its error
            return None
        finally:
            self._asking.names.discard(name)
        # Not found, a namespace package or a loader of the old protocol: left alone.
        if spec is not None:
            self._set_pending(name, True)
        return None

    def _ask_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in tuple(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec = find(name, path, target)
            if spec is not None:
                return spec
        return None

    def _executed(self, name: str, module: ModuleType) -> None:
        """A module's code has run: call back for it, whatever was called before."""
        module = sys.modules.get(name, module)
        if _is_lazy(module):
            self._set_pending(name, True)
            return
        for entry in self._watches.get(name, ()):
            self._call(entry, name, module)

    def _catch_up(self, name: str) -> None:
        """Call back, once, for a module that is there."""
        module = sys.modules.get(name)
        entries = [entry for entry in self._watches.get(name, ()) if not entry.called]
        if module is None:
            return
        if entries and (_is_lazy(module) or _is_initialising(module)):
            self._set_pending(name, True)
            return
        self._set_pending(name, False)
        for entry in entries:
            self._call(entry, name, module)

    def _call(self, entry: _Watch, name: str, module: ModuleType) -> None:
        entry.called = True
        try:
            entry.callback(module)
        except BaseException as error:  # the user's import must not notice
            if comes_from_outside(error):
                raise
            self.faults += 1
            if self._on_fault is not None:
                try:
                    self._on_fault(name, error)
                except Exception:  # whoever counts faults must not cause any
                    self.faults += 1

    def _set_pending(self, name: str, pending: bool) -> None:
        if (name in self._pending) is not pending:
            with _lock:
                self._pending = self._pending | {name} if pending else self._pending - {name}


class _Asking(threading.local):
    """Names this thread is asking other finders for: some of them ask all finders in turn."""

    def __init__(self) -> None:
        self.names: set[str] = set()


# Held for a few assignments at a time; shared by all watches, renewed in forked children.
_lock = threading.Lock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _is_initialising(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _is_lazy(module: ModuleType) -> bool:
    """Whether any look at the module would load it (`importlib.util.LazyLoader`)."""
    return type(module).__name__ == "_LazyModule" and type(module).__module__ == "importlib.util"


def _as_import_machinery(function: _F) -> _F:
    """Give a function the file name of the import machinery.

    The interpreter drops frames of that name from the traceback of a failing import, and
    `warnings` passes over them: both then read as they would without us.
    """
    plain = cast("FunctionType", function)
    code: CodeType = plain.__code__
    plain.__code__ = code.replace(co_filename="<frozen importlib._bootstrap>")
    return function


class _Loader:
    """Stands in for a module's loader from the moment it is found until the module runs."""

    def __init__(self, real: Any, watch: ModuleWatch) -> None:
        self._real = real
        self._watch = watch

    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What `isinstance` sees in a spec that was only looked up."""
        return self._real.__class__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @_as_import_machinery
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the real loader create the module from a spec that names the real loader."""
        if spec.loader is not cast("Any", self):
            return self._real.create_module(spec)  # Another loader (a lazy one) holds ours.
        spec.loader = self._real
        try:
            return self._real.create_module(spec)
        finally:
            spec.loader = cast("Any", self)

    @_as_import_machinery
    def exec_module(self, module: ModuleType) -> None:
        """Step aside, run the module, then call back."""
        name = _step_aside(self, module)
        self._real.exec_module(module)
        self._watch._executed(name, module)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def _watch_of(loader: object) -> object:
    return vars(loader)["_watch"] if type(loader) is _Loader else None


def _step_aside(loader: Any, module: ModuleType) -> str:
    real: Any = loader._real  # noqa: SLF001
    spec = module.__spec__
    if spec is not None and spec.loader is loader:
        spec.loader = real
    if getattr(module, "__loader__", None) is loader:
        module.__loader__ = real
    return spec.name if spec is not None else module.__name__
