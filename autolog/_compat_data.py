"""Generated from compat_matrix.yaml by `python -m autolog.compat compile`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autolog.compat.data import MatrixData

SHA256 = "6d3545a10cac4534e59f0bbb560d2570d6261bc33b565a5934a1df2e511b7993"

DATA: MatrixData = {
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
}
