"""`autolog run -- COMMAND` against the command alone, and what Python processes below it see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_launch import Ended, run, write

PYTHON = sys.executable
LAUNCHED = (PYTHON, "-I", "-m", "autolog", "run")
"""The launcher is a Python itself, which must not run the tests' `sitecustomize`."""
ON = "import sys; print('autolog.capture.activation' in sys.modules)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working directory of the commands."""
    work = tmp_path / "work"
    work.mkdir()
    return work


def assert_same(folder: Path, *words: str, **environment: str) -> Ended:
    """Run a command with and without `autolog run --`, compare all, and return what it did."""
    plain = run(words, folder, **environment)
    launched = run((*LAUNCHED, "--", *words), folder, **environment)
    assert launched == plain
    assert not (folder.parent / "store").exists()  # nothing was trained, so nothing is recorded
    return plain


def test_output_and_exit_code_are_those_of_the_command(folder: Path) -> None:
    assert assert_same(folder, "sh", "-c", "echo out; echo err >&2; exit 5").code == 5
    assert assert_same(folder, PYTHON, "-c", "1 / 0").code == 1
    assert assert_same(folder, PYTHON, "-m", "json.tool", "--help").code == 0


def test_the_command_takes_the_place_of_the_launcher_and_gets_its_signals(folder: Path) -> None:
    code = "import os, signal; print(os.getpid(), flush=True); os.kill(os.getpid(), signal.SIGTERM)"
    process = subprocess.Popen(
        [*LAUNCHED, "--", PYTHON, "-c", code], cwd=folder, stdout=subprocess.PIPE
    )
    out, _ = process.communicate(timeout=60)
    assert (int(out), process.returncode) == (process.pid, -15)


ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"


def test_the_command_inherits_pythonpath_and_the_given_settings_alone(folder: Path) -> None:
    import json

    words = (PYTHON, "-c", ENVIRONMENT)
    options = ("--experiment", "e", "--name", "n", "--tag", "a=b", "--tag=c=d", "--exclude=sklearn")
    plain = json.loads(run(words, folder, PYTHONPATH="mine").out)
    launched = json.loads(run((*LAUNCHED, *options, "--", *words), folder, PYTHONPATH="mine").out)
    first, rest = launched.pop("PYTHONPATH").split(os.pathsep)
    assert (Path(first).name, rest) == ("_boot", plain.pop("PYTHONPATH"))
    settings = {name: text for name, text in launched.items() if plain.get(name) != text}
    assert settings == {
        "AUTOLOG_EXPERIMENT": "e",
        "AUTOLOG_RUN_NAME": "n",
        "AUTOLOG_TAGS": "a=b,c=d",
        "AUTOLOG_DISABLED": "sklearn",
    }
    assert set(plain) <= set(launched)


def test_a_store_is_handed_on_as_an_absolute_place(folder: Path) -> None:
    words = ("--store", "mine", "--", "sh", "-c", "echo $AUTOLOG_STORE")
    told = run((*LAUNCHED, *words), folder).out.decode().strip()
    assert told == f"sqlite:///{(folder / 'mine').resolve()}/store.db"


def test_autolog_is_on_in_every_python_below_the_command(folder: Path) -> None:
    source = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ON!r}], check=True)"
    write(folder, source)
    for words in ((PYTHON, "-c", ON), ("sh", "-c", '"$0" "$@"; exit', PYTHON, "program.py")):
        assert run((*LAUNCHED, "--", *words), folder).out == b"True\n"


MODULE = """
import sys
print([one for one in sys.path if "_boot" in one], sys.path)
print(getattr(sys.modules.get("sitecustomize"), "MINE", None))
try:
    import sitecustomize
except ImportError as error:
    print(error)
else:
    print(sitecustomize.MINE, sitecustomize.__file__)
"""


def test_a_program_sees_its_path_and_its_own_sitecustomize(folder: Path) -> None:
    write(folder, MODULE)
    assert_same(folder, PYTHON, "program.py")
    write(folder, "MINE = 1\nprint('mine ran')\n", "site/sitecustomize.py")
    mine = str(folder / "site")
    assert b"mine ran" in assert_same(folder, PYTHON, "program.py", PYTHONPATH=mine).out
    ended = run((*LAUNCHED, "--", PYTHON, "-c", ON), folder, PYTHONPATH=mine)
    assert ended.out == b"mine ran\nTrue\n"
    write(folder, "import no_such_module\n", "site/sitecustomize.py")
    ended = assert_same(folder, PYTHON, "program.py", PYTHONPATH=mine)
    assert b"no_such_module" in ended.err


def test_a_python_that_ignores_pythonpath_is_left_alone(folder: Path) -> None:
    for option in ("-E", "-I", "-S"):
        assert assert_same(folder, PYTHON, option, "-c", ON).out == b"False\n"


def test_a_python_without_autolog_starts_as_ever(folder: Path) -> None:
    base = getattr(sys, "_base_executable", sys.executable)
    assert Path(base).parent != Path(sys.executable).parent  # the tests run in an environment
    assert assert_same(folder, base, "-c", "import sys; print(sys.path)").code == 0


def test_settings_that_do_not_hold_where_a_process_works_stay_without_effect(folder: Path) -> None:
    write(folder, "wrong = 1\n", "elsewhere/autolog.toml")
    source = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {ON!r}], cwd='elsewhere', check=True)\n"
    )
    write(folder, source)
    ended = run((*LAUNCHED, "--", PYTHON, "program.py"), folder)
    assert (ended.code, ended.err) == (0, b"")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--",), 2),
        (("--tag", "a=b,c", "--", "true"), 2),
        (("--exclude", "no-such-framework", "--", "true"), 2),
        (("--store", "nonsense://x", "--", "true"), 2),
        (("--", "no-such-command"), 127),
        (("--", "program.py"), 127),
        (("--", "./program.py"), 126),
    ],
)
def test_what_cannot_be_started_is_refused_by_name(
    folder: Path, words: tuple[str, ...], code: int
) -> None:
    write(folder, "print('ran')")
    ended = run((*LAUNCHED, *words), folder)
    assert (ended.code, ended.out) == (code, b"")
    assert ended.err.startswith(b"autolog run: ")
