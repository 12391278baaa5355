"""How a stored model is described: what it is, what it takes to load it, how far to trust it."""

from __future__ import annotations

import sys
from typing import Any, Final

from autolog.integration import Format, Integration, Snapshot

__all__ = ["STAGED", "format_named", "manifest", "native_format", "snapshot"]

STAGED: Final = "pickle"
"""The format in which the trainer stores a model unless its framework has a fast one."""


def snapshot(model: object) -> Snapshot:
    """Describe any object for storing; the integration that knows its class gives the format."""
    owner = _integration_of(type(model))
    if owner is None:
        return Snapshot(model=model, format=STAGED)
    form = next((form.name for form in owner.formats if form.safe), STAGED)
    return Snapshot(model=model, format=form)


def native_format(snapshot: Snapshot) -> Format | None:
    """Return the format that the trainer stores this model in at once; None for a pickle."""
    form = format_named(snapshot.format)
    return form if form is not None and form.native else None


def format_named(name: str) -> Format | None:
    """Return a format of an installed integration."""
    from autolog.discovery import discover

    for integration in discover().integrations.values():
        for form in integration.formats:
            if form.name == name:
                return form
    return None


def manifest(snapshot: Snapshot, *, by_value: bool, fallback: str | None) -> dict[str, Any]:
    """Describe a staged model: what it is, what it takes to load it, and how far to trust it.

    Args:
        snapshot: the model with what its integration says of it.
        by_value: code of `__main__` travels inside of its pickle.
        fallback: why the format of its framework could not hold it.
    """
    model: object = snapshot.model
    kind = type(model)
    why = {} if fallback is None else {"fallback": fallback}
    return {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "convert_to": STAGED if why else snapshot.format,
        "python": sys.version.split()[0],
        "versions": dict(snapshot.versions or {}),
        "by_value": by_value,
        "contains_data": snapshot.contains_data,
        "signature": dict(snapshot.signature or {}),
        **why,
    }


def _integration_of(kind: type) -> Integration | None:
    from autolog.discovery import discover

    packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
    for integration in discover().integrations.values():
        if packages & {module.partition(".")[0] for module in integration.modules}:
            return integration
    return None
