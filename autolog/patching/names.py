"""The variable a caller wrote for an argument, read from the caller's code and nothing else.

Neither a frame nor its variables are touched (a look at `f_locals` keeps objects alive), and no
source file is read: the load instructions before the call say which names were loaded. Read
backwards from the call, each argument is the shortest run of instructions that adds one value to
the stack. Where that cannot be told for certain (a jump inside an argument, `*args`, a call made
from C, a callee of another name) the answer is None: no name is better than a wrong one.
"""

from __future__ import annotations

import bisect
import builtins
import re
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType
from typing import Any, NamedTuple

_PLAIN_LOADS = frozenset(
    {
        "LOAD_NAME",
        "LOAD_GLOBAL",
        "LOAD_FAST",
        "LOAD_FAST_BORROW",
        "LOAD_FAST_CHECK",
        "LOAD_DEREF",
        "LOAD_CLASSDEREF",
        "LOAD_FROM_DICT_OR_DEREF",
        "LOAD_FROM_DICT_OR_GLOBALS",
    }
)
_ATTRIBUTE_LOADS = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"})
_POSITIONAL_CALLS = frozenset({"CALL", "CALL_FUNCTION", "CALL_METHOD"})
_KEYWORD_CALLS = frozenset({"CALL_KW", "CALL_FUNCTION_KW"})

_SAME_DATA = frozenset({"values"})
"""Attributes that are the data of what they belong to: `X_test.values` is called `X_test`."""

_NAMELESS = frozenset(
    {
        *("", "X", "x", "y", "Y", "y_true", "y_pred", "y_hat", "true", "pred", "truth"),
        *("target", "targets", "labels", "actual", "expected", "data", "dm", "dmatrix"),
        *("ds", "dataset", "loader", "generator", "inputs", "images", "features", "batches"),
    }
)
"""Variables that do not say which data they hold."""


_CONTAINER = re.compile(r"(?<=.)_(data|ds|dataset|loader|dataloader|dl|generator|gen|batches)$")
"""What a variable is in, which says nothing of which data it is: `test` for `test_dataset`."""

_RECEIVER = -1
"""Stands for the object whose method is called, among the positions of the arguments."""

_SELF = frozenset({"self", "cls"})


class _Step(NamedTuple):
    """One instruction; superinstructions are taken apart into their halves."""

    operation: str
    argument: int
    value: object
    effect: int
    label: bool
    """Something jumps here."""
    jumps: bool


class _Steps(NamedTuple):
    offsets: list[int]
    steps: list[_Step]
    answers: dict[tuple[Any, ...], str | None]
    """What was asked of this code before: a call in a loop is asked again and again."""


_decoded: weakref.WeakKeyDictionary[CodeType, _Steps] = weakref.WeakKeyDictionary()
_decoded_lock = threading.Lock()


def argument_name(
    code: CodeType,
    lasti: int,
    *,
    callee: str | None,
    positional: int,
    keywords: Mapping[str, object],
    wanted: int | str,
    may_pass_instance: bool,
) -> str | None:
    """The name written for one argument of the call at `lasti`, if there is one; never raises.

    Args:
        code: the caller's code.
        lasti: its `f_lasti` during the call.
        callee: the name by which the function must have been called, else C code called it;
            None for an object that is called itself.
        positional: how many positional arguments arrived, without the instance.
        keywords: the keyword arguments that arrived.
        wanted: the index of a positional argument or the name of a keyword.
        may_pass_instance: `Class.method(instance, ...)` is a possible way to have called it.
    """
    try:
        steps = _steps(code)
        asked = (lasti, callee, positional, tuple(keywords), wanted, may_pass_instance)
        if asked not in steps.answers:
            steps.answers[asked] = _name(
                steps, lasti, code, callee, positional, keywords, wanted, may_pass_instance
            )
        return steps.answers[asked]
    except Exception:  # bytecode of an unknown Python says nothing, it never fails
        return None


def receiver_name(
    code: CodeType, lasti: int, *, callee: str, positional: int, keywords: Iterable[str]
) -> str | None:
    """The name written for the object whose method is called at `lasti`; never raises.

    That is `gan` for `self.gan.step(x)`. `self` itself is no name: every object calls itself so.
    """
    try:
        steps = _steps(code)
        names = tuple(keywords)
        asked = (lasti, callee, positional, names, None, False)
        if asked not in steps.answers:
            given: Mapping[str, object] = dict.fromkeys(names)
            name = _name(steps, lasti, code, callee, positional, given, _RECEIVER, False)
            steps.answers[asked] = None if name in _SELF else name
        return steps.answers[asked]
    except Exception:  # as above
        return None


def _name(
    decoded: _Steps,
    lasti: int,
    code: CodeType,
    callee: str | None,
    positional: int,
    keywords: Mapping[str, object],
    wanted: int | str,
    may_pass_instance: bool,
) -> str | None:
    steps = decoded.steps
    # `f_lasti` may stand in the caches behind an instruction: take the last one at or before it.
    at = bisect.bisect_right(decoded.offsets, lasti) - 1
    call = steps[at]
    named: Any = ()
    if call.label:
        return None
    if call.operation in _KEYWORD_CALLS:
        at -= 1
        named = steps[at].value
        if steps[at].operation != "LOAD_CONST" or steps[at].label:
            return None
    elif call.operation not in _POSITIONAL_CALLS:
        return None
    at -= 1
    while steps[at].operation in ("PRECALL", "KW_NAMES"):
        if steps[at].label:
            return None
        if steps[at].operation == "KW_NAMES":
            named = code.co_consts[steps[at].argument]
        at -= 1
    names: tuple[str, ...] = named
    if set(names) != set(keywords):
        return None
    written = call.argument - len(names)
    if written == positional:
        shift = 0
    elif written == positional + 1 and may_pass_instance:
        shift = 1
    else:
        return None
    index = written + names.index(wanted) if isinstance(wanted, str) else wanted + shift
    name: str | None = None
    for argument in range(call.argument - 1, -1, -1):
        start = _start(steps, at)
        if start is None:
            return None
        if argument == index:
            name = _written(steps, at)
        at = start - 1
    if call.argument and steps[at + 1].label:
        return None
    if steps[at].operation == "PUSH_NULL":
        at -= 1
    called = _callee(steps[at])
    if callee is None:
        # Any variable may hold the object, but `list(lazy)` runs a `map` over it from C.
        return name if called is not None and not hasattr(builtins, called) else None
    if wanted == _RECEIVER:
        is_method = called == callee and steps[at].operation in _ATTRIBUTE_LOADS
        return _written(steps, at - 1) if is_method else None
    return name if called == callee else None


def _start(steps: list[_Step], end: int) -> int | None:
    """Where the expression that ends at `end` starts; None if control flow runs through it."""
    height = 1
    for at in range(end, -1, -1):
        step = steps[at]
        if step.jumps:
            return None
        height -= step.effect
        if height == 0:
            return at
        if step.label:
            return None
    return None


def _written(steps: list[_Step], at: int) -> str | None:
    step = steps[at]
    if step.operation in _PLAIN_LOADS:
        return _text(step.value) if step.effect == 1 else None
    if step.operation == "LOAD_ATTR" and step.effect == 0:
        return _written(steps, at - 1) if step.value in _SAME_DATA else _text(step.value)
    if step.operation == "BINARY_SUBSCR" or (step.operation, step.value) == ("BINARY_OP", "[]"):
        key = steps[at - 1]
        return _text(key.value) if key.operation == "LOAD_CONST" else None
    return None


def _callee(step: _Step) -> str | None:
    if step.operation in _PLAIN_LOADS or step.operation in _ATTRIBUTE_LOADS:
        return _text(step.value)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.isidentifier() else None


def _steps(code: CodeType) -> _Steps:
    known = _decoded.get(code)
    if known is None:
        offsets: list[int] = []
        steps: list[_Step] = []
        for offset, step in _decode(code):
            offsets.append(offset)
            steps.append(step)
        known = _Steps(offsets, steps, {})
        with _decoded_lock:
            _decoded[code] = known
    return known


def _decode(code: CodeType) -> Iterator[tuple[int, _Step]]:
    import dis

    jumping = {*dis.hasjrel, *dis.hasjabs}
    label = False
    for item in dis.get_instructions(code):
        label = label or item.is_jump_target
        if item.opname in ("EXTENDED_ARG", "CACHE"):
            continue
        argument = item.arg or 0
        halves = _halves(item.opname)
        values: tuple[object, ...]
        if halves is None:
            effect = dis.stack_effect(item.opcode, item.arg, jump=False)
            value = item.argrepr if item.opname == "BINARY_OP" else item.argval
            jumps = item.opcode in jumping
            yield item.offset, _Step(item.opname, argument, value, effect, label, jumps)
        else:
            values = item.argval
            for half, value in zip(halves, values, strict=True):
                effect = 1 if half.startswith("LOAD") else -1
                yield item.offset, _Step(half, argument, value, effect, label, jumps=False)
                label = False
        label = False


def _halves(operation: str) -> tuple[str, str] | None:
    """`LOAD_FAST_LOAD_FAST` as its two instructions (Python 3.13 and later)."""
    for first in ("LOAD_FAST_BORROW", "LOAD_FAST", "STORE_FAST"):
        second = operation.removeprefix(f"{first}_")
        if second != operation and second in ("LOAD_FAST_BORROW", "LOAD_FAST", "STORE_FAST"):
            return first, second
    return None


def data_name(variable: str) -> str | None:
    """Return which data a variable holds, `test` for `X_test`; None if its name does not say."""
    if variable.strip("_") in _NAMELESS:
        return None
    for prefix in ("X_", "x_", "y_", "Y_"):
        variable = variable.removeprefix(prefix) or variable
    for suffix in ("_X", "_x", "_y"):
        variable = variable.removesuffix(suffix) or variable
    return _CONTAINER.sub("", variable) or variable
