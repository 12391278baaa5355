"""Applies hooks to places, removes them in any order, and says what has become of each."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from autolog.patching.site import FaultPolicy, Handle, Phase, Site, SiteStatus, State

if TYPE_CHECKING:
    from autolog.patching.call import EngineCall
    from autolog.patching.site import Hooks, Taps

_Key = tuple[int, str]


class Engine:
    """The patched places of a process.

    Applying and restoring is serialised by a lock; calls of patched functions take none.
    Nothing here raises because a place is missing or cannot be patched: the handle says so.

    Args:
        on_fault: told of each exception in a hook, `(site, integration, phase, exception)`. It
            must not keep the exception: an `error` hook's holds the user's frames.
        strict: raise what hooks raise in the user's call; default: `AUTOLOG_STRICT=1`.
    """

    def __init__(
        self,
        *,
        on_fault: Callable[[Site, str, Phase, BaseException], None] | None = None,
        strict: bool | None = None,
    ) -> None:
        if strict is None:
            strict = os.environ.get("AUTOLOG_STRICT") == "1"
        self._policy = FaultPolicy(strict=strict, on_fault=on_fault)
        self._lock = threading.RLock()
        self._sites: dict[_Key, Site] = {}
        self._loose: list[Handle] = []
        # Classes are held weakly; a finalizer may run anywhere, so it only leaves a note.
        self._owners: dict[_Key, Any] = {}
        self._dead: deque[_Key] = deque()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_renewing_lock(weakref.ref(self)))

    @property
    def strict(self) -> bool:
        """Whether exceptions in hooks are raised in the user's call."""
        return self._policy.strict

    @strict.setter
    def strict(self, value: bool) -> None:
        self._policy.strict = value

    def tap(self, owner: Any, attribute: str, integration: str, tap: Taps) -> Handle:
        """Put a tap on one attribute: less is made of each call, see `autolog.integration.Tap`."""
        return self.apply(owner, attribute, integration, _as_hook(tap), tap)

    def apply(
        self,
        owner: Any,
        attribute: str,
        integration: str,
        hook: Hooks | None,
        tap: Taps | None = None,
    ) -> Handle:
        """Put a hook on one attribute of a class or module.

        Applying the same hook of an integration to the same place again gives the same handle.
        """
        from autolog.patching.frame import is_plain
        from autolog.patching.mount import Unpatchable, find_raw, mount_for, prepare

        where = _describe(owner)
        if not isinstance(owner, type | ModuleType):
            reason = f"a {type(owner).__name__} is neither a class nor a module"
            return self.note(integration, where, attribute, "skipped", reason)
        try:
            # A lazy module imports here, which must not happen under the lock.
            prepare(find_raw(owner, attribute))
        except LookupError:
            reason = f"{where} has no {attribute}"
            return self.note(integration, where, attribute, "missing", reason)
        except Exception as error:  # a module's __getattr__ may raise anything
            return self.note(integration, where, attribute, "missing", _text(error))
        with self._lock:
            self._bury_the_dead()
            raw = find_raw(owner, attribute)
            # A module's function is one place however many modules export it.
            shared = isinstance(owner, ModuleType) and is_plain(raw)
            held = raw if shared else owner
            key = (id(held), "" if shared else attribute)
            site = self._sites.get(key)
            if site is None or not self._still_standing(site):
                before, site = site, Site(where, attribute, self._policy)
                site.traced = tap is not None and tap.unless is not None
                try:
                    site.mount = mount_for(site, owner, attribute, raw)
                    site.reason = site.mount.note
                    site.mount.put()
                except Unpatchable as verdict:
                    return self.note(integration, where, attribute, "skipped", str(verdict))
                except Exception as error:  # classes of C refuse, metaclasses may
                    return self.note(integration, where, attribute, "skipped", _text(error))
                self._sites[key] = site
                self._owners[key] = weakref.ref(held, lambda _, key=key: self._dead.append(key))
                if before is not None:
                    _move_hooks(before, site)
            for handle in site.hooks:
                same = handle.hook == hook if tap is None else handle.tap == tap
                if handle.integration == integration and same:
                    return handle
            handle = Handle(integration, where, attribute, hook, tap=tap)
            handle.site = site
            site.set_hooks((*site.hooks, handle))
            site.armed = True
            return handle

    def apply_target(
        self, module: ModuleType, target: str, integration: str, hook: Hooks | None
    ) -> Handle:
        """Put a hook on a path inside a module, `"Pipeline.fit"` or `"f1_score"`."""
        *path, attribute = target.split(".")
        owner: Any = module
        try:
            for name in path:
                owner = getattr(owner, name)
        except Exception as error:  # a module's __getattr__ may raise anything
            where = f"{module.__name__}:{'.'.join(path)}"
            return self.note(integration, where, attribute, "missing", _text(error))
        return self.apply(owner, attribute, integration, hook)

    def note(
        self,
        integration: str,
        owner: str,
        attribute: str,
        state: State,
        reason: str | None = None,
    ) -> Handle:
        """List a place that is not patched: `waiting` for its module, `skipped` for its version.

        Equal notes are one; a note is taken off the list like a hook, with `remove`.
        """
        handle = Handle(integration, owner, attribute, None, state=state, reason=reason)
        with self._lock:
            for known in self._loose:
                if known.status() == handle.status():
                    return known
            self._loose.append(handle)
        return handle

    def remove(self, handle: Handle) -> None:
        """Take one hook away; the last of a place restores it. Twice is once."""
        with self._lock:
            self._bury_the_dead()
            self._loose = [known for known in self._loose if known is not handle]
            site = handle.site
            if site is None or handle not in site.hooks:
                return
            site.set_hooks(tuple(known for known in site.hooks if known is not handle))
            if site.hooks:
                return
            site.armed = False
            if not self._restore(site):
                site.state = "buried"
                site.reason = "somebody wrapped it after us; ours stays beneath and does nothing"
                left = Handle(handle.integration, handle.owner, handle.attribute, None)
                left.site = site
                self._loose.append(left)

    def remove_all(self, integration: str | None = None) -> None:
        """Take away the hooks and notes of one integration, or all there are."""
        with self._lock:
            for site in tuple(self._sites.values()):
                for handle in site.hooks:
                    if integration is None or handle.integration == integration:
                        self.remove(handle)
            self._loose = [
                handle
                for handle in self._loose
                if handle.site is not None
                or (integration is not None and handle.integration != integration)
            ]

    def sites(self) -> tuple[SiteStatus, ...]:
        """What has become of every place, one entry for each hook and note."""
        with self._lock:
            self._bury_the_dead()
            hooks = [handle for site in self._sites.values() for handle in site.hooks]
            return tuple(handle.status() for handle in (*hooks, *self._loose))

    def recheck(self) -> tuple[SiteStatus, ...]:
        """See whether the wrappers are still where they were put, and mend what can be.

        A class of `__main__` that travelled to a worker by value comes back with copies of its
        functions in place of the wrappers: they are put back. What somebody else put in our
        place stays, and the place is `replaced`. A buried wrapper that came to the top goes.
        """
        with self._lock:
            self._bury_the_dead()
            for site in tuple(self._sites.values()):
                if site.mount is None:
                    continue
                if not site.hooks:
                    self._restore(site)
                    continue
                standing = site.mount.standing()
                if standing == "lost":
                    site.state = "replaced"
                    site.mount.put()
                    standing = site.mount.standing()
                    site.reason = "put back after its class was set anew (a by-value pickle)"
                if standing == "replaced":
                    site.state = "replaced"
                    site.reason = "somebody else's function stands in its place"
                else:
                    site.state = "applied"
        return self.sites()

    def renew(self, owner: Any) -> None:
        """Put back the wrappers of one class that was set anew, as `recheck` does for all."""
        with self._lock:
            for (known, _), site in tuple(self._sites.items()):
                if known == id(owner) and site.hooks and site.mount is not None:
                    self._still_standing(site)

    def _still_standing(self, site: Site) -> bool:
        """Whether a known place can take another hook as it is."""
        if site.mount is None:
            return False
        standing = site.mount.standing()
        if standing == "lost":
            site.mount.put()
        elif standing == "replaced":
            return False
        if site.state == "buried":
            self._loose = [handle for handle in self._loose if handle.site is not site]
            site.reason = site.mount.note
        site.state = "applied"
        return True

    def _restore(self, site: Site) -> bool:
        if site.mount is None or not site.mount.take():
            return False
        self._loose = [handle for handle in self._loose if handle.site is not site]
        for key, known in tuple(self._sites.items()):
            if known is site:
                del self._sites[key]
                del self._owners[key]
        return True

    def _bury_the_dead(self) -> None:
        """Forget the places of classes that are no more."""
        while self._dead:
            key = self._dead.popleft()
            reference = self._owners.get(key)
            if reference is not None and reference() is None:
                site = self._sites.pop(key)
                del self._owners[key]
                self._loose = [handle for handle in self._loose if handle.site is not site]

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()


def _renewing_lock(engine: weakref.ref[Engine]) -> Callable[[], None]:
    """For a forked child: another thread of the parent may have held the lock."""

    def renew() -> None:
        alive = engine()
        if alive is not None:
            alive._renew_lock()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    return renew


def _move_hooks(before: Site, after: Site) -> None:
    """Leave a wrapper that somebody replaced inert; its hooks go on around the replacement."""
    before.armed = False
    after.set_hooks(before.hooks)
    before.set_hooks(())
    for handle in after.hooks:
        handle.site = after
    after.armed = bool(after.hooks)


class _TapAsHook(NamedTuple):
    enter: Callable[[Any], None] | None
    exit: Callable[[Any, Any], None] | None
    error: Callable[[Any, BaseException], None] | None


def _as_hook(tap: Taps) -> Hooks:
    """Make a tap do as a hook, for a place that hooks watch too."""
    key = "autolog.tap"

    def enter(call: EngineCall) -> None:
        if tap.enter is not None:
            call.state[key] = tap.enter(call.positional, call.kwargs)

    def leave(call: EngineCall, result: Any) -> None:
        if tap.exit is not None:
            tap.exit(call.state.get(key), call.positional, call.kwargs, result)

    def error(call: EngineCall, exception: BaseException) -> None:
        if tap.error is not None:
            tap.error(call.state.get(key), call.positional, call.kwargs, exception)

    return _TapAsHook(enter, leave, error)


def _describe(owner: Any) -> str:
    if isinstance(owner, type):
        return f"{owner.__module__}:{owner.__qualname__}"
    if isinstance(owner, ModuleType):
        return owner.__name__
    return f"{type(owner).__module__}:{type(owner).__qualname__}"


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
