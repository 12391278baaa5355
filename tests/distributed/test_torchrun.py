"""One `torchrun` of two ranks: an unmodified scikit-learn fit, DDP with explicit logs, and FSDP."""

from __future__ import annotations

import pytest

from tests.distributed.conftest import AUTOLOG, TORCHRUN

TRAIN = """
import json, os, sys
from sklearn.naive_bayes import GaussianNB

GaussianNB().fit([[0.0], [1.0], [2.0]], [0, 1, 1])
recorders = sys.modules["autolog.tracking.recorder"].all_recorders()
said = {"journal_after_fit": any(one.started for one in recorders)}

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
import autolog

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(rank)


def train(model, steps):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        loss = model(torch.ones(8, 4)).square().mean()
        loss.backward()
        optimizer.step()
        yield step, loss.item()


with autolog.start_run("ddp", tags={"owner": "me"}) as run:
    autolog.log_params({"lr": 0.1})
    for step, loss in train(DistributedDataParallel(torch.nn.Linear(4, 2)), 3):
        autolog.log_metrics({"loss": 100.0 * rank + step}, step=step)
    run.log_text(f"from {rank}", "notes.txt")
    if rank == 1:
        run.log_table({"x": [1, 2]}, "seen")

# Nothing is logged inside: no rank may wait for one that writes.
mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (dist.get_world_size(),))
sharded = torch.nn.Linear(4, 2)
fully_shard(sharded, mesh=mesh)
with autolog.start_run("fsdp"):
    said["fsdp"] = [step for step, _ in train(sharded, 2)]
    if rank == 0:
        autolog.log_metric("loss", 1.0)

dist.barrier()
said |= {"rank": rank, "run": run.run_id, "database": "sqlalchemy" in sys.modules}
said["path"] = [one for one in sys.path if "_boot" in one]
sys.stdout.write(json.dumps(said) + "\\n")
sys.stdout.flush()
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def launched(launch):
    """The ranks' program, unmodified but for its explicit logs, below `autolog run --`."""
    options = ["--experiment", "cluster", "--exclude", "torch"]
    done = launch(
        [AUTOLOG, "run", *options, "--", TORCHRUN, "--nproc-per-node", "2"],
        TRAIN,
        AUTOLOG_PRINT="always",
    )
    assert done.code == 0, done.err
    return done


def points(launched, name, key="loss"):
    from autolog.tracking.reading import open_store

    store = open_store(str(launched.recording.folder))
    history = store.history(name, key)
    store.close()
    of_rank: dict[int, list[tuple[int, float]]] = {}
    for step, value, context in zip(history.step, history.value, history.context, strict=True):
        of_rank.setdefault(context.get("rank", 0), []).append((int(step), float(value)))
    return of_rank


@pytest.mark.edge_case("EC-T5")
def test_rank_0_alone_has_runs(launched):
    runs = launched.recording.runs()
    assert [run.kind for run in runs] == ["fit", "run", "run"]
    assert runs[0].name.startswith("GaussianNB-")
    assert [run.name for run in runs[1:]] == ["ddp", "fsdp"]
    assert {(run.status, run.experiment) for run in runs} == {("FINISHED", "cluster")}


@pytest.mark.edge_case("EC-T5")
def test_a_rank_that_only_trains_opens_no_journal_and_no_rank_a_database(launched):
    assert [launched.said[rank]["journal_after_fit"] for rank in (0, 1)] == [True, False]
    assert [launched.said[rank]["database"] for rank in (0, 1)] == [False, False]


def test_what_a_rank_logs_by_hand_is_in_the_run_of_rank_0_with_its_rank(launched):
    assert points(launched, "ddp") == {
        0: [(0, 0.0), (1, 1.0), (2, 2.0)],
        1: [(0, 100.0), (1, 101.0), (2, 102.0)],
    }
    run = launched.recording.runs()[1]
    assert (run.metrics, run.params, run.tags["owner"]) == ({"loss": 2.0}, {"lr": 0.1}, "me")
    assert run.logging_errors == []


def test_show_counts_the_points_of_rank_0_and_names_the_others(launched):
    from autolog.cli.series import read_series
    from autolog.tracking.reading import open_store

    store = open_store(str(launched.recording.folder))
    summary, values = read_series(store, store.run("ddp"))["loss"]
    store.close()
    assert (summary.points, summary.last, summary.ranks) == (3, 2.0, 1)
    assert values.tolist() == [0.0, 1.0, 2.0]


def test_a_rank_overwrites_no_file_of_another(launched):
    details = launched.recording.details(launched.recording.runs()[1])
    assert {one.path for one in details.artifacts} == {"notes.txt", "rank-1/notes.txt"}
    assert [e.data["columns"] for e in details.events if e.kind == "table"] == [{"x": [1, 2]}]


def test_the_id_that_a_rank_has_of_its_run_stands_for_the_groups(launched):
    from autolog.tracking.reading import open_store

    ids = [launched.said[rank]["run"] for rank in (0, 1)]
    assert ids[0] != ids[1]
    store = open_store(str(launched.recording.folder))
    assert [store.run(one).run_id for one in ids] == [ids[0], ids[0]]
    store.close()


@pytest.mark.edge_case("EC-T7")
def test_sharded_training_ends_though_one_rank_alone_records(launched):
    assert [launched.said[rank]["fsdp"] for rank in (0, 1)] == [[0, 1], [0, 1]]
    assert points(launched, "fsdp") == {0: [(0, 1.0)]}


def test_rank_0_alone_prints(launched):
    lines = [line for line in launched.err.splitlines() if line.startswith("autolog: ")]
    assert [line.split()[1] for line in lines] == ["recording", "3"]


def test_the_programs_see_no_folder_of_the_launcher_on_their_path(launched):
    assert [launched.said[rank]["path"] for rank in (0, 1)] == [[], []]
