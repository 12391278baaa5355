"""What works on this machine and could be better: each with what to do. Imports no framework."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from autolog.cli.format import size
from autolog.discovery import DISTRIBUTION, discover
from autolog.errors import AutologError

if TYPE_CHECKING:
    from autolog.cli.frameworks import Framework
    from autolog.store.location import Location

__all__ = ["Advice", "give"]

_LITTLE_SPACE: Final = 1_000_000_000

_INSTRUMENTATIONS: Final = {
    "opentelemetry/instrumentation/auto_instrumentation": "OpenTelemetry",
    "ddtrace/bootstrap": "ddtrace",
    "newrelic/bootstrap": "New Relic",
}
"""Folders that these tools put into PYTHONPATH to patch libraries from there."""

_BACKENDS: Final = ("tensorflow", "jax", "torch", "openvino")


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """A remark: what it is about, what was found, and what to do about it."""

    topic: str
    text: str
    action: str


def give(frameworks: Sequence[Framework], uri: str | None) -> list[Advice]:
    """Look around this machine, as it is seen from the working directory.

    Args:
        frameworks: the frameworks that are looked at.
        uri: the store; None for the one that a program started here would use.
    """
    installed = [one for one in frameworks if one.state != "not installed"]
    environment = os.environ
    found = [
        *_switches(environment),
        *_python_path(environment),
        *_wrapt(environment),
        *_tools(),
        *_extras(installed),
    ]
    if any(one.integration == "keras" for one in installed):
        found += _keras(environment)
    location = _location(uri)
    return [*found, *_disk(location)] if location is not None else found


def _location(uri: str | None) -> Location | None:
    from autolog.store.location import locate

    try:
        return locate(uri)
    except AutologError:  # told among the problems
        return None


def _switches(environment: Mapping[str, str]) -> Iterator[Advice]:
    """Variables that change what is recorded, and are easily forgotten in a shell's profile."""
    if environment.get("AUTOLOG_DISABLED"):
        yield Advice(
            topic="AUTOLOG_DISABLED",
            text=f"AUTOLOG_DISABLED={environment['AUTOLOG_DISABLED']} leaves frameworks out",
            action="unset AUTOLOG_DISABLED to record them",
        )
    if environment.get("AUTOLOG_UNGUARD"):
        yield Advice(
            topic="AUTOLOG_UNGUARD",
            text="AUTOLOG_UNGUARD switches guards off, for tests of autolog alone",
            action="unset AUTOLOG_UNGUARD",
        )
    if environment.get("AUTOLOG_COMPAT_MATRIX"):
        yield Advice(
            topic="AUTOLOG_COMPAT_MATRIX",
            text="a matrix of your own replaces what autolog knows of the frameworks in it",
            action="unset AUTOLOG_COMPAT_MATRIX once a release of autolog has what you need",
        )


def _python_path(environment: Mapping[str, str]) -> Iterator[Advice]:
    boot = Path(__file__).resolve().parent.parent / "_boot"
    for entry in environment.get("PYTHONPATH", "").split(os.pathsep):
        if not entry:
            continue
        folder = Path(entry)
        if folder.is_absolute() and folder.resolve() == boot:
            yield Advice(
                topic="PYTHONPATH",
                text="PYTHONPATH switches autolog on in every Python started from here, as"
                " `autolog run -- COMMAND` does for its command",
                action="leave that shell, or take the folder out of PYTHONPATH",
            )
        for part, tool in _INSTRUMENTATIONS.items():
            if folder.as_posix().rstrip("/").endswith(part):
                yield Advice(
                    topic="PYTHONPATH",
                    text=f"{tool} patches libraries through PYTHONPATH, too",
                    action="if a training is not recorded, look whether autolog.status() has sites"
                    " that are replaced, and try without it",
                )


def _wrapt(environment: Mapping[str, str]) -> Iterator[Advice]:
    switched_off = environment.get("WRAPT_DISABLE_EXTENSIONS")
    if not switched_off and _there("wrapt._wrappers"):
        return
    action = "pip install --force-reinstall --only-binary wrapt 'wrapt>=2.4,<3'"
    yield Advice(
        topic="wrapt",
        text="wrapt runs without its C extension: watched class methods and C functions are slower",
        action="unset WRAPT_DISABLE_EXTENSIONS" if switched_off else action,
    )


def _tools() -> Iterator[Advice]:
    from autolog.tracking.git import find_checkout

    if not _there("psutil"):
        yield Advice(
            topic="psutil",
            text="psutil is missing: what runs use of the machine is not measured",
            action="pip install psutil",
        )
    gpu = Path("/proc/driver/nvidia/version").exists()
    if gpu and not _there("pynvml"):
        yield Advice(
            topic="gpu",
            text="there is an NVIDIA driver, and pynvml is missing: GPUs are not measured",
            action="pip install nvidia-ml-py",
        )
    if shutil.which("git") is None and find_checkout(Path(os.path.realpath("."))) is not None:
        yield Advice(
            topic="git",
            text="git is missing: runs know their commit, and not whether files differ from it",
            action="install git",
        )


def _extras(installed: Sequence[Framework]) -> Iterator[Advice]:
    """What an integration makes use of beside its framework, as the extra of its name says."""
    from packaging.requirements import Requirement

    try:
        declared = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # run from a source tree
        return
    requirements = [Requirement(text) for text in declared]
    known = discover().integrations
    for one in installed:
        own = known[one.integration].distributions
        missing = [
            requirement.name
            for requirement in requirements
            if requirement.marker is not None
            and requirement.marker.evaluate({"extra": one.integration})
            and not requirement.marker.evaluate({"extra": ""})
            and requirement.name not in (*own, DISTRIBUTION)
            and not _installed(requirement.name)
        ]
        if missing and not one.disabled:
            yield Advice(
                topic=one.integration,
                text=f"{' and '.join(missing)} is missing, which models of {one.integration} are"
                " stored with",
                action=f"pip install '{DISTRIBUTION}[{one.integration}]'",
            )


def _keras(environment: Mapping[str, str]) -> Iterator[Advice]:
    """Say if Keras would find no backend, or no Keras of the kind that was chosen."""
    named, where = environment.get("KERAS_BACKEND"), "KERAS_BACKEND"
    if not named:
        folder = environment.get("KERAS_HOME") or str(Path("~/.keras").expanduser())
        named, where = _configured(Path(folder, "keras.json")), "keras.json"
    backend, where = (named, where) if named else ("tensorflow", "Keras' default")
    present = [name for name in _BACKENDS if _there(name)]
    if _installed("keras") and backend in _BACKENDS and backend not in present:
        other = f"set KERAS_BACKEND={present[0]}, or " if present else ""
        yield Advice(
            topic="KERAS_BACKEND",
            text=f"the backend {backend} ({where}) is not installed: import keras will fail",
            action=f"{other}pip install {backend}",
        )
    legacy = environment.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    if legacy and not _installed("tf-keras"):
        yield Advice(
            topic="TF_USE_LEGACY_KERAS",
            text="TF_USE_LEGACY_KERAS asks for tf_keras, which is not installed",
            action="pip install tf-keras, or unset TF_USE_LEGACY_KERAS",
        )


def _configured(path: Path) -> str | None:
    try:
        backend: Any = json.loads(path.read_bytes()).get("backend")
    except (OSError, ValueError, AttributeError):
        return None
    return backend if isinstance(backend, str) else None


def _disk(location: Location) -> Iterator[Advice]:
    from autolog.journal.filesystem import is_network, mount_type

    try:
        place = next(
            path for path in (location.journal, *location.journal.parents) if path.exists()
        )
        total, _, free = shutil.disk_usage(place)
    except (OSError, StopIteration):  # told among the problems
        return
    if free < _LITTLE_SPACE and total:  # /proc has no space at all
        yield Advice(
            topic="disk",
            text=f"{size(free)} are free at {place}; what does not fit waits in memory",
            action="free some, `autolog gc --dry-run` says how much autolog can, or name another"
            " place with AUTOLOG_STORE",
        )
    if not location.remote and is_network(location.root if location.root.exists() else place):
        yield Advice(
            topic="network",
            text=f"the store lies on a network file system ({mount_type(place)}): its database is"
            " slower there, and whether writers of other hosts live is learned by their beats",
            action="keep it on a local disk (AUTOLOG_STORE), or use postgresql:// for many hosts",
        )


def _there(module: str) -> bool:
    """Whether a module could be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
