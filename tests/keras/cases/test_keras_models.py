"""Models of Keras as files: what comes back, what is refused, and what saving leaves alone."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import autolog
from autolog.errors import ModelError
from autolog_keras import formats, models

ROWS = np.random.default_rng(0).random((32, 4)).astype("float32")
TARGETS = ROWS.sum(axis=1, keepdims=True)


def _compiled(model: Any, **given: Any) -> Any:
    model.compile(**{"optimizer": "adam", "loss": "mse", "metrics": ["mae"], **given})
    return model


def _sequential(keras: Any) -> Any:
    layers = keras.layers
    parts = [layers.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(1)]
    if keras.__name__ == "keras":  # tf_keras draws from a generator of the program's
        parts.insert(3, layers.Dropout(0.5, seed=1))
    return _compiled(keras.Sequential(parts))


def _two_inputs(keras: Any) -> Any:
    layers = keras.layers
    first, second = layers.Input((2,), name="first"), layers.Input((2,), name="second")
    shared = layers.Dense(3, activation="relu")
    joined = layers.Concatenate()([shared(first), shared(second)])
    model = keras.Model([first, second], layers.Dense(1, name="sum")(joined))
    return _compiled(model, optimizer=keras.optimizers.SGD(0.1, momentum=0.9))


def _registered(keras: Any) -> Any:
    """A class of the user's, with a layer of the user's."""

    @keras.saving.register_keras_serializable(package="cases")
    class Scale(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")
            super().build(shape)

        def call(self, inputs: Any) -> Any:
            return inputs * self.factor

    @keras.saving.register_keras_serializable(package="cases")
    class Net(keras.Model):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self.scale = Scale()
            self.out = keras.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.out(self.scale(inputs))

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name}

    return _compiled(Net())


def _half_precision(keras: Any) -> Any:
    layers = keras.layers
    hidden = layers.Dense(3, dtype="mixed_bfloat16")
    last = layers.Dense(1, dtype="float32")
    return _compiled(keras.Sequential([layers.Input((4,)), hidden, last]))


BUILDERS = [_sequential, _two_inputs, _registered, _half_precision]


def _data(model: Any) -> Any:
    return [ROWS[:, :2], ROWS[:, 2:]] if len(getattr(model, "inputs", None) or []) == 2 else ROWS


def _fit(model: Any) -> None:
    model.fit(_data(model), TARGETS, epochs=1, batch_size=8, verbose=0, shuffle=False)


def _weights(model: Any) -> list[Any]:
    return [np.asarray(one) for one in model.get_weights()]


def _same(first: Any, second: Any) -> bool:
    pairs = zip(_weights(first), _weights(second), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("build", BUILDERS)
def test_a_loaded_model_predicts_the_same_bits_and_trains_on_alike(
    keras: Any, place: Path, build: Any
) -> None:
    model = build(keras)
    _fit(model)
    assert formats.save(model, place) is None
    loaded = formats.load(place, formats.unknown(place))
    data = _data(model)
    assert np.array_equal(model.predict(data, verbose=0), loaded.predict(data, verbose=0))
    _fit(model)
    _fit(loaded)
    assert _same(model, loaded)
    size = sum(one.nbytes for one in _weights(model))
    assert models.size(model) >= size * 2  # the optimizer keeps as much, or twice that


def test_saving_leaves_the_program_as_it_was(keras: Any, place: Path) -> None:
    def trained(save: bool) -> Any:
        keras.utils.set_random_seed(3)
        model = _sequential(keras)
        _fit(model)
        known, loaded = set(vars(model)), set(sys.modules)
        if save:
            formats.save(model, place)
        assert set(vars(model)) == known
        assert "tensorflow" in loaded or "tensorflow" not in sys.modules
        _fit(model)
        later = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
        names = [later.name, later.layers[-1].name]
        return model, later, names, np.random.random()

    keras.backend.clear_session()
    plain = trained(False)
    keras.backend.clear_session()
    saved = trained(True)
    assert _same(plain[0], saved[0])
    assert _same(plain[1], saved[1])
    assert plain[2:] == saved[2:]


@pytest.mark.edge_case("EC-K8")
def test_of_a_model_without_a_configuration_the_weights_are_kept_with_the_reason(
    keras: Any, recording: Any, tmp_path: Path
) -> None:
    class Odd(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs * 2.0

        def get_config(self) -> Any:
            raise NotImplementedError("Odd has no configuration")

    def build() -> Any:
        layers = keras.layers
        return keras.Sequential([layers.Input((4,)), Odd(), layers.Dense(1)])

    autolog.autolog("keras")
    model = _compiled(build())
    _fit(model)
    (run,) = autolog.search_runs()
    with pytest.raises(ModelError, match=r"weights alone.*Odd has no configuration"):
        autolog.load_model(run)
    (told,) = recording.events("notice")
    assert "Odd has no configuration" in told["text"]
    again = build()
    again.load_weights(str(autolog.get_artifact(run, "model/model.weights.h5", tmp_path)))
    assert _same(model, again)


@pytest.mark.edge_case("EC-K8")
def test_a_lambda_keeps_the_layers_or_only_the_compilation_from_being_stored(
    keras: Any, place: Path
) -> None:
    layers = keras.layers
    parts = [layers.Input((4,)), layers.Lambda(lambda x: x * 2), layers.Dense(1)]
    assert "lambda" in str(formats.save(_compiled(keras.Sequential(parts)), place))
    assert not (place / "model.keras").exists()

    model = _sequential(keras)
    model.compile("sgd", loss=lambda y, z: (y - z) ** 2)
    assert "without its loss" in str(formats.save(model, place))
    loaded = formats.load(place)
    assert np.array_equal(model.predict(ROWS, verbose=0), loaded.predict(ROWS, verbose=0))


def test_the_model_of_a_run_comes_back(keras: Any, recording: Any) -> None:
    autolog.autolog("keras")
    model = _two_inputs(keras)
    _fit(model)
    (run,) = autolog.search_runs()
    loaded = autolog.load_model(run, trusted=())
    data = _data(model)
    assert np.array_equal(model.predict(data, verbose=0), loaded.predict(data, verbose=0))
    (stored,) = recording.details().models
    assert stored.format == "keras"
    assert stored.safe
    assert [one["name"] for one in stored.manifest["signature"]["inputs"]] == ["first", "second"]


def test_a_saved_model_is_stored_on_request_where_there_is_tensorflow(
    keras: Any, backend: str, recording: Any
) -> None:
    autolog.autolog("keras", keras={"saved_model": True})
    _fit(_sequential(keras))
    names = {one.path for one in recording.details().artifacts}
    told = [one["text"] for one in recording.events("notice")]
    if backend == "tensorflow":
        assert "saved_model/saved_model.pb" in names
        assert not told
    else:
        assert not any(name.startswith("saved_model/") for name in names)
        assert "needs Keras on TensorFlow" in "".join(told)


def test_what_layers_keep_in_files_of_their_own_is_stored(
    keras: Any, backend: str, place: Path
) -> None:
    layers = keras.layers
    if backend == "tensorflow":  # the others would import it for a vocabulary
        lookup = layers.StringLookup(vocabulary=["a", "b", "c"], output_mode="one_hot")
        model = keras.Sequential([layers.Input((1,), dtype="string"), lookup, layers.Dense(1)])
        data: Any = import_module("tensorflow").constant([["b"], ["z"]])
    else:
        lookup = layers.Normalization()
        lookup.adapt(ROWS)
        model = keras.Sequential([layers.Input((4,)), lookup, layers.Dense(1)])
        data = ROWS
    assert formats.save(model, place) is None
    assert formats.unknown(place) == []
    loaded = formats.load(place)
    assert np.array_equal(model.predict(data, verbose=0), loaded.predict(data, verbose=0))


def _altered(place: Path, change: Any) -> None:
    """Rewrite the configuration of a stored model."""
    path = place / "model.keras"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    change(config, files)
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def _name_a_module(config: Any, _: Any) -> None:
    config["config"]["layers"][1] = {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "system",
    }


def _name_a_builtin(config: Any, _: Any) -> None:
    function = {"module": "builtins", "class_name": "function", "config": "exec"}
    config["config"]["layers"][1]["config"]["activation"] = function


def _name_a_utility(config: Any, _: Any) -> None:
    function = {"module": "keras.utils", "class_name": "function", "config": "get_file"}
    config["config"]["layers"][1]["config"]["activation"] = function


def _name_a_file(config: Any, _: Any) -> None:
    lookup = {"vocabulary": "/etc/passwd", "name": "lookup"}
    layer = {"module": "keras.layers", "class_name": "StringLookup", "config": lookup}
    config["config"]["layers"].append(layer)


def _name_a_saved_model(config: Any, _: Any) -> None:
    layer = {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/x"}}
    config["config"]["layers"].append(layer)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_name_a_module, "os:system"),
        (_name_a_builtin, "builtins:exec"),
        (_name_a_utility, "keras.utils:get_file"),
        (_name_a_file, "file:/etc/passwd"),
        (_name_a_saved_model, "keras.layers:TFSMLayer"),
    ],
)
def test_what_is_no_part_of_a_model_must_be_trusted(
    keras: Any, place: Path, change: Any, name: str
) -> None:
    formats.save(_sequential(keras), place)
    assert formats.unknown(place) == []
    _altered(place, change)
    assert formats.unknown(place) == [name]
    with pytest.raises(ValueError, match="is not trusted"):
        formats.load(place)


def _leave_the_folder(_: Any, files: Any) -> None:
    files["assets/../../evil"] = b"x"


def _hold_a_lambda(config: Any, _: Any) -> None:
    config["config"]["layers"][1] = {"class_name": "__lambda__", "config": {"value": "x"}}


def _link_to_a_file(_: Any, files: Any) -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as weights:
        weights["vars"] = h5py.ExternalLink("/etc/other.h5", "/")
    files["model.weights.h5"] = content.getvalue()


@pytest.mark.parametrize("change", [_leave_the_folder, _hold_a_lambda, _link_to_a_file])
def test_what_no_model_holds_is_refused(keras: Any, place: Path, change: Any) -> None:
    formats.save(_sequential(keras), place)
    _altered(place, change)
    with pytest.raises(ValueError, match=r"elsewhere|lambda|is a link"):
        formats.load(place, ["anything"])
