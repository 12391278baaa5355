"""Opening, logging to and ending runs in one process."""

from __future__ import annotations

import asyncio
import math
import threading

import numpy as np
import pytest

import autolog
from autolog import NotFoundError, UsageError

# --- states ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exception", "status", "code"),
    [
        (None, "FINISHED", None),
        (ValueError("bad"), "FAILED", None),
        (KeyboardInterrupt(), "KILLED", None),
        (SystemExit(), "FINISHED", 0),
        (SystemExit(0), "FINISHED", 0),
        (SystemExit(3), "FAILED", 3),
        (SystemExit("no data"), "FAILED", 1),
        (GeneratorExit(), "FINISHED", None),
    ],
)
@pytest.mark.edge_case("EC-R2", "EC-R3", "EC-R4")
def test_a_block_ends_its_run_with_what_left_it(recording, exception, status, code):
    def body() -> None:
        with autolog.start_run():
            if exception is not None:
                raise exception

    if exception is None:
        body()
    else:
        with pytest.raises(type(exception)):
            body()
    details = recording.details()
    assert (details.run.status, details.exit_code) == (status, code)
    assert autolog.active_run() is None


def test_the_error_of_a_failed_run_is_kept(recording):
    with pytest.raises(ValueError, match="bad"), autolog.start_run():
        raise ValueError("bad data")
    assert recording.details().error == "ValueError: bad data"


def test_an_ended_run_keeps_its_status(recording):
    run = autolog.start_run()
    run.end("FAILED")
    run.end("FINISHED")
    assert recording.run().status == "FAILED"


def test_an_unknown_status_is_refused(recording):
    run = autolog.start_run()
    with pytest.raises(UsageError, match="FINISHED"):
        run.end("DONE")


def test_a_run_can_be_read_while_it_is_open(recording):
    autolog.start_run("open one")
    autolog.log_metric("loss", 0.5)
    run = autolog.get_run("open one")
    assert (run.status, run.metrics, run.end_time) == ("RUNNING", {"loss": 0.5}, None)


# --- where logs go ---------------------------------------------------------------------------


def test_logging_without_a_run_opens_one_implicit_run(recording):
    autolog.log_param("lr", 0.1)
    autolog.log_metric("loss", 1.0)
    run = recording.run()
    assert (run.params, run.metrics) == ({"lr": 0.1}, {"loss": 1.0})


def test_a_training_joins_the_implicit_run(recording):
    from sklearn.linear_model import LinearRegression

    autolog.autolog()
    autolog.log_param("note", "before")
    LinearRegression().fit([[0.0], [1.0]], [0, 1])
    run = recording.run()
    assert run.params["note"] == "before"
    assert run.params["fit_intercept"] is True


@pytest.mark.edge_case("EC-R12", "EC-R8")
def test_logging_after_a_training_goes_to_its_run_as_post(recording):
    from sklearn.linear_model import LinearRegression

    autolog.autolog()
    LinearRegression().fit([[0.0], [1.0]], [0, 1])
    autolog.log_metric("cost", 7)
    run = recording.run()
    assert run.metrics["cost"] == 7
    history = autolog.metric_history(run.run_id, "cost")
    assert history.context[0]["phase"] == "post"


def test_a_thread_logs_to_the_users_run(recording):
    with autolog.start_run():
        thread = threading.Thread(target=lambda: autolog.log_metric("in_thread", 1))
        thread.start()
        thread.join()
    assert recording.run().metrics == {"in_thread": 1.0}


@pytest.mark.edge_case("EC-T8")
def test_every_point_of_eight_threads_is_stored(recording):
    run = autolog.start_run()

    def work(number: int) -> None:
        for step in range(1000):
            run.log_metric("x", number, step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = autolog.metric_history(run, "x")
    assert len(history.value) == 8000
    assert sorted(history.value.tolist()) == sorted(n for n in range(8) for _ in range(1000))


# --- names, trees, call sites ----------------------------------------------------------------


def test_a_run_inside_a_run_is_its_child(recording):
    with autolog.start_run("outer") as outer, autolog.start_run("inner"):
        pass
    inner, root = recording.run(parent="outer"), recording.run(roots_only=True)
    assert (inner.parent_id, inner.root_id, inner.depth) == (outer.run_id, outer.run_id, 1)
    assert root.name == "outer"


@pytest.mark.edge_case("EC-R9")
def test_the_line_that_left_a_run_open_ends_it_and_starts_a_root(recording):
    for _ in range(2):
        autolog.start_run()
        autolog.log_metric("x", 1)
    first, second = recording.runs()
    assert (first.status, second.status) == ("FINISHED", "RUNNING")
    assert first.parent_id is second.parent_id is None


def test_another_line_makes_a_child(recording):
    autolog.start_run("a")
    autolog.start_run("b")
    assert [run.depth for run in recording.runs()] == [0, 1]


def test_a_run_has_children_by_handle(recording):
    with autolog.start_run("parent") as parent:
        with parent.child("fold") as child:
            child.log_metric("score", 0.5)
        parent.log_metric("score", 1.0)
    runs = {run.name: run for run in recording.runs()}
    assert runs["fold"].parent_id == runs["parent"].run_id
    assert (runs["fold"].metrics, runs["parent"].metrics) == ({"score": 0.5}, {"score": 1.0})


def test_inside_its_block_a_child_is_the_active_run(recording):
    with autolog.start_run("parent") as parent, parent.child("kid"):
        autolog.log_metric("x", 1)
    runs = {run.name: run for run in recording.runs()}
    assert (runs["kid"].metrics, runs["parent"].metrics) == ({"x": 1.0}, {})


def test_a_run_inside_a_run_is_in_its_experiment(recording):
    with autolog.start_run("outer", experiment="E"), autolog.start_run("inner"):
        pass
    assert [run.experiment for run in recording.runs()] == ["E", "E"]


def test_a_run_is_called_after_its_script_unless_it_is_named(recording):
    with autolog.start_run() as plain, autolog.start_run(run_name="mine", nested=True) as named:
        pass
    assert plain.name.rpartition("-")[0]
    assert named.name == "mine"


def test_the_environment_names_the_first_run(recording, program):
    program(
        "import autolog\nfor _ in range(2):\n    with autolog.start_run(): pass\n",
        AUTOLOG_RUN_NAME="nightly",
    )
    assert [run.name == "nightly" for run in recording.runs()] == [True, False]


def test_a_parent_of_another_process_is_named_by_the_environment(recording, program):
    with autolog.start_run() as parent:
        pass
    program("import autolog\nwith autolog.start_run(): pass\n", AUTOLOG_PARENT_RUN_ID=parent.run_id)
    assert [run.parent_id for run in recording.runs()] == [None, parent.run_id]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"fits": "none"}, 'expected "join" or "children"'),
        ({"resume": "perhaps"}, '"must"'),
        ({"resume": "must"}, "needs run_id="),
        ({"name": "a", "run_name": "b"}, "two names"),
        ({"tags": 3}, "a dictionary of texts, not a int"),
    ],
)
def test_contradicting_arguments_are_refused(recording, arguments, part):
    with pytest.raises(UsageError, match=part):
        autolog.start_run(**arguments)
    assert recording.runs() == []
    assert recording.runs() == []


def test_a_run_that_must_exist_and_does_not_is_refused(recording):
    with pytest.raises(NotFoundError):
        autolog.start_run(run_id="no-such-run", resume="must")


def test_a_resumed_run_goes_on(recording):
    with autolog.start_run("long") as run:
        autolog.log_metric("x", 1, 0)
    with autolog.start_run(run_id="long", resume="must") as again:
        autolog.log_metric("x", 2, 1)
    assert again.run_id == run.run_id
    assert recording.run().status == "FINISHED"
    assert autolog.metric_history("long", "x").value.tolist() == [1, 2]
    assert recording.events("conflict") == []


@pytest.mark.edge_case("EC-T9")
def test_a_process_joins_a_run_of_another_by_the_environment_and_does_not_end_it(
    recording, program
):
    with autolog.start_run("driver") as run:
        autolog.log_metric("x", 1, 0)
        program(
            "import autolog\nwith autolog.start_run(): autolog.log_metric('x', 2, 1)\n",
            AUTOLOG_RUN_ID=run.run_id,
        )
        assert recording.run().status == "RUNNING"
    assert (recording.run().name, recording.run().status) == ("driver", "FINISHED")
    assert autolog.metric_history(run, "x").value.tolist() == [1, 2]


# --- values ----------------------------------------------------------------------------------


def test_points_without_a_step_are_numbered_for_each_key(recording):
    with autolog.start_run() as run:
        run.log_metric("a", 1)
        run.log_metrics({"a": 2, "b": 3})
        run.log_metric("b", 4)
    assert autolog.metric_history(run, "a").step.tolist() == [0, 1]
    assert autolog.metric_history(run, "b").step.tolist() == [0, 1]


@pytest.mark.edge_case("EC-V4")
def test_nan_and_infinities_and_extreme_steps_round_trip(recording):
    values = [math.nan, math.inf, -math.inf, 5e-324, -0.0]
    steps = [-(2**63), -1, 0, 1, 2**63 - 1]
    with autolog.start_run() as run:
        for step, value in zip(steps, values, strict=True):
            run.log_metric("x", value, step)
    history = autolog.metric_history(run, "x")
    assert history.step.tolist() == steps
    assert np.array_equal(history.value, values, equal_nan=True)


@pytest.mark.edge_case("EC-V5", "EC-V6")
@pytest.mark.parametrize(
    "value", [True, 3, np.float32(0.5), np.int64(4), np.array(2.0), np.array([[7]])]
)
def test_scalars_of_any_kind_are_numbers_through_every_path(recording, value):
    with autolog.start_run() as run:
        run.log_metric("one", value)
        run.log_metrics({"many": value})
        run.log({"nested": {"deep": value}})
    expected = float(np.asarray(value).item())
    metrics = {"one": expected, "many": expected, "nested/deep": expected}
    assert recording.run().metrics == metrics


@pytest.mark.parametrize("value", ["text", None, [1.0, 2.0], np.zeros(2), {"a": 1}])
def test_what_is_no_number_is_refused_by_name(recording, value):
    with autolog.start_run(), pytest.raises(UsageError, match="'accuracy'"):
        autolog.log_metric("accuracy", value)


@pytest.mark.edge_case("EC-V2", "EC-V3")
@pytest.mark.parametrize("name", ["ndcg@3", "a_at_1", "x (%), 50", "größe/🙂", "日本", "a'b\"c"])
def test_any_name_round_trips(recording, name):
    with autolog.start_run(name):
        autolog.log_metric(name, 1)
        autolog.log_param(name, name)
        autolog.set_tag(name, name)
    run = recording.run()
    assert (run.name, run.metrics, run.params) == (name, {name: 1.0}, {name: name})
    assert run.tags[name] == name


def test_text_that_no_file_can_hold_is_escaped(recording):
    broken = "a\udcff"
    with autolog.start_run(broken, experiment=broken, description=broken) as run:
        run.log_param(broken, [broken, {broken: broken}])
        run.set_tag(broken, broken)
        run.log_input([1], broken)
        run.log_text("x", broken)
        with pytest.raises(UsageError, match="surrogates"):
            run.log_metric(broken, 1)
    found = recording.run()
    assert (found.name, found.status) == ("a\\udcff", "FINISHED")
    assert found.params == {"a\\udcff": ["a\\udcff", {"a\\udcff": "a\\udcff"}]}


def test_params_keep_their_types(recording):
    params = {"i": 1, "f": 1.0, "b": True, "n": None, "s": "1", "l": [1, "a"], "d": {"k": 0.5}}
    with autolog.start_run():
        autolog.log_params(params)
    stored = recording.run().params
    assert stored == params
    assert {key: type(value) for key, value in stored.items()} == {
        key: type(value) for key, value in params.items()
    }


def test_objects_are_described_without_calling_them(recording):
    class Touchy:
        def __repr__(self):
            raise AssertionError("__repr__ was called")

        __len__ = __iter__ = __getitem__ = __str__ = __repr__

    with autolog.start_run():
        autolog.log_params({"object": Touchy(), "class": Touchy, "array": np.zeros((2, 3))})
    params = recording.run().params
    assert params["object"].endswith("Touchy")
    assert params["array"] == "ndarray(shape=(2, 3), dtype=float64)"


@pytest.mark.edge_case("EC-V1")
def test_a_parameter_of_a_megabyte_is_kept_whole_and_flagged(recording):
    text = "x" * 1_000_000
    with autolog.start_run():
        autolog.log_param("big", text)
        autolog.log_param("small", 1)
    details = recording.details()
    assert details.run.params["small"] == 1
    assert "1000000 characters" in details.run.params["big"]
    artifact = details.artifacts[0]
    assert (recording.folder / "artifacts" / artifact.uri).read_text() == text
    assert recording.events("long_param")[0]["key"] == "big"


def test_a_second_value_of_a_parameter_is_a_conflict_and_the_first_stands(recording):
    with autolog.start_run():
        autolog.log_param("lr", 0.1)
        autolog.log_param("lr", 0.2)
        autolog.log_param("lr", 0.1)
    assert recording.run().params == {"lr": 0.1}
    assert len(recording.events("conflict")) == 1


@pytest.mark.edge_case("EC-V7")
def test_five_thousand_params_and_metrics_are_all_stored(recording):
    params = {f"p{number}": number for number in range(5000)}
    with autolog.start_run():
        autolog.log_params(params)
        autolog.log_metrics({f"m{number}": number for number in range(5000)})
    run = recording.run()
    assert run.params == params
    assert run.metrics == {f"m{number}": float(number) for number in range(5000)}


# --- files -----------------------------------------------------------------------------------


def test_files_texts_and_dictionaries_are_stored_with_their_paths(recording, tmp_path):
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_text("A")
    (tmp_path / "data" / "sub" / "b.bin").write_bytes(b"\x00B")
    with autolog.start_run():
        autolog.log_artifacts(tmp_path / "data", "copy")
        autolog.log_artifact(tmp_path / "data" / "a.txt")
        autolog.log_text("hällo", "notes/hello.txt")
        autolog.log_dict({"a": 1}, "config.json")
    artifacts = {one.path: one for one in recording.details().artifacts}
    assert sorted(artifacts) == [
        "a.txt",
        "config.json",
        "copy/a.txt",
        "copy/sub/b.bin",
        "notes/hello.txt",
    ]
    assert artifacts["a.txt"].sha256 == artifacts["copy/a.txt"].sha256
    stored = recording.folder / "artifacts" / artifacts["notes/hello.txt"].uri
    assert stored.read_text() == "hällo"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "..\\x", "C:/x", "a\0b"])
def test_an_artifact_path_that_leaves_the_run_is_refused(recording, path):
    with autolog.start_run(), pytest.raises(UsageError, match="inside the run"):
        autolog.log_text("x", path)


def test_a_missing_file_is_refused_by_name(recording):
    with autolog.start_run(), pytest.raises(UsageError, match=r"nowhere\.csv"):
        autolog.log_artifact("nowhere.csv")


def test_a_figure_is_whatever_can_save_itself(recording):
    class Figure:
        def savefig(self, target, *, format):  # noqa: A002
            target.write(format.encode())

    with autolog.start_run():
        autolog.log_figure(Figure(), "plot.svg")
        with pytest.raises(UsageError, match="log_artifact"):
            autolog.log_figure(object(), "plot.png")
    assert recording.details().artifacts[0].path == "plot.svg"


# --- threads, settings, printing -------------------------------------------------------------


def test_threads_that_start_runs_on_one_line_do_not_end_one_another(recording):
    started = threading.Barrier(3)

    def work(number: int) -> None:
        run = autolog.start_run(f"t{number}")
        started.wait()
        autolog.log_metric("x", number)
        run.end()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = {run.name: (run.status, run.metrics, run.parent_id) for run in recording.runs()}
    assert runs == {f"t{number}": ("FINISHED", {"x": float(number)}, None) for number in range(3)}


def test_a_short_name_is_resumed_only_where_the_user_says_so(recording):
    with autolog.start_run("old"):
        pass
    with pytest.raises(UsageError, match='resume="must"'):
        autolog.start_run(run_id="old")


def test_an_experiment_set_by_hand_outlives_the_activation(recording):
    with autolog.autolog():
        autolog.set_experiment("mine")
    autolog.disable()
    with autolog.start_run() as run:
        pass
    assert run.experiment == "mine"


PRINTS = """
import multiprocessing, autolog
def work():
    with autolog.start_run("child"): pass
if __name__ == "__main__":
    for name in ("one", "two"):
        with autolog.start_run(name) as run: run.log_metric("x", 1)
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start(); process.join()
"""


def test_two_lines_are_printed_on_stderr_by_the_first_process_alone(recording, program):
    ended = program(PRINTS, AUTOLOG_PRINT="always")
    first, last = ended.err.splitlines()
    assert first.startswith("autolog: recording run one of experiment script in ")
    assert last.startswith("autolog: 2 runs (2 FINISHED) in ")
    assert str(recording.folder) in last
    assert last.endswith(": autolog ls")
    assert ended.out == ""


def test_nothing_is_printed_where_nobody_watches(recording, program):
    assert program(PRINTS).err == ""


def test_tasks_that_run_side_by_side_are_no_children_of_one_another(recording):
    async def train(name: str) -> None:
        with autolog.start_run(name):
            await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(train("a"), train("b"))
        with autolog.start_run("above"):
            await asyncio.gather(train("c"), train("d"))

    asyncio.run(main())
    runs = {run.name: run for run in recording.runs()}
    above = runs["above"].run_id
    assert {name: run.parent_id for name, run in runs.items()} == {
        "a": None,
        "b": None,
        "above": None,
        "c": above,
        "d": above,
    }


def test_a_parent_is_named_as_runs_are_anywhere(recording):
    with autolog.start_run("above") as above:
        pass
    with autolog.start_run("below", parent="above"):
        pass
    parents = {run.name: run.parent_id for run in recording.runs()}
    assert parents == {"above": None, "below": above.run_id}
    with pytest.raises(NotFoundError, match="nobody"):
        autolog.start_run(parent="nobody")
