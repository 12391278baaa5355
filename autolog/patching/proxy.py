"""The proxy for what is no plain function: descriptors such as `available_if`, and C functions.

This is the one module that needs wrapt, which takes 30 ms to import; it is imported when the
first such place is patched.
"""

from __future__ import annotations

import operator
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import wrapt

from autolog.patching.frame import method_frame, proxy_frame

if TYPE_CHECKING:
    from autolog.patching.site import Site


class Proxy(wrapt.FunctionWrapper[..., Any]):
    """Binds as the original does, so `hasattr` stays true to its conditions.

    Where binding gives an ordinary method, so does this, around a plain function: bound methods
    pickle, copy and are weakly referenced as before. In a class that is pickled by value the proxy
    pickles as its original; a module's function pickles by its name, as it did.
    """

    def __init__(self, raw: Any, site: Site, *, by_name: bool) -> None:
        super().__init__(raw, proxy_frame(site))
        self._self_site = site
        self._self_by_name = by_name
        self._self_frames: dict[FunctionType, Any] = {}

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        wrapped: Any = self.__wrapped__
        if not _binds(wrapped):
            return self  # A callable that does not bind is itself wherever it is found.
        bound = wrapped.__get__(instance, owner)
        if type(bound) is MethodType and type(bound.__func__) is FunctionType:
            return MethodType(self._frame_of(bound.__func__), bound.__self__)
        if instance is None and type(bound) is FunctionType:
            return method_frame(self._self_site, bound)
        return super().__get__(instance, owner) if callable(bound) else bound

    def _frame_of(self, function: FunctionType) -> Any:
        frames: dict[FunctionType, Any] = self._self_frames
        frame = frames.get(function)
        if frame is None:
            frame = method_frame(self._self_site, function)
            # A descriptor stands for one function; what makes them anew is not remembered.
            if not frames:
                frames[function] = frame
        return frame

    def __reduce__(self) -> Any:
        if self._self_by_name:
            return self.__wrapped__.__qualname__
        return operator.getitem, ((self.__wrapped__,), 0)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


def _binds(thing: object) -> bool:
    return hasattr(type(thing), "__get__")
