"""Raw TensorFlow for autolog: what is watched, declared without importing TensorFlow."""

from __future__ import annotations

from autolog.integration import API, Attach, Integration

__all__ = ["INTEGRATION"]

INTEGRATION = Integration(
    api=API,
    name="tensorflow",
    distributions=("tensorflow", "tensorflow-cpu"),
    modules=("tensorflow",),
    sites=(
        Attach(module="tensorflow", attach="autolog_tensorflow.hooks:attach"),
        Attach(module="keras", attach="autolog_tensorflow.hooks:attach_keras"),
        Attach(module="tf_keras", attach="autolog_tensorflow.hooks:attach_tf_keras"),
    ),
    options="autolog_tensorflow.options:Options",
    aliases=("tf",),
    limits=("custom loops under a tf.distribute strategy of several replicas: no losses",),
)
