"""What a bug report needs, in one zip file: `autolog doctor --bundle FILE.zip`.

Nothing of it is sent. It has no parameters, metrics, tags, names of runs or experiments, and no
arguments of programs. From messages and the log these are taken out as far as they can be told
(`messages.without_values`); whatever text is left goes through `scrub.Scrubber`.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from autolog import settings
from autolog.cli.messages import own_texts, without_values
from autolog.cli.scrub import Scrubber
from autolog.errors import AutologError, SettingsError, UsageError

if TYPE_CHECKING:
    from autolog.store import Store
    from autolog.store.location import Location

__all__ = ["collect", "refuse", "save"]

_RUNS: Final = 20
_PAGE: Final = 500
_LOG_BYTES: Final = 32_000
_MESSAGES: Final = 20
_LARGE: Final = 500_000_000
"""Bytes of a database that is not copied into memory for a report."""

_SHOWN_SETTINGS: Final = frozenset(
    (
        "store",
        "journal_dir",
        "journal_max_mb",
        "journal_full",
        "finish_timeout",
        "disabled",
        "strict",
        "durability",
        "print",
        "compat_matrix",
        "system_metrics",
    )
)
"""Others hold names that the user chose; of those the report says only where they are set."""

_SHOWN: Final = frozenset(
    (
        "AUTOLOG_DISABLED",
        "AUTOLOG_DURABILITY",
        "AUTOLOG_FINISH_TIMEOUT",
        "AUTOLOG_JOURNAL_FULL",
        "AUTOLOG_JOURNAL_MAX_MB",
        "AUTOLOG_PRINT",
        "AUTOLOG_STRICT",
        "AUTOLOG_SYSTEM_METRICS",
        "AUTOLOG_UNGUARD",
        "CUDA_VISIBLE_DEVICES",
        "GROUP_RANK",
        "KERAS_BACKEND",
        "LANG",
        "LC_ALL",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "MLFLOW_AUTOLOGGING_TESTING",
        "OMP_NUM_THREADS",
        "PYTHONDEVMODE",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHASHSEED",
        "PYTHONOPTIMIZE",
        "PYTHONSAFEPATH",
        "PYTHONUTF",
        "PYTHONWARNINGS",
        "RANK",
        "TERM",
        "TF_CPP_MIN_LOG_LEVEL",
        "TF_ENABLE_ONEDNN_OPTS",
        "TF_USE_LEGACY_KERAS",
        "WORLD_SIZE",
        "WRAPT_DISABLE_EXTENSIONS",
    )
)
"""Variables whose values are shown."""

_NAMED: Final = re.compile(
    r"(AUTOLOG|MLFLOW|WANDB|KERAS|TF|TORCH|PYTORCH|XLA|JAX|CUDA|NCCL|NVIDIA|OMP|MKL|PYTHON|SLURM"
    r"|OTEL|DD|COMET|NEPTUNE|CLEARML|DATABRICKS|KUBERNETES|COLAB|KAGGLE|WRAPT)_?"
)
"""Variables of which the report says that they are set."""


def refuse(path: Path, *, force: bool) -> None:
    """Say at once if the bundle could not be written, before a minute is spent on it.

    Raises:
        UsageError: the file is there and is not to be overwritten, or its folder cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file, such as {path / 'report.zip'}")
    if path.exists() and not force:
        raise UsageError(
            f"{path} is there already: name another file, or overwrite it with --force"
        )
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None


def save(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the bundle; a file that was there stays until the new one is whole.

    Raises:
        UsageError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        os.replace(beside, path)  # noqa: PTH105
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None


def collect(document: Mapping[str, Any], uri: str | None) -> dict[str, bytes]:
    """Return the bundle's files.

    Args:
        document: what `autolog doctor --probe --json` prints.
        uri: the store; None for the one that a program started here would use.
    """
    from autolog.cli.output import as_json

    address = uri or _setting("store") or ""
    scrubber = Scrubber(os.environ, [address])
    location = _location(uri)
    own: set[str] = set()
    found: dict[str, Any] = {
        "doctor.json": {**msgspec.to_builtins(document, enc_hook=str), "settings": _settings()},
        "python.json": _python(),
        "environment.json": _environment(),
    }
    if location is not None:
        files, own = _of_store(location, scrubber)
        found |= files
    texts = {name: as_json(scrubber.all(content)) for name, content in found.items()}
    texts["packages.txt"] = "\n".join(_packages())
    if location is not None and (log := _log(location)):
        texts["helper.log"] = scrubber.text(without_values(log, own))
    return {name: f"{text}\n".encode(errors="backslashreplace") for name, text in texts.items()}


def _setting(name: str) -> Any:
    try:
        return settings.value(name)
    except SettingsError:
        return None


def _location(uri: str | None) -> Location | None:
    from autolog.store.location import locate

    try:
        return locate(uri)
    except AutologError:
        return None


def _settings() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in settings.KNOWN:
        try:
            one = settings.lookup(name)
        except SettingsError:  # told among the problems
            continue
        shown = one.value if name in _SHOWN_SETTINGS or one.origin == "default" else "***"
        found.append({"name": name, "value": shown, "origin": one.origin})
    return found


def _python() -> dict[str, Any]:
    build = sysconfig.get_config_var
    return {
        "version": sys.version,
        "implementation": sys.implementation.name,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "virtual": sys.prefix != sys.base_prefix,
        "free_threaded": bool(build("Py_GIL_DISABLED")),
        "debug": bool(build("Py_DEBUG")),
        "path": sys.path,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "cpus": os.cpu_count(),
        "encoding": sys.getfilesystemencoding(),
    }


def _environment() -> dict[str, str]:
    """Return the variables that may matter: of most of them only that they are set."""
    return {
        name: text if name in _SHOWN else "(set)"
        for name, text in sorted(os.environ.items())
        if name in _SHOWN or _NAMED.match(name)
    }


def _packages() -> list[str]:
    found: dict[str, str] = {}
    for one in metadata.distributions():
        name: Any = one.metadata["Name"]
        if name:
            found.setdefault(str(name).lower().replace("_", "-"), f"{name}=={one.version}")
    return [found[name] for name in sorted(found)]


def _log(location: Location) -> str:
    from autolog.sink.state import log_path

    try:
        content = log_path(location).read_bytes()[-_LOG_BYTES:]
    except OSError:
        return ""
    return content.decode(errors="replace")


def _of_store(location: Location, scrubber: Scrubber) -> tuple[dict[str, Any], set[str]]:
    """Describe the store, and what went wrong in its newest runs; nothing in it is changed.

    Also returns the texts that the user chose in all of its runs, as far as it can be read.
    """
    from autolog.cli.volume import database_bytes
    from autolog.store import open_store
    from autolog.store.fold import behind, fold

    described: dict[str, Any] = {"uri": location.uri, "database_bytes": None}
    try:
        described |= {"database_bytes": database_bytes(location), "journals": _journals(location)}
        if (described["database_bytes"] or 0) > _LARGE:
            too_large = {**described, "error": "too large to be read for a report"}
            return {"store.json": too_large}, set()
        store = open_store(location, write=False)
        try:
            described["unfolded_bytes"] = behind(store)
            fold(store)  # into the copy in memory
            described["usage"] = msgspec.to_builtins(store.usage())
            own = _own(store)
            runs = _runs(store, scrubber, own)
        finally:
            store.close()
    except (AutologError, OSError) as error:
        failed = {**described, "error": f"{type(error).__name__}: {error}"}
        return {"store.json": failed}, set()
    return {"store.json": described, "runs.json": runs}, own


def _journals(location: Location) -> list[dict[str, Any]]:
    from autolog.journal.files import list_writers

    return [
        {
            "writer": files.uid,
            "state": files.state(),
            "files": len(files.segments),
            "bytes": sum(path.stat().st_size for path in files.segments.values()),
        }
        for files in list_writers(location.journal)
    ]


def _own(store: Store) -> set[str]:
    """Return what the user chose in all runs: names, parameters, tags, sources, metrics."""
    texts: set[str] = set()
    after: str | None = None
    while True:
        page = store.runs(limit=_PAGE, after=after)
        for run in page.runs:
            chosen = [run.name, run.experiment, run.params, run.tags, run.source]
            texts |= own_texts([*chosen, list(run.metrics)])
        after = page.next
        if after is None:
            return texts


def _runs(store: Store, scrubber: Scrubber, own: set[str]) -> list[dict[str, Any]]:
    """Describe the newest runs by what went wrong in them, without what they were about."""
    found: list[dict[str, Any]] = []
    for run in store.runs(limit=_RUNS).runs:
        details = store.details(run.run_id)
        said = [
            f"{event.kind} {event.data.get('key') or ''}: {event.data.get('text') or ''}"
            for event in details.events
            if event.kind == "notice"
        ][:_MESSAGES]
        errors = run.logging_errors[:_MESSAGES]
        everything = "\n".join([*said, *errors])
        near = [word for word in own if word in everything]
        found.append(
            {
                "run_id": run.run_id,
                "kind": run.kind,
                "status": run.status,
                "start_time": run.start_time,
                "end_time": run.end_time,
                "depth": run.depth,
                "params": len(run.params),
                "metrics": len(run.metrics),
                "tags": len(run.tags),
                "logging_errors": [without_values(text, near) for text in errors],
                "notices": [without_values(text, near) for text in said],
            }
        )
    return scrubber.all(found)
