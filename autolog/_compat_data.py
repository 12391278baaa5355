"""Generated from compat_matrix.yaml by `python -m autolog.compat compile`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autolog.compat.data import MatrixData

SHA256 = "6bd7e3d2885e4e5b7c3c884fa583ef0470664fd000445cdb3aefa434e02a3212"

DATA: MatrixData = {
    "keras": {
        "distributions": (
            "keras",
            "tf-keras",
        ),
        "modules": (
            "keras",
            "tf_keras",
        ),
        "supported": ">=2.16,<4",
        "on_unsupported": "warn",
        "latest_known": "3.15.1",
        "tested": (
            {
                "version": "3.0.5",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "3.10.0",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "3.15.1",
                "python": "3.12",
                "tier": "full",
            },
            {
                "version": "3.15.1",
                "python": "3.11",
                "tier": "commit",
            },
        ),
        "strategies": {},
        "quirks": (
            {
                "id": "keras-two-namespaces",
                "when": ">=2.16",
                "symptom": "keras and tf_keras hold classes of their own, so a patch of one Model does not see the other one; which of the two tf.keras is, an environment variable decides",
                "guard": "both_namespaces",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_keras_quirks.py::test_a_model_of_either_package_is_recorded",
            },
            {
                "id": "keras-train-step-is-traced-once",
                "when": ">=3.0",
                "symptom": "on TensorFlow and JAX train_step runs while it is traced and never again, so a wrapper around it sees one batch of many",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_keras_quirks.py::test_every_batch_is_seen",
            },
            {
                "id": "keras-callback-changes-dispatch",
                "when": ">=3.10",
                "symptom": "a callback with a batch hook makes Keras call all callbacks in the training's thread (JAX, PyTorch), or with numbers read from the device (tf_keras), where the user's own would have been called otherwise",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_keras_quirks.py::test_the_users_callbacks_are_called_as_without_autolog",
            },
            {
                "id": "keras-fit-calls-evaluate",
                "when": ">=3.0",
                "symptom": "fit calls the public evaluate for its validation data, so whoever watches evaluate sees evaluations that the user never asked for",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_keras_quirks.py::test_validations_of_a_fit_are_no_evaluations_of_the_user",
            },
        ),
    },
    "lightgbm": {
        "distributions": ("lightgbm",),
        "modules": ("lightgbm",),
        "supported": ">=3.3.5,<5",
        "on_unsupported": "warn",
        "latest_known": "4.7.0",
        "tested": (
            {
                "version": "3.3.5",
                "python": "3.10",
                "tier": "commit",
            },
            {
                "version": "4.3.0",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "4.7.0",
                "python": "3.11",
                "tier": "commit",
            },
            {
                "version": "4.7.0",
                "python": "3.13",
                "tier": "full",
            },
        ),
        "strategies": {},
        "quirks": (
            {
                "id": "lightgbm-callback-order-counts-from-the-end",
                "when": ">=3.3.5",
                "symptom": "a callback without an order gets its distance from the end of the list, written on the callback itself, so one callback more changes the user's objects and may change the sequence in which they are called",
                "guard": "uncounted_callback",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_lightgbm_quirks.py::test_the_users_callbacks_keep_the_order_that_they_have_alone",
            },
            {
                "id": "lightgbm-any-callback-silences-the-default-log",
                "when": ">=3.3.5,<4",
                "symptom": "train without callbacks prints each evaluation and what early stopping did; as soon as the call has any callback it prints nothing",
                "guard": "default_log",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_lightgbm_quirks.py::test_a_training_without_callbacks_prints_its_evaluations",
            },
            {
                "id": "lightgbm-dask-trains-in-worker-threads",
                "when": ">=3.3.5",
                "symptom": "a cluster in the client's process trains in threads that do not see the context of the fit that started them, so each worker's part opens a run of its own",
                "guard": "worker_threads",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_lightgbm_quirks.py::test_a_distributed_fit_is_one_run_wherever_its_workers_are",
            },
        ),
    },
    "lightning": {
        "distributions": (
            "lightning",
            "pytorch-lightning",
        ),
        "modules": (
            "lightning",
            "pytorch_lightning",
        ),
        "supported": ">=2.0,<3",
        "on_unsupported": "warn",
        "latest_known": "2.6.6",
        "tested": (
            {
                "version": "2.0.9.post0",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "2.4.0",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "2.6.6",
                "python": "3.11",
                "tier": "commit",
            },
        ),
        "strategies": {},
        "quirks": (
            {
                "id": "lightning-two-namespaces",
                "when": ">=2.0",
                "symptom": "lightning.pytorch and pytorch_lightning hold classes of their own, so a patch of one Trainer does not see the other one",
                "guard": "both_namespaces",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_lightning_quirks.py::test_a_trainer_of_either_namespace_is_recorded",
            },
            {
                "id": "lightning-fit-returns-on-ctrl-c",
                "when": ">=2.0,<2.4",
                "symptom": "fit swallows KeyboardInterrupt and returns as if the training were complete",
                "guard": "swallowed_interrupt",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_lightning_quirks.py::test_a_fit_that_returns_on_ctrl_c_was_killed",
            },
            {
                "id": "lightning-ctrl-c-is-exit-1",
                "when": ">=2.4",
                "symptom": "fit turns KeyboardInterrupt into SystemExit(1), the exit code of a failure",
                "guard": "interrupt_is_exit",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_lightning_quirks.py::test_a_fit_that_exits_on_ctrl_c_was_killed",
            },
        ),
    },
    "sklearn": {
        "distributions": ("scikit-learn",),
        "modules": ("sklearn",),
        "supported": ">=1.2,<2",
        "on_unsupported": "warn",
        "latest_known": "1.9.1",
        "tested": (
            {
                "version": "1.2.2",
                "python": "3.10",
                "tier": "commit",
            },
            {
                "version": "1.3.2",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "1.4.2",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "1.5.2",
                "python": "3.12",
                "tier": "commit",
            },
            {
                "version": "1.6.1",
                "python": "3.12",
                "tier": "full",
            },
            {
                "version": "1.7.2",
                "python": "3.10",
                "tier": "full",
            },
            {
                "version": "1.8.0",
                "python": "3.13",
                "tier": "full",
            },
            {
                "version": "1.9.1",
                "python": "3.11",
                "tier": "commit",
            },
            {
                "version": "1.9.1",
                "python": "3.13",
                "tier": "commit",
            },
        ),
        "strategies": {},
        "quirks": (
            {
                "id": "sklearn-joblib-threads-lose-context",
                "when": ">=1.2",
                "symptom": "joblib's worker threads do not see the context of the fit that started them, so each inner fit of a bagging or a search opens a run of its own",
                "guard": "joblib_bridge",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_sklearn_quirks.py::test_fits_in_threads_of_joblib_belong_to_the_training_that_started_them",
            },
            {
                "id": "sklearn-bound-fit-must-pickle",
                "when": ">=1.2",
                "symptom": "delayed(model.fit) pickles the bound method, which a proxy on the class refuses",
                "guard": "engine",
                "fails_with": "NotImplementedError",
                "test": "tests/matrix/test_sklearn_quirks.py::test_a_bound_fit_survives_a_pickle",
            },
            {
                "id": "sklearn-available-if-methods",
                "when": ">=1.2",
                "symptom": "methods behind available_if exist on some instances only; a plain function in their place makes hasattr answer yes for all",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_sklearn_quirks.py::test_a_method_that_is_not_available_stays_so",
            },
            {
                "id": "sklearn-metric-aliases-are-patched-by-code",
                "when": ">=1.2",
                "symptom": "a metric imported by name before the patch stays the original function, so calls through that name are not seen",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_sklearn_quirks.py::test_a_metric_imported_before_the_patch_is_seen",
            },
            {
                "id": "sklearn-main-class-through-loky",
                "when": ">=1.2",
                "symptom": "an estimator of __main__ travels to loky workers by value, wrapper included; a proxy cannot be pickled, and what comes back sets the raw method on the live class",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_sklearn_quirks.py::test_a_class_of_main_travels_to_workers_and_is_still_watched",
            },
        ),
    },
    "tensorflow": {
        "distributions": (
            "tensorflow",
            "tensorflow-cpu",
        ),
        "modules": ("tensorflow",),
        "supported": ">=2.16,<3",
        "on_unsupported": "warn",
        "latest_known": "2.21.0",
        "tested": (
            {
                "version": "2.16.2",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "2.18.1",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "2.20.0",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "2.21.0",
                "python": "3.11",
                "tier": "commit",
            },
        ),
        "strategies": {},
        "quirks": (
            {
                "id": "tensorflow-autograph-skips-wrapped",
                "when": ">=2.16",
                "symptom": "AutoGraph does not convert what stands behind a wrapper, so a method of the user's (the result of a metric) with an if over a tensor cannot be traced any more",
                "guard": "engine",
                "fails_with": "tensorflow.errors.OperatorNotAllowedInGraphError",
                "test": "tests/matrix/test_tensorflow_quirks.py::test_autograph_converts_what_the_user_wrote",
            },
            {
                "id": "tensorflow-python-runs-when-traced",
                "when": ">=2.16",
                "symptom": "inside of tf.function apply_gradients runs while it is traced and never again, so a wrapper around it sees one step of many",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_tensorflow_quirks.py::test_every_step_inside_of_a_function_is_recorded",
            },
        ),
    },
    "torch": {
        "distributions": ("torch",),
        "modules": ("torch",),
        "supported": ">=2.4,<3",
        "on_unsupported": "warn",
        "latest_known": "2.15.0",
        "tested": (
            {
                "version": "2.4.1",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "2.13.0",
                "python": "3.11",
                "tier": "commit",
            },
        ),
        "strategies": {},
        "quirks": (
            {
                "id": "torch-lrscheduler-bypasses-proxy",
                "when": ">=2.4",
                "symptom": "a scheduler rebinds step on the optimizer through the method's __func__, which is the original where a proxy stands on the class, so no step is seen once there is one",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_torch_quirks.py::test_steps_are_seen_with_a_scheduler_attached",
            },
            {
                "id": "torch-optimizer-init-buries-step-patch",
                "when": ">=2.4",
                "symptom": "the first optimizer of a class puts a wrapper of its own around the class's step, so a patch that was there before is buried under it and cannot be removed",
                "guard": "engine",
                "fails_with": "wrapt.WrapperNotOutermostError",
                "test": "tests/matrix/test_torch_quirks.py::test_what_watches_steps_is_removed_after_the_first_optimizer",
            },
            {
                "id": "torch-base-step-patch-unseen",
                "when": ">=2.4",
                "symptom": "every optimizer overrides step, so a patch of the base class sees no step at all",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_torch_quirks.py::test_steps_of_every_class_are_seen",
            },
            {
                "id": "torch-dynamo-contextvar-in-wrapper",
                "when": ">=2.4",
                "symptom": "a context variable that is set in a wrapper of something that is traced cannot be compiled, so a training with fullgraph=True fails",
                "guard": "engine",
                "fails_with": "torch._dynamo.exc.Unsupported",
                "test": "tests/matrix/test_torch_quirks.py::test_a_model_with_its_loss_compiles_as_one_graph",
            },
        ),
    },
    "xgboost": {
        "distributions": (
            "xgboost",
            "xgboost-cpu",
        ),
        "modules": ("xgboost",),
        "supported": ">=1.7,<4",
        "on_unsupported": "warn",
        "latest_known": "3.4.1",
        "tested": (
            {
                "version": "1.7.6",
                "python": "3.10",
                "tier": "commit",
            },
            {
                "version": "2.0.3",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "2.1.4",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "3.0.5",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "3.1.3",
                "python": "3.12",
                "tier": "full",
            },
            {
                "version": "3.2.0",
                "python": "3.11",
                "tier": "commit",
            },
            {
                "version": "3.4.1",
                "python": "3.13",
                "tier": "commit",
            },
        ),
        "strategies": {},
        "quirks": (
            {
                "id": "xgboost-callbacks-are-a-set",
                "when": "<3.1.2",
                "symptom": "callbacks are kept in a set, and one that stops the training ends the round for those behind it, so a callback may not be told of the last round wherever it was put",
                "guard": "late_history",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_xgboost_quirks.py::test_the_round_that_a_callback_stopped_is_recorded",
            },
            {
                "id": "xgboost-stop-hides-the-last-round",
                "when": ">=1.7",
                "symptom": "a callback that stops the training ends the round for those behind it, so one that is appended to the user's list is not told of the last round",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_xgboost_quirks.py::test_a_callback_in_front_is_told_of_the_last_round",
            },
            {
                "id": "xgboost-train-reexports",
                "when": ">=1.7",
                "symptom": "xgboost.train, xgboost.sklearn.train and a name that was imported before the patch stay the original function when the attribute of xgboost.training is replaced",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_xgboost_quirks.py::test_every_name_of_train_is_the_watched_one",
            },
            {
                "id": "xgboost-get-params-draws-a-seed",
                "when": ">=1.7",
                "symptom": "get_params() of an estimator draws from the RandomState that the user gave as random_state, so reading the parameters changes the next training",
                "guard": "engine",
                "fails_with": "AssertionError",
                "test": "tests/matrix/test_xgboost_quirks.py::test_reading_the_parameters_draws_no_random_number",
            },
            {
                "id": "xgboost-cpu-distribution-name",
                "when": ">=2.1",
                "symptom": "the module xgboost may come from the distribution xgboost-cpu, so asking for the version of the distribution xgboost fails",
                "guard": "engine",
                "fails_with": "importlib.metadata.PackageNotFoundError",
                "test": "tests/matrix/test_xgboost_quirks.py::test_the_version_is_known_whatever_the_distribution_is_called",
            },
        ),
    },
}
