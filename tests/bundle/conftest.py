from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autolog.artifacts.blobs import BlobFolder
from autolog.journal import records
from autolog.store import open_store
from autolog.store.fold import fold
from autolog.store.location import Location, locate, prepare
from tests.store.training import Trainer

NAMES = "läufe\0🚀/x"


def fill(location: Location) -> list[str]:
    """Record a small tree with every kind of value; return the ids of its runs."""
    trainer = Trainer(location)
    trainer.append(records.Process, user="ada", packages={"numpy": "2"}, details=_script(location))
    top = "0" * 32  # the order of ids is that of the bundle
    trainer.open("study", uid=top, kind="study", user_opened=True, description="ä\0")
    uids = [top]
    for number in range(3):
        uid = f"{number + 1}" * 32
        trainer.open(f"trial-{number}", uid=uid, kind="trial", parent=top)
        uids.append(uid)
        trainer.params(
            uid, lr=number / 3, big=2**64 - 1, nan=float("nan"), none=None, deep=[1, "a"]
        )
        trainer.tags(uid, **{NAMES: "wert\0"})
        for step in range(50):
            values = {"loss": 1 / (step + 1), "acc": step / 50}
            trainer.metrics(uid, values, step, epoch=step // 10 if step % 2 else None)
        trainer.metrics(uid, {NAMES: float("nan"), "loss": float("inf")}, 2**63 - 1, attempt=1)
        trainer.metrics(uid, {"loss": -0.0}, -(2**63), phase="post", dataset="test")
        trainer.metrics(uid, {"loss": -0.0}, -(2**63), phase="post", dataset="test")
        blob = BlobFolder(location.artifacts).put(b"weights %d" % (number // 2))
        path = "model/model.pkl"
        trainer.append(
            records.ArtifactFile, uid, path=path, size=blob.size, sha256=blob.sha256, uri=blob.uri
        )
        model = {"name": "model", "format": "pickle", "safe": False, "size": blob.size}
        trainer.append(
            records.ModelSaved, uid, **model, paths=[path], manifest={"class": "x.Y"}, wall_us=5
        )
        trainer.append(records.Input, uid, role="train", name="iris", profile={"rows": 150})
        trainer.event("note", uid, text=NAMES)
        trainer.end(uid, "FAILED" if number else "FINISHED", exit_code=number)
    trainer.close()
    return uids


def _script(location: Location) -> dict:
    blob = BlobFolder(location.artifacts).put(b"import autolog")
    return {"entry": {"path": "train.py", "sha256": blob.sha256, "uri": blob.uri}}


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Location:
    """A store with four runs, folded."""
    location = locate(tmp_path_factory.mktemp("recorded") / "store")
    prepare(location)
    fill(location)
    store = open_store(location)
    fold(store)
    store.close()
    return location


@pytest.fixture
def store(recorded: Location):
    opened = open_store(recorded)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty store: making one takes longer than copying it."""
    location = locate(tmp_path_factory.mktemp("empty") / "store")
    prepare(location)
    open_store(location).close()
    return location.root


@pytest.fixture
def fresh(empty: Path, tmp_path: Path):
    """An empty store."""
    opened = open_store(locate(shutil.copytree(empty, tmp_path / "fresh")))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def exported(recorded: Location, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of all runs; tests that change one copy it."""
    from autolog.bundle.writing import export

    opened = open_store(recorded)
    place = tmp_path_factory.mktemp("exported") / "bundle"
    export(opened, [run.run_id for run in opened.runs().runs], place, version="0")
    opened.close()
    return place
