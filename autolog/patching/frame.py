"""The one frame of ours that stands between a caller and the function it calls.

The engine alone calls the original, here, exactly once and with the user's own arguments. The
text below is compiled under a file name that `warnings` and `logging` pass over (both skip names
with `importlib` and `_bootstrap` in them), so that a warning with a `stacklevel` points where it
would without us. What results refers to nothing but its own cells or constants, not even to
builtins: it can have the original's globals (`doctest` asks whose they are), and pickled by
value it works in an interpreter that has no autolog.

`*args` holds the instance too: a call without one must fail in the original, with its message.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import os
from collections.abc import Callable
from types import CellType, CodeType, FunctionType, SimpleNamespace
from typing import Any, TypeGuard, cast

FILE_NAME = "<autolog engine, passed over by warnings like importlib._bootstrap>"
"""The file name of the engine's frame in a traceback."""

_ENGINE = "autolog_engine"

_FILE_SUFFIX = " [autolog engine, passed over by warnings like importlib._bootstrap]"

_BODY = """
        if not site.armed or site.unless():
            return original(*{args}, **{kwargs})
        call = site.begin(original, {args}, {kwargs}, {instance})
        if call is None:
            return original(*{args}, **{kwargs})
        try:
            result = original(*call.positional, **call.keywords)
        except:
            site.fail(call)
            raise
        site.finish(call, result)
        return result
"""


def _body(instance: str, args: str = "args", kwargs: str = "kwargs") -> str:
    return _BODY.format(instance=instance, args=args, kwargs=kwargs)


# A call of a method carries its instance as the first argument; a module's function has none;
# wrapt hands the instance over beside the arguments of an already bound original.
_MAKE = "def make(site, original):\n    def autolog_engine"
_METHOD = f"{_MAKE}(*args, **kwargs):{_body('site.first')}"
_FUNCTION = f"{_MAKE}(*args, **kwargs):{_body('None')}"
_PROXY = (
    f"def make(site):\n    def autolog_engine(original, instance, args, kwargs):{_body('instance')}"
)
_SITE, _ORIGINAL = "<the site>", "<the original>"
_STUB = (
    "def make({free}):\n    def autolog_engine(*args, **kwargs):\n"
    f"        site = {_SITE!r}\n        original = {_ORIGINAL!r}{_body('None')}        {{free}}\n"
)


def _decorated(first: str, args: str, kwargs: str) -> str:
    """A method whose code has the parameters of `wrapper(estimator, *args, **kwargs)`."""
    return (
        f"{_MAKE}({first}, *{args}, **{kwargs}):\n        {args} = ({first}, *{args})"
        f"{_body('site.first', args, kwargs)}"
    )


@functools.cache
def _compiled(source: str, *, one_line: bool = False) -> CodeType:
    """The code of `autolog_engine` in a source text; on one line, if its own lines mislead."""
    tree = ast.parse(source)
    if one_line:
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt | ast.expr | ast.excepthandler):
                node.lineno = node.end_lineno = 1
                node.col_offset = node.end_col_offset = -1
    pending = [compile(tree, FILE_NAME, "exec", dont_inherit=True)]
    while pending:
        code = pending.pop()
        if code.co_name == _ENGINE:
            return code
        pending.extend(constant for constant in code.co_consts if isinstance(constant, CodeType))
    raise AssertionError(source)


def _closed_over(
    source: str, names: dict[str, Any] | None = None, **cells: Any
) -> Callable[..., Any]:
    code = _compiled(source)
    closure = tuple(CellType(cells[name]) for name in code.co_freevars)
    names = {"__builtins__": builtins} if names is None else names
    return FunctionType(code, names, code.co_name, None, closure)


def method_frame(site: Any, original: FunctionType) -> Callable[..., Any]:
    """A plain function for a class: its first argument is the instance (or the class)."""
    names = _decorators_parameters(original.__code__)
    source = _METHOD if names is None else _decorated(*names)
    return _described(
        original, _closed_over(source, original.__globals__, site=site, original=original)
    )


def function_frame(site: Any, original: FunctionType) -> Callable[..., Any]:
    """A plain function without an instance, for static methods."""
    return _described(
        original, _closed_over(_FUNCTION, original.__globals__, site=site, original=original)
    )


_OWN_NAMES = frozenset(_compiled(_METHOD).co_varnames + _compiled(_METHOD).co_freevars)


def _decorators_parameters(code: CodeType) -> tuple[str, str, str] | None:
    """The names of `(estimator, *args, **kwargs)`; None for functions with other parameters.

    Decorators of fits, scikit-learn's own among them, are such functions. Whoever looks at the
    parameters of their code finds the same with the engine's frame in place.
    """
    starred = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    if counts != (1, 0, 0) or code.co_flags & starred != starred:
        return None
    first, args, kwargs = code.co_varnames[:3]
    taken = _OWN_NAMES - {"args", "kwargs"}
    if taken & {first, args, kwargs} or not f"{first}{args}{kwargs}".isidentifier():
        return None
    return first, args, kwargs


def _described(original: FunctionType, frame: Callable[..., Any]) -> Callable[..., Any]:
    """Make a frame look like the original to whoever asks for names, text or parameters."""
    wrapped: Any = functools.wraps(original)(frame)
    # Never used, since nothing is missing where all arguments are `*args`; but programs look.
    wrapped.__defaults__ = original.__defaults__
    wrapped.__kwdefaults__ = original.__kwdefaults__
    if not {"__wrapped__", "__signature__"} & vars(original).keys():
        # `inspect.getfullargspec` does not follow `__wrapped__`, and programs ask it whether a
        # fit takes `sample_weight`.
        wrapped.__signature__ = inspect.signature(original)
    return wrapped


def proxy_frame(site: Any) -> Callable[..., Any]:
    """What a `wrapt.FunctionWrapper` calls, with `(wrapped, instance, args, kwargs)`."""
    return _closed_over(_PROXY, site=site)


def stub_code(site: Any, original: FunctionType, code: CodeType) -> CodeType:
    """Code to exchange for a function's own: it holds the site and the original as constants.

    The free variables are those of `code`, unused: a function accepts only code with as many as
    its closure has. They are compiled in and not only declared, since reading `f_locals` of a
    frame that never got its cells kills the process (3.11, 3.12). The file name is no file, so
    `inspect.getsource` and tracebacks ask the module's loader, and its one line is the
    original's first: they show the original's text.
    """
    free = "".join(f"free_{index:05}, " for index in range(len(code.co_freevars)))
    stub = _compiled(_STUB.replace("{free}", free), one_line=True)
    held = {_SITE: site, _ORIGINAL: original}
    constants = tuple(
        held.get(constant, constant) if isinstance(constant, str) else constant
        for constant in cast("tuple[object, ...]", stub.co_consts)
    )
    return stub.replace(
        co_consts=constants,
        co_freevars=code.co_freevars,
        co_filename=(code.co_filename or os.curdir) + _FILE_SUFFIX,
        co_firstlineno=code.co_firstlineno,
    )


def is_plain(thing: object) -> TypeGuard[FunctionType]:
    """Whether a thing is a plain function; proxies of others only say so of themselves."""
    return type(thing) is FunctionType


def is_frame_copy(thing: object) -> bool:
    """Whether a function is one of our frames that came back, inert, from a by-value pickle."""
    if not is_plain(thing) or thing.__code__.co_name != _ENGINE:
        return False
    return any(type(cell.cell_contents) is SimpleNamespace for cell in thing.__closure__ or ())
