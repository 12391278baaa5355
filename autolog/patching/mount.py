"""How a watched function is put in place and taken away again, by kind of function.

* A function of a class is replaced by a plain function (a proxy would break pickles of bound
  methods, `WeakMethod` and everything that asks for `__func__`). Class and static methods are
  made anew around one.
* A function of a module keeps its identity and gets other code: names imported earlier, pickles
  and tables of functions hold the same object and see the hooks.
* Where a compiler may trace the function, that code would stop it: a decorated function keeps its
  code too, and what it calls is exchanged.
* Anything else (descriptors such as scikit-learn's `available_if`, C functions) gets a proxy.
"""

from __future__ import annotations

import inspect
import sys
import weakref
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from autolog.patching.frame import (
    function_frame,
    is_frame_copy,
    is_plain,
    method_frame,
    stub_code,
)

if TYPE_CHECKING:
    from autolog.patching.site import Site

Standing = Literal["in place", "beneath", "lost", "replaced"]
"""Where a mounted wrapper is found: outermost, under somebody else's, gone without anybody
having put something else there (a by-value pickle of the class came back), or exchanged."""


_DEFERRED = (
    inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
    | inspect.CO_ITERABLE_COROUTINE
)


class Mount(Protocol):
    """A way to put a wrapper in place; the engine calls these under its lock."""

    @property
    def note(self) -> str | None:
        """What a reader of the status should know about this way."""
        ...

    def put(self) -> None:
        """Put the wrapper in place."""
        ...

    def standing(self) -> Standing:
        """Look where the wrapper is now."""
        ...

    def take(self) -> bool:
        """Restore what was there; False if the wrapper had to stay beneath another."""
        ...


class Unpatchable(Exception):  # noqa: N818 - a verdict, not an error that anybody sees
    """This attribute must be left alone; the message says why."""


class CodeMount:
    """A module's function whose code is exchanged for a stub that passes through the site."""

    note = None

    def __init__(self, site: Site, function: FunctionType) -> None:
        self._function = function
        self._code: CodeType = function.__code__
        inner = FunctionType(
            self._code,
            function.__globals__,
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        inner.__kwdefaults__ = function.__kwdefaults__
        inner.__qualname__ = function.__qualname__
        inner.__module__ = function.__module__
        inner.__doc__ = function.__doc__
        inner.__annotations__ = function.__annotations__
        inner.__dict__.update(function.__dict__)
        self._stub = stub_code(site, inner, self._code)
        # A `functools.wraps` function shows the signature of what it wraps, whatever its code.
        named = {"__wrapped__", "__signature__"} & vars(function).keys()
        self._signature = None if named else inspect.signature(function)

    def put(self) -> None:
        """Exchange the code; a call in progress goes on with the old one."""
        if self._signature is not None:
            cast("Any", self._function).__signature__ = self._signature
        self._function.__code__ = self._stub

    def standing(self) -> Standing:
        """See whose code the function has."""
        if self._function.__code__ is self._stub:
            return "in place"
        return "lost" if self._function.__code__ is self._code else "replaced"

    def take(self) -> bool:
        """Give back the code, unless somebody else has exchanged it since."""
        if self._function.__code__ is self._stub:
            self._function.__code__ = self._code
        if self._signature is not None:
            shown = vars(self._function)
            if shown.get("__signature__") is self._signature:
                del shown["__signature__"]
        return True


class CellMount:
    """A decorated function of a module: what its decorator closes over is exchanged.

    `torch.compile` reads the code of functions, and no constant of a code may be an object of ours;
    a function that is closed over it reads as any other.
    """

    note = None

    def __init__(self, site: Site, cell: CellType) -> None:
        self._cell = cell
        self._raw: FunctionType = cell.cell_contents
        self._wrapper = function_frame(site, self._raw)

    def put(self) -> None:
        """Have the decorator call the wrapper."""
        self._cell.cell_contents = self._wrapper

    def standing(self) -> Standing:
        """See what the decorator calls."""
        current = self._cell.cell_contents
        if current is self._wrapper:
            return "in place"
        return "lost" if current is self._raw else "replaced"

    def take(self) -> bool:
        """Have the decorator call the function again."""
        if self._cell.cell_contents is self._wrapper:
            self._cell.cell_contents = self._raw
        return True


class AttributeMount:
    """An attribute of a class or module that is replaced by a wrapper.

    The owner is held weakly, so that a class made inside a function can go when it is done with.
    """

    def __init__(
        self,
        owner: Any,
        attribute: str,
        raw: object,
        wrapper: object,
        *,
        note: str | None = None,
    ) -> None:
        self.note = note
        self._owner: weakref.ref[Any] = weakref.ref(owner)
        self._attribute = attribute
        self._raw = raw
        self._wrapper = wrapper
        self._created = attribute not in vars(owner)

    def put(self) -> None:
        """Set the attribute."""
        owner = self._owner()
        if owner is not None:
            setattr(owner, self._attribute, self._wrapper)

    def standing(self) -> Standing:
        """See what the owner's own dictionary holds."""
        owner = self._owner()
        if owner is None:
            return "in place"
        current = _own(owner, self._attribute)
        if current is self._wrapper:
            return "in place"
        if _chain_holds(current, self._wrapper):
            return "beneath"
        if current is self._raw or self._is_copy(current):
            return "lost"
        return "replaced"

    def _is_copy(self, current: Any) -> bool:
        """Whether a by-value pickle came back: of our inert wrapper, or of the raw function."""
        current, raw = _function_of(current), _function_of(self._raw)
        if is_frame_copy(current):
            return True
        if not is_plain(current) or not is_plain(raw):
            return False
        return current.__code__ == raw.__code__ and current.__qualname__ == raw.__qualname__

    def take(self) -> bool:
        """Set the raw attribute again, or delete the slot if the wrapper made it."""
        owner = self._owner()
        if owner is None:
            return True
        current = _own(owner, self._attribute)
        if current is not self._wrapper and _chain_holds(current, self._wrapper):
            return self._splice(owner)
        if current is self._wrapper or self._is_copy(current):
            if self._created:
                delattr(owner, self._attribute)
            else:
                setattr(owner, self._attribute, self._raw)
        return True

    def _splice(self, owner: Any) -> bool:
        """Take the wrapper out from beneath another, if that can be taken apart."""
        if _is_bare(self._wrapper):
            return False  # wrapt would put the function back where the class method was.
        # Only wrapt's own wrappers can be taken apart; without wrapt, none of them is there.
        wrapt: Any = sys.modules.get("wrapt")
        if wrapt is None:
            return False
        try:
            wrapt.unwrap_object(owner, self._attribute, self._wrapper, missing_ok=True)
        except wrapt.WrapperNotOutermostError:
            return False
        return True


def _own(owner: object, attribute: str) -> object:
    return vars(owner).get(attribute)


def _function_of(thing: Any) -> Any:
    """The function inside a class or static method; else the thing itself."""
    return thing.__func__ if _is_bare(thing) else thing


def _is_bare(thing: object) -> bool:
    """Whether a thing is a class or static method, and no subclass of those with ideas."""
    return type(thing) is classmethod or type(thing) is staticmethod


def _chain_holds(current: Any, wrapper: object) -> bool:
    """Whether following `__wrapped__` from an attribute leads to our wrapper."""
    for _ in range(64):
        if current is wrapper:
            return True
        try:
            current = current.__wrapped__
        except AttributeError:
            return False
    return False


def prepare(raw: object) -> None:
    """Import what mounting will need: done outside of the engine's lock."""
    if not is_plain(_function_of(raw)):
        import autolog.patching.proxy  # noqa: F401 # pyright: ignore[reportUnusedImport]


def find_raw(owner: Any, attribute: str) -> Any:
    """The attribute as its class or module holds it, unbound.

    Raises:
        LookupError: there is none.
    """
    if isinstance(owner, type):
        for parent in owner.__mro__:
            if attribute in vars(parent):
                return vars(parent)[attribute]
        raise LookupError(attribute)
    try:
        return getattr(owner, attribute)
    except AttributeError:
        raise LookupError(attribute) from None


def mount_for(site: Site, owner: Any, attribute: str, raw: Any) -> Mount:
    """Choose how an attribute is patched.

    Raises:
        Unpatchable: it must be left alone.
    """
    wrapper: object
    if isinstance(raw, type):
        raise Unpatchable("a class is not wrapped; name one of its methods")
    if isinstance(owner, ModuleType):
        if is_plain(raw):
            _refuse_deferred(raw)
            cell = _decorated(raw) if site.traced else None
            return CodeMount(site, raw) if cell is None else CellMount(site, cell)
        if not callable(raw) or attribute not in vars(owner):
            raise Unpatchable(f"a {type(raw).__name__} of a module is not a function")
        note = f"replaced as an attribute ({type(raw).__name__}): earlier imports are not seen"
        wrapper = _proxy(site, raw, by_name=True)
        return AttributeMount(owner, attribute, raw, wrapper, note=note)
    function = _function_of(raw)
    if not is_plain(function):
        if not _is_method_like(raw):
            raise Unpatchable(f"a {type(raw).__name__} is not a method")
        wrapper = _proxy(site, raw)
        return AttributeMount(owner, attribute, raw, wrapper)
    _refuse_deferred(function)
    if function is raw:
        wrapper = method_frame(site, function)
    elif issubclass(type(cast("object", raw)), classmethod):
        wrapper = classmethod(method_frame(site, function))
    else:
        wrapper = staticmethod(function_frame(site, function))
    return AttributeMount(owner, attribute, raw, wrapper)


def _decorated(function: FunctionType) -> CellType | None:
    """The cell in which a plain decorator's function holds what it decorates."""
    wrapped = vars(function).get("__wrapped__")
    cells = [cell for cell in function.__closure__ or () if cell.cell_contents is wrapped]
    return cells[0] if len(cells) == 1 and is_plain(wrapped) else None


def _refuse_deferred(function: FunctionType) -> None:
    """Leave alone what only begins to work when the call is over.

    A plain function in its place would not be recognised as a coroutine function, and its hooks
    would record a training that has not begun.
    """
    if function.__code__.co_flags & _DEFERRED:
        raise Unpatchable("a generator or coroutine function works after the call: left alone")


def _is_method_like(raw: object) -> bool:
    """A callable, or a descriptor that stands for a function and does not guard a value."""
    if hasattr(type(raw), "__set__"):
        return False
    if callable(raw):
        return True
    stands_for = getattr(raw, "__wrapped__", None)
    return hasattr(type(raw), "__get__") and is_plain(stands_for)


def _proxy(site: Site, raw: Any, *, by_name: bool = False) -> object:
    from autolog.patching.proxy import Proxy

    return Proxy(raw, site, by_name=by_name)
