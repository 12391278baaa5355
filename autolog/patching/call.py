"""One call of a watched function, as its hooks see it."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from types import CodeType
from typing import TYPE_CHECKING, Any

from autolog.errors import UsageError

if TYPE_CHECKING:
    from inspect import Signature

    from autolog.integration import Span
    from autolog.patching.site import Handle, Site

_signatures: weakref.WeakKeyDictionary[Any, Signature | None] = weakref.WeakKeyDictionary()
_signatures_lock = threading.Lock()


def signature_of(function: Callable[..., Any]) -> Signature | None:
    """The signature of a function, remembered as long as it lives; None if it has none."""
    try:
        return _signatures[function]
    except (KeyError, TypeError):
        pass
    import inspect

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = None
    try:
        with _signatures_lock:
            _signatures[function] = signature
    except TypeError:
        pass  # Some C functions cannot be weakly referenced.
    return signature


class Invocation:
    """What the hooks of one call share: the arguments, and where the call was written.

    `positional` and `keywords` are what the original is called with. They start as the user's
    own objects and are exchanged, never changed.
    """

    __slots__ = (
        "bound",
        "caller",
        "entered",
        "given",
        "instance",
        "keywords",
        "lasti",
        "leading",
        "original",
        "positional",
        "site",
    )

    bound: Mapping[str, Any] | bool | None
    """Bound arguments, None if the call does not bind, False while nobody has asked."""

    def __init__(
        self,
        site: Site,
        original: Callable[..., Any],
        instance: Any,
        leading: int,
        positional: tuple[Any, ...],
        keywords: Mapping[str, Any],
        caller: CodeType | None,
        lasti: int,
    ) -> None:
        self.site = site
        self.original = original
        self.instance = instance
        self.leading = leading
        self.positional = positional
        self.keywords = keywords
        self.caller = caller
        self.lasti = lasti
        self.given = (len(positional) - leading, keywords)
        self.entered: list[tuple[Handle, EngineCall, bool]] = []
        self.bound = False

    def leave(self) -> list[tuple[Handle, EngineCall, bool]]:
        """Those that entered, last first. They are let go, or a cycle would keep the arguments."""
        entered, self.entered = self.entered, []
        entered.reverse()
        return entered

    def bind(self) -> Mapping[str, Any] | None:
        """The arguments by parameter name, without the instance and without defaults."""
        signature = signature_of(self.original)
        if signature is not None:
            try:
                arguments = signature.bind(*self.positional, **self.keywords).arguments
            except TypeError:
                pass
            else:
                if self.leading:
                    # The instance goes by the name of the first parameter, or inside `*args`.
                    first = next(iter(signature.parameters.values()))
                    if first.kind is first.VAR_POSITIONAL:
                        arguments[first.name] = arguments[first.name][self.leading :]
                    else:
                        del arguments[first.name]
                return arguments
        self.site.unbound += 1
        return None

    def position(self, name: str) -> int | None:
        """Index among the positional arguments at which a parameter is passed, if it can be."""
        signature = signature_of(self.original)
        if signature is None:
            return None
        index = -self.leading
        for parameter in signature.parameters.values():
            if parameter.kind not in (
                parameter.POSITIONAL_ONLY,
                parameter.POSITIONAL_OR_KEYWORD,
            ):
                return None
            if parameter.name == name and index >= 0:
                return index
            index += 1
        return None

    def takes_keyword(self, name: str) -> bool:
        """Whether the original accepts a keyword argument of this name."""
        signature = signature_of(self.original)
        if signature is None:
            return False
        for index, parameter in enumerate(signature.parameters.values()):
            if parameter.kind is parameter.VAR_KEYWORD:
                return True
            if (
                parameter.name == name
                and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
                and index >= self.leading
            ):
                return True
        return False


class EngineCall:
    """The `Call` that one hook gets: shared arguments, and a state and a span of its own."""

    __slots__ = ("_invocation", "_state", "span")

    span: Span | None
    """Set by whoever opens a span for this call."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._state: dict[str, Any] | None = None
        self.span = None

    @property
    def instance(self) -> Any:
        """The object whose method was called, the class of a class method, or None."""
        return self._invocation.instance

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments, without the instance."""
        invocation = self._invocation
        return invocation.positional[invocation.leading :]

    @property
    def positional(self) -> tuple[Any, ...]:
        """Positional arguments with the instance, if it is among them."""
        return self._invocation.positional

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments as they were given."""
        return self._invocation.keywords

    @property
    def bound(self) -> Mapping[str, Any] | None:
        """Arguments by parameter name, without defaults; None if the call does not bind."""
        invocation = self._invocation
        if isinstance(invocation.bound, bool):
            invocation.bound = invocation.bind()
        return invocation.bound

    @property
    def state(self) -> dict[str, Any]:
        """A dictionary of this hook's own, from `enter` to `exit` or `error`."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def name(self) -> str:
        """The function's own name."""
        return self._invocation.site.attribute

    @property
    def caller_file(self) -> str | None:
        """The file that the call was written in."""
        caller = self._invocation.caller
        return caller.co_filename if caller is not None else None

    def written_in(self, package: str) -> bool:
        """Whether the call was written in a file of this imported package."""
        home = getattr(sys.modules.get(package), "__file__", None)
        if home is None:
            return False
        return (self.caller_file or "").startswith(os.path.dirname(home) + os.sep)  # noqa: PTH120

    def replace(self, name: str, value: Any) -> None:
        """Change one argument where it stands, or add it as a keyword; only `enter` can.

        Raises:
            UsageError: the function has no such parameter; the call stays as it is.
        """
        invocation = self._invocation
        if name in invocation.keywords:
            invocation.keywords = {**invocation.keywords, name: value}
        else:
            position = invocation.position(name)
            at = -1 if position is None else position + invocation.leading
            if 0 <= at < len(invocation.positional):
                before = invocation.positional
                invocation.positional = (*before[:at], value, *before[at + 1 :])
            elif invocation.takes_keyword(name):
                invocation.keywords = {**invocation.keywords, name: value}
            else:
                raise UsageError(
                    f"{invocation.site.place} takes no argument {name!r}: the call stays as it is; "
                    f"name one of its parameters."
                )
        invocation.bound = False

    def source_name(self, parameter: str) -> str | None:
        """The variable that the caller wrote for a parameter, `X_test`; None if it was none."""
        invocation = self._invocation
        if invocation.caller is None:
            return None
        count, keywords = invocation.given
        position = None
        if parameter not in keywords:
            position = invocation.position(parameter)
            if position is None or position >= count:
                return None
        from autolog.patching.names import argument_name

        return argument_name(
            invocation.caller,
            invocation.lasti,
            callee=None if self.name == "__call__" else self.name,
            positional=count,
            keywords=keywords,
            wanted=parameter if position is None else position,
            may_pass_instance=invocation.leading > 0,
        )

    def data_name(self, parameter: str) -> str | None:
        """What the data of a parameter is called in the name of an evaluation."""
        variable = self.source_name(parameter)
        if variable is None:
            return None
        from autolog.patching.names import data_name

        return data_name(variable)
