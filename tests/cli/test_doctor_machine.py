"""`autolog doctor`: what it says of a machine, from metadata and variables alone."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autolog.cli.probe import probe
from autolog.compat.view import matrix_data
from autolog.discovery import discover
from tests.cli.conftest import Invoke
from tests.cli.recording import strict_json

BOOT = Path(__file__).parents[2] / "autolog" / "_boot"


def distribution(folder: Path, name: str, version: str, entry_points: str = "") -> None:
    """Put the metadata of a distribution into a folder, as pip leaves it."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if entry_points:
        (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A folder of packages in front of the installed ones."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def doctor(invoke: Invoke, empty: Path):
    """Run the command here and return its document; it must agree with its exit code."""

    def run(*words: str, store: Path | str = empty, **env: str) -> dict[str, Any]:
        result = invoke("doctor", *words, "--json", store=store, **env)  # type: ignore[arg-type]
        found = strict_json(result.stdout)
        assert result.exit_code == (0 if found["ok"] else 1), found["problems"]
        return found

    return run


def text(result: Any) -> str:
    return " ".join(result.stdout.split())


def framework(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["frameworks"] if one["integration"] == name)


# --- what is there ---------------------------------------------------------------------------


def test_no_columns_are_as_good_as_none_given(invoke, empty):
    assert "Trainings are recorded of" in invoke("doctor", store=empty, COLUMNS="0").stdout


@pytest.mark.parametrize("columns", ["80", "100"])
def test_the_page_begins_with_a_verdict_and_fits_the_terminal(invoke, empty, columns):
    result = invoke("doctor", store=empty, COLUMNS=columns)
    lines = result.stdout.splitlines()
    assert lines[2].startswith("Trainings are recorded of keras, lightgbm,")
    assert max(map(len, lines)) <= int(columns)
    assert "scikit-learn" in result.stdout
    assert "train/loss and lr by step" in result.stdout
    assert result.exit_code == 0


def test_one_framework_is_shown_in_full(invoke, empty):
    page = text(invoke("doctor", "scikit-learn", store=empty))
    because = matrix_data()["sklearn"]["because"]
    assert f"because {because}" in page
    assert "logs series curves that the estimator keeps" in page
    assert "guard sklearn-joblib-threads-lose-context: joblib's worker threads" in page
    assert "lightgbm" not in page


def test_a_framework_that_is_none_is_wrong_usage(invoke, empty):
    result = invoke("doctor", "sklaern", store=empty)
    assert result.exit_code == 2
    assert "Did you mean 'sklearn'?" in result.stderr


def test_the_document_has_what_the_matrix_says(doctor):
    found = framework(doctor("keras"), "keras")
    assert {one["distribution"] for one in found["installed"]} == {"keras", "tf-keras"}
    assert found["supported"] == ">=2.16,<4"
    assert found["because"].startswith("Keras 3 begins")
    assert set(found["logs"]) >= {"params", "series", "evaluations", "data", "model"}
    assert found["third_party"] is None


def test_a_build_of_a_tested_version_is_tested(doctor):
    found = framework(doctor("torch"), "torch")
    assert found["version"].startswith("2.13.0")
    assert found["state"] == "tested"


def test_the_distribution_that_is_there_is_named(doctor):
    assert framework(doctor("xgboost"), "xgboost")["distribution"] == "xgboost-cpu"


def test_an_integration_of_a_third_party_is_judged_by_its_own_matrix(site, doctor, invoke, empty):
    (site / "toy_for_doctor.py").write_text(
        "from autolog.integration import API, Integration\n"
        "DATA = {'toy': {'distributions': ('toylib',), 'modules': ('toylib',),"
        " 'supported': '>=2', 'because': 'of a rewrite', 'on_unsupported': 'warn',"
        " 'latest_known': '2.1', 'tested': ({'version': '2.1', 'python': '3.10', 'tier': 'full'},),"
        " 'strategies': {}, 'co_pins': (), 'quirks': (), 'logs': {'series': 'the loss'}}}\n"
        "INTEGRATION = Integration(api=API, name='toy', distributions=('toylib',),"
        " modules=('toylib',), sites=(), compat='toy_for_doctor:DATA')\n"
    )
    points = "[autolog.integrations]\ntoy = toy_for_doctor:INTEGRATION\n"
    distribution(site, "autolog-toy", "0.3", points)
    distribution(site, "toylib", "1.0")
    discover.cache_clear()
    try:
        found = doctor("toy")
        page = text(invoke("doctor", "toy", store=empty))
    finally:
        discover.cache_clear()
        sys.modules.pop("toy_for_doctor", None)
    assert framework(found, "toy")["third_party"] == "autolog-toy 0.3"
    (problem,) = found["problems"]
    assert problem == (
        "toylib 1.0 is outside the supported range >=2 (of a rewrite); runs of toy may lack"
        " things: pip install 'toylib==2.1'"
    )
    assert "third party autolog-toy 0.3" in page


def test_each_distribution_with_versions_of_its_own_is_judged(doctor, invoke, empty):
    found = framework(doctor("keras"), "keras")
    guards = {
        one["distribution"]: {guard["quirk"] for guard in one["guards"]}
        for one in found["installed"]
    }
    assert "keras-legacy-callback-reads-numbers" in guards["tf-keras"] - guards["keras"]
    assert "keras-fit-calls-evaluate" in guards["keras"] - guards["tf-keras"]
    assert {guard["quirk"] for guard in found["guards"]} == guards["keras"] | guards["tf-keras"]
    page = text(invoke("doctor", "keras", store=empty))
    assert "guard keras-legacy-callback-reads-numbers (tf-keras): " in page
    assert "guard keras-fit-calls-evaluate (keras): " in page


def test_the_second_distribution_has_a_state_of_its_own(site, doctor, invoke, empty):
    distribution(site, "tf-keras", "2.15.1")
    found = framework(doctor("keras"), "keras")
    states = {one["distribution"]: one["state"] for one in found["installed"]}
    assert states == {"keras": "tested", "tf-keras": "unsupported"}
    assert "tf-keras 2.15.1 unsupported" in text(invoke("doctor", store=empty))


def test_a_strict_setting_leaves_an_unsupported_version_alone(site, doctor, invoke, empty):
    distribution(site, "torch", "2.3.1")
    (problem,) = doctor("torch", AUTOLOG_STRICT="1")["problems"]
    assert "nothing of torch is recorded" in problem
    page = text(invoke("doctor", "torch", store=empty, AUTOLOG_STRICT="1"))
    assert "No framework is here whose trainings are recorded." in page
    assert "outside of it off (setting strict)" in page
    assert "Trainings are recorded of torch." in text(invoke("doctor", "torch", store=empty))


def test_a_framework_that_is_missing_has_one_line_that_installs_it():
    from autolog._compat_data import DATA
    from autolog.cli.frameworks import look_at
    from autolog.compat.remedy import install_line
    from autolog.integration import API, Integration

    toy = {**DATA["lightgbm"], "distributions": ("toylib",), "modules": ("toylib",)}
    module = ModuleType("toy_for_line")
    module.DATA = {"toy": toy}
    sys.modules["toy_for_line"] = module
    try:
        found = look_at(
            Integration(
                api=API,
                name="toy",
                distributions=("toylib",),
                modules=("toylib",),
                sites=(),
                compat="toy_for_line:DATA",
            )
        )
    finally:
        del sys.modules["toy_for_line"]
    assert found.state == "not installed"
    assert found.install == install_line(toy, "toylib")
    assert found.install.startswith("pip install 'toylib==")


# --- conflicts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version", "problem"),
    [
        ("scikit-learn", "1.3.2", "needs numpy<2 (it was compiled for NumPy 1), and "),
        ("lightning", "2.3.3", "is installed: pip install 'setuptools<81'"),
        ("tensorflow", "2.15.1", "TensorFlow up to 2.15 pins wrapt below 1.15"),
        ("xgboost", "3.2.0", "and xgboost-cpu 3.2.0 are both installed and overwrite"),
        ("wrapt", "1.14.1", "TensorFlow up to 2.15 pins wrapt below 1.15"),
        ("tf-keras", "2.15.1", "pip install 'tf-keras>=2.16,<4'"),
    ],
)
def test_what_breaks_a_framework_is_a_problem_with_what_to_do(site, doctor, name, version, problem):
    distribution(site, name, version)
    problems = doctor()["problems"]
    assert any(one.startswith(f"{name} {version} ") and problem in one for one in problems), (
        problems
    )


def test_a_framework_that_is_switched_off_has_no_problems(site, doctor):
    distribution(site, "scikit-learn", "1.3.2")
    assert doctor(AUTOLOG_DISABLED="sklearn")["problems"] == []


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("AUTOLOG_DISABLED", "sklaern", "AUTOLOG_DISABLED leaves out: unknown framework"),
        ("AUTOLOG_COMPAT_MATRIX", "/nowhere.yaml", "/nowhere.yaml cannot be read"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_problem(doctor, variable, value, problem):
    (line,) = doctor(**{variable: value})["problems"]
    assert problem in line


# --- the store -------------------------------------------------------------------------------


def _corrupt(store: Path) -> None:
    (store / "store.db").write_bytes(b"no database" * 100)


def _newer(store: Path) -> None:
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(store / "store.db")) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("INSERT INTO alembic_version VALUES ('9999')")


def _damaged(store: Path) -> None:
    (store / "journal" / f"{'0' * 32}.000001.alj").write_bytes(b"no journal" * 100)


def _folder(store: Path) -> None:
    (store / "store.db").mkdir()


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (_corrupt, "the file is damaged or no SQLite database"),
        (_newer, "written by a newer autolog"),
        (_damaged, "damaged journal: "),
        (_folder, "Is a directory"),
    ],
)
def test_what_is_wrong_with_a_store_is_one_line(doctor, tmp_path, harm, problem):
    store = tmp_path / "store"
    (store / "journal").mkdir(parents=True)
    harm(store)
    before = sorted(store.rglob("*"))
    (line,) = doctor("sklearn", store=store)["problems"]
    assert problem in line
    assert sorted(store.rglob("*")) == before


def test_what_is_logged_while_a_server_is_down_is_kept(invoke, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    page = text(invoke("doctor", "--store", "ftp://host/runs", store=tmp_path))
    assert "Nothing is recorded: the store cannot be used." in page
    result = invoke("doctor", "--store", "postgresql://127.0.0.1:1/db", store=tmp_path)
    assert "In journals, until the store can take them." in text(result)
    assert "1 problem 1. postgresql://127.0.0.1:1/db: the database cannot be reached" in text(
        result
    )
    assert result.exit_code == 1


# --- advice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("AUTOLOG_UNGUARD", "sklearn-joblib-threads-lose-context", "switches guards off"),
        ("AUTOLOG_DISABLED", "torch", "AUTOLOG_DISABLED=torch leaves frameworks out"),
        ("KERAS_BACKEND", "openvino", "the backend openvino (KERAS_BACKEND) is not installed"),
        ("WRAPT_DISABLE_EXTENSIONS", "1", "wrapt runs without its C extension"),
        ("PYTHONPATH", str(BOOT), "PYTHONPATH switches autolog on in every Python"),
        ("PYTHONPATH", "/opt/ddtrace/bootstrap", "ddtrace patches libraries"),
    ],
)
def test_what_could_be_better_is_advice_and_no_problem(doctor, variable, value, advice):
    found = doctor(**{variable: value})
    assert found["ok"]
    (one,) = found["advice"]
    assert advice in one["text"]
    assert one["action"]


def test_a_sound_machine_gets_no_advice(doctor):
    assert doctor()["advice"] == []


def test_git_that_is_missing_is_advice_in_a_work_tree(doctor, tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (one,) = doctor(PATH=str(Path(sys.executable).parent))["advice"]
    assert one["action"] == "install git"


# --- probes ----------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Put a package of this source before every other one, in the processes that are started."""
    folder = tmp_path / "packages"
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def put(name: str, source: str = "") -> None:
        path = folder.joinpath(*name.split("."))
        path.mkdir(parents=True, exist_ok=True)
        (path / "__init__.py").write_text(source)

    return put


def test_a_framework_that_cannot_be_imported_is_not_said_to_be_recorded(package, invoke, empty):
    package("lightgbm", "raise RuntimeError('no library')")
    words = ("doctor", "lightgbm", "--probe")
    page = text(invoke(*words, store=empty))
    assert "import lightgbm failed: RuntimeError: no library" in page
    assert "No framework is here whose trainings are recorded." in page


def test_a_framework_that_hangs_is_given_up(package):
    package("sklearn", "import time; time.sleep(600)")
    (found,) = probe(["sklearn"], timeout=3)
    assert found.problems == ["importing sklearn took more than 3 s"]


def test_what_a_framework_leaves_behind_is_not_waited_for(package):
    package("lightgbm", "import subprocess; subprocess.Popen(['sleep', '30']); print('hello')")
    (found,) = probe(["lightgbm"], timeout=20)
    assert found.error is None


def test_one_of_two_namespaces_is_enough(package):
    package("lightning")
    gone = "dict.fromkeys(('pytorch_lightning', 'lightning_fabric'))"
    package("sitecustomize", f"import sys; sys.modules.update({gone})")
    (found,) = probe(["lightning"])
    assert found.problems == []
    assert {site.state for site in found.sites} == {"waiting"}


def test_a_place_that_a_framework_no_longer_has_is_a_problem(package):
    package("xgboost", "__version__ = '3.2.0'")
    for part in ("core", "sklearn", "training"):
        package(f"xgboost.{part}")
    (found,) = probe(["xgboost"])
    assert found.error is None
    assert any(one.startswith("xgboost.training") and "missing" in one for one in found.problems)
