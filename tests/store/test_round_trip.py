from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolog.entities import Artifact, DatasetInput, Event, Model
from autolog.errors import NotFoundError
from autolog.journal import records
from autolog.store.sql import blob
from autolog.store.sql.values import param_columns, param_value

TYPED = {
    "bool": True,
    "int": 1,
    "float": 1.0,
    "text": "1",
    "none": None,
    "list": [1, 1.5, "x", None, [True]],
    "object": {"a": {"b": [1]}},
    "nan": math.nan,
    "inf": -math.inf,
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "empty": "",
    "quotes": "a\"b'c\\",
    "Größe/λr 🚀": "naïve \u202e bidi",
}


def _same(a, b) -> bool:
    return type(a) is type(b) and (a == b or (a != a and b != b))


def test_params_keep_their_types(trainer, folded):
    uid = trainer.open()
    trainer.params(uid, **TYPED)
    params = folded().run(uid).params
    assert params.keys() == TYPED.keys()
    for key, value in TYPED.items():
        assert _same(params[key], value), key


def test_integers_beyond_64_bits_are_kept_as_json():
    columns = param_columns(2**70)
    assert (columns.type, columns.json) == ("int", str(2**70))
    assert param_value(columns.json, columns.text) == 2**70
    assert param_columns(10**400).num is None


def test_numbers_alone_can_be_compared():
    assert param_columns(3).num == 3.0
    assert param_columns(True).num is None
    assert param_columns("3").num is None
    assert param_columns(math.nan).num is None
    assert param_columns(math.inf).num == math.inf


def test_the_first_value_of_a_param_wins_and_a_different_later_one_is_an_event(trainer, folded):
    uid = trainer.open()
    trainer.params(uid, lr=0.1, same=1)
    trainer.params(uid, lr=0.2)
    folded()
    trainer.params(uid, lr=0.3, same=1, new=5)
    store = folded()
    assert store.run(uid).params == {"lr": 0.1, "same": 1, "new": 5}
    conflicts = [event.data for event in store.details(uid).events if event.kind == "conflict"]
    assert conflicts == [
        {"field": "param", "key": "lr", "kept": "0.1", "refused": "0.2"},
        {"field": "param", "key": "lr", "kept": "0.1", "refused": "0.3"},
    ]


def test_a_param_of_another_type_is_a_conflict(trainer, folded):
    uid = trainer.open()
    trainer.params(uid, n=1)
    folded()
    trainer.params(uid, n="1")
    store = folded()
    assert store.run(uid).params == {"n": 1}
    assert [event.kind for event in store.details(uid).events] == ["conflict"]


def test_a_param_of_a_megabyte_is_kept_whole(trainer, folded):
    uid = trainer.open()
    text = "λ" * (1 << 19)
    trainer.params(uid, big=text)
    assert folded().run(uid).params["big"] == text


def test_the_last_value_of_a_tag_wins(trainer, folded):
    uid = trainer.open()
    trainer.tags(uid, stage="one", kept="x")
    folded()
    trainer.tags(uid, stage="two")
    trainer.tags(uid, stage="three")
    assert folded().run(uid).tags == {"kept": "x", "stage": "three"}


def test_names_of_any_characters_round_trip(trainer, folded):
    uid = trainer.open("Ünï-🚀", experiment="a/b c/ж")
    name = "val/\x00\u202e\U0001f680 'q\" %_"
    trainer.metrics(uid, {name: 1.0})
    trainer.tags(uid, **{name: "x\x00y"})
    store = folded()
    run = store.run(uid)
    assert (run.name, run.experiment) == ("Ünï-🚀", "a/b c/ж")
    assert run.metrics == {name: 1.0}
    assert run.tags == {name: "x\x00y"}
    assert store.history(uid, name).value.tolist() == [1.0]


def test_special_values_and_extreme_steps_round_trip(trainer, folded):
    uid = trainer.open()
    points = [
        (-(2**63), math.nan),
        (-1, math.inf),
        (0, -math.inf),
        (1, 5e-324),
        (2**63 - 1, 1.7976931348623157e308),
    ]
    for step, value in points:
        trainer.metrics(uid, {"m": value}, step)
    history = folded().history(uid, "m")
    assert history.step.tolist() == [step for step, _ in points]
    np.testing.assert_array_equal(history.value, [value for _, value in points])


def test_a_last_value_that_is_nan_or_infinite_is_shown(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"a": math.nan, "b": math.inf, "c": -math.inf}, 1)
    metrics = folded().run(uid).metrics
    assert math.isnan(metrics["a"])
    assert (metrics["b"], metrics["c"]) == (math.inf, -math.inf)


def test_history_is_ordered_by_step_then_time_and_keeps_epochs(trainer, folded):
    uid = trainer.open()
    for step, epoch, value in [(2, 1, 0.2), (1, None, 0.1), (1, 0, 0.11), (3, 2, 0.3)]:
        trainer.metrics(uid, {"m": value}, step, epoch=epoch)
    history = folded().history(uid, "m")
    assert history.value.tolist() == [0.1, 0.11, 0.2, 0.3]
    np.testing.assert_array_equal(history.epoch, [math.nan, 0, 1, 2])
    assert (np.diff(history.timestamp[:2]) >= 0).all()
    assert history.timestamp.dtype == np.int64


def test_history_by_context_and_attempt(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"m": 1.0}, 0)
    trainer.metrics(uid, {"m": 2.0}, 0, phase="post", dataset="test")
    trainer.metrics(uid, {"m": 3.0}, 0, attempt=1)
    store = folded()
    assert len(store.history(uid, "m", attempt="all")) == 3
    assert store.history(uid, "m").value.tolist() == [2.0, 3.0]
    assert store.history(uid, "m", context="post").value.tolist() == [2.0]
    assert store.history(uid, "m", context={"dataset": "test"}).context.tolist() == [
        {"phase": "post", "dataset": "test"}
    ]
    assert store.history(uid, "m", attempt=1).value.tolist() == [3.0]
    assert len(store.history(uid, "m", attempt=7)) == 0


def test_an_unknown_metric_is_answered_with_near_names(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"val/loss": 1.0, "acc": 1.0})
    with pytest.raises(NotFoundError, match=r"no metric 'val_loss'.*val/loss"):
        folded().history(uid, "val_loss")


def test_a_run_takes_twelve_thousand_keys(trainer, folded):
    uid = trainer.open()
    values = {f"layer/{n:05}": float(n) for n in range(12_000)}
    trainer.metrics(uid, values, 1)
    trainer.metrics(uid, {key: value + 0.5 for key, value in values.items()}, 2)
    store = folded()
    assert store.run(uid).metrics == {key: value + 0.5 for key, value in values.items()}
    assert len(store.metric_keys(uid)) == 12_000
    assert store.history(uid, "layer/11999").value.tolist() == [11999.0, 11999.5]


def test_a_run_takes_twelve_thousand_params(trainer, folded):
    uid = trainer.open()
    values = {f"p{n:05}": n for n in range(12_000)}
    trainer.params(uid, **values)
    folded()
    trainer.params(uid, **values)
    store = folded()
    assert store.run(uid).params == values
    assert store.details(uid).events == []


def test_models_artifacts_inputs_and_events_round_trip(trainer, folded):
    uid = trainer.open(description="a try")
    trainer.append(
        records.ArtifactFile, uid, path="model/m.skops", size=9, sha256="ab", uri="ab/ab"
    )
    trainer.append(
        records.ModelSaved,
        uid,
        name="model",
        format="pickle",
        safe=False,
        size=9,
        paths=["model/m.skops"],
        manifest={"signature": {"x": "float64[2]"}},
        wall_us=trainer.writer.now_us(),
    )
    trainer.append(records.Input, uid, role="train", name="X", profile={"rows": 5, "hash": "h"})
    trainer.event("preparation", uid, step="PCA")
    trainer.event("notice", text="of the process")
    trainer.end(uid, exit_code=0)
    details = folded().details(uid)
    file = Artifact(path="model/m.skops", size=9, sha256="ab", uri="ab/ab")
    assert details.description == "a try"
    assert details.artifacts == [file]
    assert details.models == [
        Model(
            name="model",
            format="pickle",
            safe=False,
            size=9,
            files=[file],
            manifest={"signature": {"x": "float64[2]"}},
        )
    ]
    assert details.inputs == [
        DatasetInput(name="X", role="train", profile={"rows": 5, "hash": "h"})
    ]
    assert [(event.kind, event.data) for event in details.events] == [
        ("preparation", {"step": "PCA"}),
        ("notice", {"text": "of the process"}),
    ]
    assert details.exit_code == 0


def test_a_converted_format_is_added_to_a_model(trainer, folded):
    uid = trainer.open()
    file = Artifact(path="model/m.skops", size=4, sha256="cd", uri="cd/cd")
    model = Model(name="model", format="skops", safe=True, size=4, files=[file])
    store = folded()
    store.record_model(uid, model)
    store.record_model(uid, model)
    assert store.details(uid).models == [model]


def test_an_event_can_be_recorded_later(trainer, folded):
    uid = trainer.open()
    store = folded()
    store.record_event(uid, Event(kind="logging_error", time=5, data={"message": "no space"}))
    assert store.run(uid).logging_errors == ["no space"]


def test_provenance_comes_from_the_process_and_is_completed_later(trainer, folded):
    trainer.append(
        records.Process, user="ann", source="train.py", source_type="script", argv=["train.py"]
    )
    uid = trainer.open()
    assert folded().run(uid).dirty is None
    trainer.append(
        records.Process, user="bob", commit="c0ffee", dirty=True, packages={"numpy": "2"}, cwd="/w"
    )
    details = folded().details(uid)
    run = details.run
    assert (run.user, run.source, run.commit, run.dirty) == ("ann", "train.py", "c0ffee", True)
    assert (details.argv, details.packages, details.cwd) == (["train.py"], {"numpy": "2"}, "/w")


def test_an_ended_run_keeps_its_status_unless_it_is_reopened(trainer, folded):
    uid = trainer.open()
    trainer.end(uid, "FAILED", error="boom")
    trainer.end(uid, "FINISHED")
    store = folded()
    assert store.run(uid).status == "FAILED"
    [event] = store.details(uid).events
    assert event.data == {"field": "status", "key": None, "kept": "FAILED", "refused": "FINISHED"}
    trainer.append(records.RunUpdate, uid, reopened=True, name="SVC-again")
    run = folded().run(uid)
    assert (run.status, run.end_time, run.name) == ("RUNNING", None, "SVC-again")
    trainer.end(uid, "FINISHED")
    assert folded().run(uid).status == "FINISHED"


def test_a_second_opening_of_a_run_is_a_conflict_and_a_new_attempt_is_not(trainer, folded):
    uid = trainer.open("SVC-one")
    trainer.open("SVC-two", uid=uid)
    store = folded()
    assert store.run(uid).name == "SVC-one"
    assert [event.data["field"] for event in store.details(uid).events] == ["run"]
    trainer.end(uid, "FAILED")
    trainer.open("SVC-three", uid=uid, attempt=1)
    details = folded().details(uid)
    assert (details.attempt, details.run.status, details.run.name) == (1, "RUNNING", "SVC-one")


def test_the_same_data_is_stored_once(trainer, folded):
    for name in ("SVC-aaaa", "SVC-bbbb"):
        uid = trainer.open(name)
        trainer.append(records.Input, uid, role="train", name="X", profile={"hash": "h"})
        trainer.append(records.Input, uid, role="validation", name="X", profile={"hash": "h"})
    store = folded()
    assert [one.role for one in store.details("SVC-bbbb").inputs] == ["train", "validation"]
    with store._database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM dataset").scalar() == 1


i64 = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_blob_gives_back_what_was_put_in(data):
    blocks = []
    for _ in range(data.draw(st.integers(0, 3))):
        n, k = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4))
        column = st.lists(i64, min_size=n, max_size=n).map(lambda v: np.array(v, np.int64))
        mask = data.draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n).map(np.array))
        floats = st.lists(st.floats(), min_size=n * k, max_size=n * k)
        blocks.append(
            blob.Block(
                context=data.draw(i64),
                attempt=data.draw(st.integers(0, 65535)),
                keys=np.array(data.draw(st.lists(i64, min_size=k, max_size=k)), np.int64),
                seq=data.draw(column),
                step=data.draw(column),
                wall_us=data.draw(column),
                values=np.array(data.draw(floats), np.float64).reshape(n, k),
                epoch=data.draw(st.none() | column) if mask is None else data.draw(column),
                has_epoch=mask,
            )
        )
    back = list(blob.decode(blob.encode(blocks)))
    assert len(back) == len(blocks)
    for a, b in zip(blocks, back, strict=True):
        for name in blob.Block.__slots__:
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_an_open_point_costs_at_most_25_bytes(trainer, folded):
    uid = trainer.open()
    for step in range(2000):
        trainer.metrics(uid, {"loss": 1 / (step + 1)}, step)
    store = folded()
    with store._database.read() as connection:
        size = connection.exec_driver_sql("SELECT sum(length(data)) FROM tail").scalar()
    assert size / 2000 <= 25
