"""Sends a run with its files from one store to another."""

from __future__ import annotations

import json

from autolog.artifacts.repository import Repository, is_blob_uri
from autolog.entities import Artifact
from autolog.errors import NotFoundError
from autolog.store import Store
from autolog.store.portrait import Portrait, Taken

__all__ = ["copy_files", "scripts", "send"]


def send(source: Store, target: Store, ref: str) -> Taken:
    """Bring a run of `source`, or what is new of it, to `target`.

    Its files go first: a run never names a file that is not there. Files that both have are not
    copied.

    Raises:
        NotFoundError: `source` has no such run.
        StoreError: a file or the target cannot be read or written; the target has all of the
            run's news or none.
    """
    with source.take_out(ref) as portrait:
        here, there = Repository(source.location.artifacts), Repository(target.location.artifacts)
        copy_files(portrait, here, there)
        return target.take_in(portrait)


def copy_files(portrait: Portrait, source: Repository, target: Repository) -> list[Artifact]:
    """Copy the files of a run, verified; return those that `source` has not."""
    missing: list[Artifact] = []
    for file in [*portrait.artifacts, *scripts(portrait)]:
        if not is_blob_uri(file.uri):  # it was never stored, only linked to
            missing.append(file)
        elif not target.renew(file.sha256, file.size):
            try:
                with source.open(file.uri) as stream:
                    target.put(stream, expect=file.sha256)
            except NotFoundError:
                missing.append(file)
    return missing


def scripts(portrait: Portrait) -> list[Artifact]:
    """Return the entry scripts that processes of the run have stored; their sizes are not known."""
    found: list[Artifact] = []
    for witness in portrait.witnesses:
        for _, record in witness.records:
            entry = json.loads(record).get("details", {}).get("entry")
            if entry:
                path, sha256, uri = entry["path"], entry["sha256"], entry["uri"]
                found.append(Artifact(path=path, size=-1, sha256=sha256, uri=uri))
    return found
