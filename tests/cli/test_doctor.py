"""`autolog doctor`: what it finds, and its exit code."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
import yaml

from autolog.discovery import discover
from tests.cli.conftest import Invoke
from tests.cli.recording import command, strict_json

REPOSITORY = Path(__file__).parents[2]

ONLY_SKLEARN = {"AUTOLOG_DISABLED": "keras,lightgbm,lightning,tensorflow,torch,xgboost"}
"""A probe imports each framework that is not switched off, in a process of its own."""


def test_a_sound_installation_has_no_problems(recorded: Path, invoke: Invoke) -> None:
    result = invoke("doctor", "--json", store=recorded)
    found = strict_json(result.stdout)
    assert found["problems"] == []
    assert found["ok"] is True
    limits = {one["integration"]: one["limits"] for one in found["frameworks"]}
    assert "tf.distribute" in limits["tensorflow"][0]
    assert found["store"]["exists"] is True
    assert found["store"]["writable"] is True
    (sklearn,) = [one for one in found["frameworks"] if one["integration"] == "sklearn"]
    assert sklearn["version"] == metadata.version("scikit-learn")
    assert "sklearn.base" in sklearn["sites"]
    assert all(guard["symptom"] for guard in sklearn["guards"])
    assert (result.exit_code, result.stderr) == (0, "")


def test_no_framework_is_imported_and_nothing_is_written(empty: Path, tmp_path: Path) -> None:
    from tests.cli.recording import python

    program = (
        "import sys\n"
        "from autolog.cli.commands import cli\n"
        "cli(['doctor'], standalone_mode=False)\n"
        "print(sorted({'sklearn', 'scipy', 'joblib', 'pandas'} & set(sys.modules)))\n"
    )
    done = python("-c", program, store=empty, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert not empty.exists()


def test_each_setting_is_shown_with_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "autolog.toml").write_text('experiment = "from the file"\n')
    store = tmp_path / "store"
    done = command("doctor", "--json", store=store, cwd=tmp_path, AUTOLOG_STRICT="1")
    origins = {
        one["name"]: (one["value"], one["origin"]) for one in strict_json(done.stdout)["settings"]
    }
    assert origins["experiment"] == ("from the file", str(tmp_path / "autolog.toml"))
    assert origins["strict"] == (True, "AUTOLOG_STRICT")
    assert origins["store"] == (str(store), "AUTOLOG_STORE")
    assert origins["durability"] == ("process", "default")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:hidden@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?user=me&password=hidden&connect_timeout=1",
        "postgresql://me:se/hidden@127.0.0.1:1/db",
        "postgresql://me:hid'hidden@127.0.0.1:1/db",
        "postgresql://m[e:hidden@127.0.0.1:1/db",
        "me:hidden@127.0.0.1:1/db",
    ],
)
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_password_in_a_setting_is_not_printed(
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    words: tuple[str, ...],
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = invoke("doctor", "sklearn", *words, store=address, COLUMNS="200")
    assert done.exit_code == 1
    assert "127.0.0.1:1/db" in done.stdout
    assert "hidden" not in done.stdout + done.stderr
    if words:
        shown = {one["name"]: one["value"] for one in strict_json(done.stdout)["settings"]}
        assert shown["store"].endswith(("***@127.0.0.1:1/db", "/db?***"))


def test_a_secret_among_the_tags_is_not_printed(invoke: Invoke, empty: Path) -> None:
    done = invoke("doctor", "--json", store=empty, AUTOLOG_TAGS="team=blue,api_key=hidden")
    shown = {one["name"]: one["value"] for one in strict_json(done.stdout)["settings"]}
    assert shown["tags"] == {"team": "blue", "api_key": "***"}


def test_a_setting_that_cannot_be_read_is_a_problem(empty: Path, tmp_path: Path) -> None:
    done = command("doctor", "--json", store=empty, cwd=tmp_path, AUTOLOG_DURABILITY="maybe")
    (problem,) = strict_json(done.stdout)["problems"]
    assert "AUTOLOG_DURABILITY sets durability to 'maybe'" in problem
    assert done.returncode == 1


def test_a_store_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    done = command("doctor", "--json", store="/proc/nowhere", cwd=tmp_path)
    found = strict_json(done.stdout)
    assert found["store"]["writable"] is False
    assert any("cannot be written: /proc" in problem for problem in found["problems"])
    assert done.returncode == 1


def test_an_integration_that_cannot_be_loaded_is_a_problem(empty: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[autolog.integrations]\nbroken = no_such_module:X\n")
    done = command("doctor", store=empty, cwd=tmp_path, PYTHONPATH=str(site))
    assert done.returncode == 1
    assert "1 problem 1. integration broken: no_such_module:X cannot be loaded" in " ".join(
        done.stdout.split()
    )


def test_an_unsupported_version_is_a_problem(empty: Path, tmp_path: Path) -> None:
    matrix = yaml.safe_load((REPOSITORY / "compat_matrix.yaml").read_text())
    tested = [{"version": "1.2.2", "python": "3.10", "tier": "commit"}]
    matrix["frameworks"]["sklearn"] |= {
        "supported": ">=1.2,<1.3",
        "latest_known": "1.2.2",
        "tested": tested,
        "quirks": [],
    }
    older = tmp_path / "matrix.yaml"
    older.write_text(yaml.safe_dump(matrix))
    done = command("doctor", "--json", store=empty, cwd=tmp_path, AUTOLOG_COMPAT_MATRIX=str(older))
    found = strict_json(done.stdout)
    assert done.returncode == 1, found
    assert any("outside the supported range" in problem for problem in found["problems"]), found


def test_an_integration_that_is_switched_off_says_so(empty: Path, tmp_path: Path) -> None:
    done = command("doctor", store=empty, cwd=tmp_path, AUTOLOG_DISABLED="scikit-learn")
    assert "switched off by the setting disabled" in done.stdout
    assert done.returncode == 0


def test_a_probe_imports_the_frameworks_and_lists_what_is_watched(
    empty: Path, tmp_path: Path
) -> None:
    done = command("doctor", "--probe", "--json", store=empty, cwd=tmp_path, **ONLY_SKLEARN)
    found = strict_json(done.stdout)
    (sklearn,) = [one for one in found["probe"] if one["integration"] == "sklearn"]
    states = {site["place"]: site["state"] for site in sklearn["sites"]}
    assert states["sklearn.base:TransformerMixin.fit_transform"] == "applied"
    assert set(states.values()) == {"applied"}
    assert done.returncode == 0, found["problems"]
    assert not empty.exists()


def _libraries(folder: Path, source: str) -> dict[str, str]:
    """Put a package of this source before every framework; return the environment for it."""
    for integration in discover().integrations.values():
        for module in integration.modules:
            package = folder / module.partition(".")[0]
            package.mkdir(exist_ok=True, parents=True)
            (package / "__init__.py").write_text(source)
    return {"PYTHONPATH": str(folder)}


def test_a_framework_that_cannot_be_imported_is_found_by_a_probe(
    empty: Path, tmp_path: Path
) -> None:
    env = _libraries(tmp_path / "site", "print('hello'); raise RuntimeError('no library')")
    done = command("doctor", "--probe", "--json", store=empty, cwd=tmp_path, **env)
    problems = strict_json(done.stdout)["problems"]
    assert any("import sklearn failed: RuntimeError: no library" in one for one in problems)
    assert done.returncode == 1


def test_a_framework_that_ends_the_process_is_found_by_a_probe(empty: Path, tmp_path: Path) -> None:
    ends = "import os, sys; sys.stderr.write('gone'); os._exit(7)"
    env = _libraries(tmp_path / "site", ends)
    done = command("doctor", "--probe", store=empty, cwd=tmp_path, **env)
    assert "ended the process (exit code 7)" in " ".join(done.stdout.split())
    assert done.returncode == 1
