"""Keras for autolog: what is watched, declared without importing Keras.

`keras` and `tf_keras` are two packages with no class in common; `tf.keras` is one of the two. The
backend is asked for when Keras is imported, and never chosen here.
"""

from __future__ import annotations

from autolog.integration import API, Attach, Format, Integration

__all__ = ["INTEGRATION"]

INTEGRATION = Integration(
    api=API,
    name="keras",
    distributions=("keras", "tf-keras"),
    modules=("keras", "tf_keras"),
    sites=(
        Attach(module="keras", attach="autolog_keras.hooks:attach"),
        Attach(module="keras", attach="autolog_keras.lineage:attach"),
        Attach(
            module="tf_keras",
            attach="autolog_keras.hooks:attach_legacy",
            requires_guard="both_namespaces",
        ),
        Attach(
            module="tf_keras",
            attach="autolog_keras.lineage:attach_legacy",
            requires_guard="both_namespaces",
        ),
        Attach(module="keras_tuner", attach="autolog_keras.tuning:attach"),
    ),
    formats=(
        Format(
            name="keras",
            save="autolog_keras.formats:save",
            load="autolog_keras.formats:load",
            safe=True,
            native=True,
            unknown="autolog_keras.formats:unknown",
        ),
    ),
    options="autolog_keras.options:Options",
    aliases=("tf_keras", "tf.keras"),
    example="autolog_keras.example:EXAMPLE",
    evaluation="model.evaluate(x_test, y_test)",
    limits=(
        "loops of your own on JAX (optimizer.stateless_apply) and on PyTorch (optimizer.apply)",
        "the workers of a MultiWorkerMirroredStrategy as one run: each has its own",
    ),
)
