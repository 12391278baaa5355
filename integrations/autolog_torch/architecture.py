"""A module described by its parts: no code of the user's classes runs, no weight is read."""

from __future__ import annotations

from typing import Any, Final

from autolog_torch import models

__all__ = ["described", "tree"]

_MOST: Final = 5000
"""More parts than this are counted, not listed."""

_WRAPPERS: Final = frozenset(
    {"DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "OptimizedModule"}
)


def described(module: Any) -> dict[str, Any]:
    """Describe a module by its class, the number of its parameters, and where they are."""
    own = _parameters(module)
    trained = [one for one in own if one.requires_grad]
    around = _around(module)
    compiled = "OptimizedModule" in around or _compiled(module)
    parallel = [name for name in around if name != "OptimizedModule"]
    if any(base.__name__ == "FSDPModule" for base in type(module).__mro__):
        parallel.append("fully_shard")
    found: dict[str, Any] = {
        "model": _original(module).__name__,
        "model.parameters": sum(one.numel() for one in own),
        "model.trainable_parameters": sum(one.numel() for one in trained),
        "model.compiled": compiled,
        "device": ", ".join(sorted({str(one.device) for one in own})),
        "dtype": ", ".join(sorted({str(one.dtype).removeprefix("torch.") for one in own})),
    }
    if parallel:
        found["model.parallel"] = " + ".join(parallel)
    return found


def _held(module: Any, what: str) -> dict[str, Any]:
    state: dict[str, Any] = module.__dict__
    return state.get(what) or {}


def _original(module: Any) -> Any:
    """Return the user's class, which `fully_shard` and parametrizations replace by theirs."""
    cls: Any = module.__class__
    replaced = cls.__name__.startswith(("FSDP", "Parametrized")) and len(cls.__mro__) > 2
    generated = any(base.__name__ == "FSDPModule" for base in cls.__mro__)
    if replaced and (generated or cls.__name__.startswith("Parametrized")):
        return next(base for base in cls.__mro__[1:] if base.__name__ != "FSDPModule")
    return cls


def _around(module: Any) -> list[str]:
    """Return the names of the wrappers around a module or, if it is one itself, its own."""
    names: list[str] = []
    whole = module
    for _ in range(16):
        if whole is None:
            break
        name = type(whole).__name__
        if name in _WRAPPERS and type(whole).__module__.startswith("torch."):
            names.append(name)
        whole = models.parent_of(whole)
    return names


def _compiled(module: Any) -> bool:
    state: dict[str, Any] = module.__dict__
    return state.get("_compiled_call_impl") is not None


def _parameters(module: Any) -> list[Any]:
    """Return the parameters of a module and its parts, each once."""
    found: dict[int, Any] = {}
    for _, part, _, _ in _walk(module):
        for one in _held(part, "_parameters").values():
            if one is not None and _has_size(one):
                found[id(one)] = one
    return list(found.values())


def _has_size(parameter: Any) -> bool:
    """Whether a parameter was initialised: one of a lazy module has no size before."""
    return not type(parameter).__name__.startswith("Uninitialized")


def _walk(module: Any) -> list[tuple[int, Any, str, bool]]:
    """Return the parts of a module in order: depth, part, name, whether it stood there before."""
    found: list[tuple[int, Any, str, bool]] = []
    seen: set[int] = set()
    pending = [(0, module, "")]
    while pending and len(found) <= _MOST:
        depth, part, name = pending.pop()
        again = id(part) in seen
        found.append((depth, part, name, again))
        if again:
            continue
        seen.add(id(part))
        inside = [(depth + 1, one, key) for key, one in _parts(part) if one is not None]
        pending.extend(reversed(inside))
    return found


def _parts(module: Any) -> list[tuple[str, Any]]:
    return list(_held(module, "_modules").items())


def tree(module: Any) -> str:
    """Return the tree of a module as text, a line for each part."""
    parts = _walk(module)
    lines: list[str] = []
    for depth, part, name, again in parts[:_MOST]:
        own = [one for one in _held(part, "_parameters").values() if one is not None]
        size = sum(one.numel() for one in own if _has_size(one))
        text = f"{'  ' * depth}{f'({name}): ' if name else ''}{type(part).__name__}{_extra(part)}"
        if size and not again:
            text += f"  # {size:,} parameters"
        lines.append(f"{text}  # as above" if again else text)
    if len(parts) > _MOST:
        lines.append("...")
    return "\n".join(lines) + "\n"


def _extra(module: Any) -> str:
    """Return how a module of torch's own is set up; another's would have to be asked."""
    if not type(module).__module__.startswith("torch."):
        return ""
    extra = module.extra_repr()
    return f"({extra})" if extra and "\n" not in extra else ""
