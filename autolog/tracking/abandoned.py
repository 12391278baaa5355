"""Checkpoints whose process was killed before it could give them their place among the files."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from autolog.artifacts import waiting
from autolog.artifacts.blobs import BlobFolder
from autolog.entities import Artifact, Model, Status
from autolog.errors import AutologError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from autolog.artifacts.waiting import Note
    from autolog.store import Store

__all__ = ["take_up"]


def take_up(store: Store) -> None:
    """Add the copies that wait to their runs, of runs that are over; the journals are folded.

    The newest of a label is the last one, and one before it that is still there was the best.
    """
    folder = BlobFolder(store.location.artifacts)
    found = waiting.list_waiting(folder) if store.writable and not store.location.remote else []
    groups: dict[tuple[str, str], list[tuple[Path, Note]]] = {}
    for place, note in found:
        groups.setdefault((note.run_id, note.label), []).append((place, note))
    for (run_id, label), states in groups.items():
        try:
            running = store.run(run_id).status == Status.RUNNING.value
        except NotFoundError:  # its journal was not folded yet, or the run was deleted for good
            continue
        if running:
            continue
        for place, note in states:
            is_last = note is states[-1][1]
            name = label if is_last else f"{label}-best"
            with contextlib.suppress(OSError, AutologError):  # another reader may take it
                _take(store, folder, run_id, name, place, note, "last" if is_last else "best")


def _take(
    store: Store, folder: BlobFolder, run_id: str, name: str, place: Path, note: Note, role: str
) -> None:
    files = [
        Artifact(path=f"{name}/{file}", size=blob.size, sha256=blob.sha256, uri=blob.uri)
        for file, blob in waiting.take(place, folder).items()
    ]
    model = Model(
        name=name,
        format=note.format,
        safe=note.safe,
        size=sum(file.size for file in files),
        files=files,
        manifest={**note.manifest, "role": role},
    )
    store.record_model(run_id, model)
