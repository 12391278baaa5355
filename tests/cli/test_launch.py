"""`autolog run` against plain `python`: every program is run twice, and the bytes compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PLAIN = (sys.executable,)
LAUNCHED = (sys.executable, "-m", "autolog", "run")


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: bytes
    err: bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working directory of the programs."""
    work = tmp_path / "work"
    work.mkdir()
    return work


def run(words: tuple[str, ...], folder: Path, **environment: str) -> Ended:
    env = {name: text for name, text in os.environ.items() if not name.startswith("AUTOLOG_")}
    env |= {"AUTOLOG_STORE": str(folder.parent / "store"), **environment}
    done = subprocess.run(
        words, cwd=folder, env=env, capture_output=True, stdin=subprocess.DEVNULL, timeout=120
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def assert_same(folder: Path, *words: str, python: tuple[str, ...] = (), **env: str) -> Ended:
    """Run `python WORDS` and `autolog run WORDS`, compare all, and return what they did."""
    plain = run((PLAIN[0], *python, *words), folder, **env)
    launched = run((PLAIN[0], *python, *LAUNCHED[1:], *words), folder, **env)
    assert launched == plain
    return plain


def write(folder: Path, source: str, name: str = "program.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return path


# --- what a program sees of itself ----------------------------------------------------------

MIRROR = """
\"\"\"A docstring.\"\"\"
import sys
for name, value in list(globals().items()):
    if name == "__loader__":
        value = type(value).__name__, getattr(value, "name", None), getattr(value, "path", None)
    if name == "__spec__" and value is not None:
        value = value.name, value.origin, value.cached, value.parent, value.has_location
    print(name, value)
print(__name__ in sys.modules and sys.modules["__main__"].__dict__ is globals())
print(sys.argv, sys.path, sys.flags, sys.excepthook is sys.__excepthook__)
assert "click" not in sys.modules and "rich" not in sys.modules
"""


def test_a_script_sees_the_same_main_module(folder: Path) -> None:
    write(folder, MIRROR)
    assert b"SourceFileLoader" in assert_same(folder, "program.py", "a", "--b", "-m").out


@pytest.mark.parametrize("name", ["./program.py", "sub/../program.py", "sub/link.py"])
def test_the_path_of_a_script_is_resolved_as_python_does(folder: Path, name: str) -> None:
    write(folder, MIRROR)
    (folder / "sub").mkdir()
    (folder / "sub/link.py").symlink_to("../program.py")
    assert assert_same(folder, name).code == 0


def test_an_absolute_script_in_another_folder_sees_the_same(folder: Path) -> None:
    path = write(folder.parent / "elsewhere", MIRROR)
    assert assert_same(folder, str(path)).code == 0


def test_a_module_sees_the_same_main_module(folder: Path) -> None:
    write(folder, MIRROR, "package/module.py")
    assert b"package.module" in assert_same(folder, "-m", "package.module", "a").out


def test_a_package_with_main_sees_the_same_main_module(folder: Path) -> None:
    write(folder, "", "package/__init__.py")
    write(folder, "from . import __name__ as n; print(n)" + MIRROR, "package/__main__.py")
    assert assert_same(folder, "-m", "package").code == 0


@pytest.mark.parametrize("name", ["app", "./app", "."])
def test_a_folder_sees_the_same_main_module(folder: Path, name: str) -> None:
    write(folder, "import other\n" + MIRROR, "app/__main__.py")
    write(folder, "print('other')", "app/other.py")
    write(folder, "import other\n" + MIRROR, "__main__.py")
    write(folder, "print('other')", "other.py")
    assert assert_same(folder, name, "x").code == 0


def test_a_zip_archive_sees_the_same_main_module(folder: Path) -> None:
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        archive.writestr("__main__.py", MIRROR)
    assert assert_same(folder, "app.zip", "x").code == 0


def test_bytecode_runs_and_sees_the_same_main_module(folder: Path) -> None:
    path = write(folder, MIRROR)
    compiled = "import py_compile, sys; py_compile.compile(sys.argv[1], 'program.pyc')"
    subprocess.run([sys.executable, "-c", compiled, str(path)], cwd=folder, check=True)
    assert assert_same(folder, "program.pyc").code == 0


@pytest.mark.parametrize("flags", [("-O",), ("-OO",), ("-I",), ("-B", "-s")])
def test_options_of_python_hold_for_the_program(folder: Path, flags: tuple[str, ...]) -> None:
    source = "import sys; print(sys.flags, __debug__, sys.path)\nassert False, 'checked'"
    write(folder, source)
    assert_same(folder, "program.py", python=flags)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="-P is new in Python 3.11")
def test_a_safe_path_stays_safe(folder: Path) -> None:
    write(folder, "import sys; print(sys.path); import neighbour")
    write(folder, "", "neighbour.py")
    assert assert_same(folder, "program.py", python=("-P",)).code == 1
    assert assert_same(folder, "program.py", PYTHONSAFEPATH="1").code == 1


def test_a_neighbour_named_like_the_standard_library_is_imported(folder: Path) -> None:
    write(folder, "print('mine')", "logging.py")
    write(folder, "import logging, json; print(logging.__file__, json.__file__)")
    assert b"mine" in assert_same(folder, "program.py").out


def test_a_future_statement_of_the_launcher_does_not_leak(folder: Path) -> None:
    write(folder, "def f(x: 1 + 1): ...\nprint(f.__annotations__)")
    assert assert_same(folder, "program.py").out == b"{'x': 2}\n"


def test_source_encodings_are_honoured(folder: Path) -> None:
    (folder / "latin.py").write_bytes("# coding: latin-1\nprint(ascii('é'))\n".encode("latin-1"))
    (folder / "bom.py").write_bytes(b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))\n")
    assert assert_same(folder, "latin.py").out == assert_same(folder, "bom.py").out == b"'\\xe9'\n"


# --- how a program ends ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "print('done')",
        "import sys; sys.exit()",
        "import sys; sys.exit(0)",
        "import sys; sys.exit(3)",
        "import sys; sys.exit(-1)",
        "import sys; sys.exit(300)",
        "import sys; sys.exit(True)",
        "import sys; sys.exit('a message')",
        "import sys; sys.exit(2.5)",
        "raise SystemExit(1, 2)",
        "raise KeyboardInterrupt",
        "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "import os; os._exit(5)",
        "import os; os.abort()",
        "1 / 0",
        "raise BaseException('base')",
        "raise ValueError('one') from KeyError('two')",
        "raise ValueError().with_traceback(None)",
        "import json; json.loads('{')",
        "exec('1 / 0')",
        "eval('(')",
        "import missing_module",
        "import threading; threading.Thread(target=lambda: 1 / 0, name='t').start()",
        "import threading, sys; threading.Thread(target=sys.exit, args=(4,)).start()",
        "import sys; sys.stdout.close()",
        "import sys; sys.stderr = None; 1 / 0",
    ],
)
@pytest.mark.parametrize("target", ["script", "module"])
def test_a_program_ends_the_same(folder: Path, statement: str, target: str) -> None:
    write(folder, f"def main():\n    {statement}\n\nmain()\n")
    assert_same(folder, *(("-m", "program") if target == "module" else ("program.py",)))


def test_an_uncaught_exception_shows_no_frame_of_the_launcher(folder: Path) -> None:
    write(folder, "def f():\n    raise RuntimeError('x')\nf()\n")
    ended = assert_same(folder, "program.py")
    assert (ended.code, ended.err.count(b'  File "')) == (1, 2)


@pytest.mark.parametrize(
    "source",
    [
        b"x = = 1\n",
        b"def f(:\n",
        b"print('no end\n",
        b"x = '\xe9'\n",
        b"# coding: no-such-codec\n",
        b"x = 1\0\n",
        b"return\n",
        b"\tx\n y\n",
    ],
)
def test_a_script_that_cannot_be_compiled_fails_the_same(folder: Path, source: bytes) -> None:
    (folder / "program.py").write_bytes(source)
    ended = assert_same(folder, "program.py")
    assert ended.code == 1 or b"\0" in source  # Python 3.10 runs a file up to a null byte


@pytest.mark.parametrize(
    "words",
    [
        ("nowhere.py",),
        ("-m", "nowhere"),
        ("-m", "empty"),
        ("-m", "broken"),
        ("empty",),
        ("no.pyc",),
        ("broken.py/x",),
    ],
)
def test_a_program_that_does_not_exist_fails_the_same(folder: Path, words: tuple[str]) -> None:
    write(folder, "", "empty/__init__.py")
    write(folder, "x = = 1", "broken.py")
    write(folder, "not bytecode", "no.pyc")
    assert assert_same(folder, *words).code in (1, 2)


HOOKS = {
    "prints": "def hook(*a): print('hook', a[0], a[1], a[2].tb_lineno, a[2].tb_next is None)",
    "raises": "def hook(*a): raise OSError('from the hook')",
    "exits": "def hook(*a): sys.exit(7)",
    "is missing": "del sys.excepthook\nhook = None",
    "sees last": "def hook(*a): print(sys.last_traceback is a[2] is a[1].__traceback__, __file__)",
}


@pytest.mark.parametrize("hook", HOOKS)
def test_the_programs_own_excepthook_is_called(folder: Path, hook: str) -> None:
    install = "sys.excepthook = hook" if hook != "is missing" else ""
    write(folder, f"import sys\n{HOOKS[hook]}\n{install}\n1 / 0\n")
    assert_same(folder, "program.py")


def test_atexit_functions_see_what_python_leaves_them(folder: Path) -> None:
    tail = "print(sorted(globals())), print(sys.exc_info(), hasattr(sys, 'last_value'))"
    tail += ", print(sys.excepthook is sys.__excepthook__)"
    for end in ("", "1 / 0", "sys.exit(3)"):
        write(folder, f"import atexit, sys\natexit.register(lambda: ({tail}))\n{end}\n")
        assert b"__builtins__" in assert_same(folder, "program.py").out


def test_threads_that_outlive_the_last_line_see_the_globals(folder: Path) -> None:
    source = """
import threading
VALUE = {"a": 1}
ended = threading.Event()
def late():
    threading.main_thread().join()
    print(VALUE, "late")
threading.Thread(target=late).start()
"""
    write(folder, source)
    assert assert_same(folder, "program.py").out == b"{'a': 1} late\n"


# --- what a program does with its __main__ ---------------------------------------------------


def test_objects_of_main_can_be_pickled(folder: Path) -> None:
    source = """
import pickle, sys
class Thing:
    def __eq__(self, other): return type(self) is type(other)
print(pickle.dumps(Thing()), pickle.loads(pickle.dumps(Thing())) == Thing())
"""
    write(folder, source)
    assert_same(folder, "program.py")
    assert_same(folder, "-m", "program")


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("target", [("program.py",), ("-m", "program")])
def test_worker_processes_import_main_again(
    folder: Path, method: str, target: tuple[str, ...]
) -> None:
    source = f"""
import multiprocessing, sys
class Thing:
    def __init__(self, n): self.n = n
def double(thing):
    return Thing(2 * thing.n), __name__, sys.argv, sys.modules["__main__"].__name__
if __name__ == "__main__":
    with multiprocessing.get_context("{method}").Pool(1) as pool:
        for thing, *rest in pool.map(double, [Thing(1), Thing(2)]):
            print(thing.n, rest)
"""
    write(folder, source)
    assert b"4 [" in assert_same(folder, *target, "word").out


def test_a_forked_child_ends_by_itself(folder: Path) -> None:
    source = """
import os, sys
child = os.fork()
if child == 0:
    raise ValueError("in the child")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
sys.exit(9)
"""
    write(folder, source)
    assert assert_same(folder, "program.py").code == 9


# --- its own words ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("-m",),
        ("-",),
        ("--nme", "x", "program.py"),
        ("--tag", "novalue", "program.py"),
        ("--store",),
        ("--exclude", "no-such-framework", "program.py"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(
    folder: Path, words: tuple[str, ...]
) -> None:
    write(folder, "print('ran')")
    ended = run((*LAUNCHED, *words), folder)
    assert (ended.code, ended.out) == (2, b"")
    assert ended.err.startswith(b"autolog run: ")


def test_help_names_every_option(folder: Path) -> None:
    ended = run((*LAUNCHED, "--help"), folder)
    assert (ended.code, ended.err) == (0, b"")
    for option in (b"--experiment", b"--name", b"--store", b"--tag", b"--exclude", b"-m MODULE"):
        assert option in ended.out


def test_options_are_taken_before_the_program_only(folder: Path) -> None:
    write(folder, "import sys, os; print(sys.argv, sorted(os.environ))")
    options = ("--experiment=e", "--name", "n", "--tag", "a=b", "--tag=c=d=e", "--exclude=sklearn")
    launched = run((*LAUNCHED, *options, "program.py", "--name", "x"), folder)
    assert launched == run((*PLAIN, "program.py", "--name", "x"), folder)


def test_the_installed_command_runs_a_program_the_same(folder: Path) -> None:
    write(folder, MIRROR + "\n1 / 0")
    command = str(Path(sys.executable).with_name("autolog"))
    plain = run((*PLAIN, "program.py", "a"), folder)
    assert run((command, "run", "program.py", "a"), folder) == plain


# --- what is recorded ------------------------------------------------------------------------

TRAINING = """
import sys
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB
X, y = load_iris(return_X_y=True)
print(GaussianNB().fit(X, y).score(X, y))
sys.exit(int(sys.argv[1]))
"""

LOOP = """
import autolog, sys
run = autolog.start_run()
run.log_metric("loss", 0.5)
{end}
"""

LIST = """
import autolog, json
rows = [(r.name, r.status, r.experiment, r.tags) for r in autolog.search_runs()]
print(json.dumps(rows))
"""


def recorded(folder: Path) -> list[list[Any]]:
    done = run((*PLAIN, "-c", LIST), folder)
    assert done.code == 0, done.err.decode()
    return json.loads(done.out)


def test_a_training_prints_the_same_and_is_recorded_under_the_given_names(folder: Path) -> None:
    write(folder, TRAINING)
    options = ("--experiment", "flowers", "--name", "first", "--tag", "owner=me")
    plain = run((*PLAIN, "program.py", "3"), folder)
    assert run((*LAUNCHED, *options, "program.py", "3"), folder) == plain
    assert plain.code == 3
    ((name, status, experiment, tags),) = recorded(folder)
    assert (name, status, experiment) == ("first", "FINISHED", "flowers")
    assert tags["owner"] == "me"


def test_an_excluded_framework_is_not_recorded(folder: Path) -> None:
    write(folder, TRAINING)
    assert run((*LAUNCHED, "--exclude", "sklearn", "program.py", "0"), folder).code == 0
    assert recorded(folder) == []


def test_the_store_option_says_where_it_is_recorded(folder: Path) -> None:
    write(folder, TRAINING)
    assert run((*LAUNCHED, "--store", str(folder / "mine"), "program.py", "0"), folder).code == 0
    assert recorded(folder) == []
    done = run((*PLAIN, "-c", LIST), folder, AUTOLOG_STORE=str(folder / "mine"))
    assert len(json.loads(done.out)) == 1


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", "FINISHED"),
        ("sys.exit(0)", "FINISHED"),
        ("sys.exit(3)", "FAILED"),
        ("sys.exit('no')", "FAILED"),
        ("1 / 0", "FAILED"),
        ("raise KeyboardInterrupt", "KILLED"),
    ],
)
def test_a_run_left_open_gets_the_state_that_the_program_ended_with(
    folder: Path, end: str, status: str
) -> None:
    write(folder, LOOP.format(end=end))
    run((*LAUNCHED, "program.py"), folder)
    assert [row[1] for row in recorded(folder)] == [status]


@pytest.mark.parametrize("name", ["msgspec", "wrapt", "packaging"])  # joblib needs cloudpickle
def test_a_file_named_like_a_dependency_of_ours_is_the_programs_and_recording_goes_on(
    folder: Path, name: str
):
    write(folder, "print('the program\\'s own')\nVALUE = 1\n", f"{name}.py")
    source = (
        "import sys\n"
        "from sklearn.linear_model import Ridge\n"
        "class Mine(Ridge): pass\n"
        f"print('{name}' in sys.modules)\n"
        "Mine().fit([[0.0], [1.0]], [0.0, 1.0])\n"
        f"import {name}\n"
        f"print({name}.VALUE)\n"
    )
    write(folder, source)
    ended = run((*LAUNCHED, "program.py"), folder)
    assert (ended.code, ended.err) == (0, b"")
    assert ended.out.splitlines()[-2:] == [b"the program's own", b"1"]
    from autolog.tracking.reading import open_store

    store = open_store(str(folder.parent / "store"))
    try:
        (found,) = store.runs().runs
    finally:
        store.close()
    assert (found.status, found.logging_errors) == ("FINISHED", [])
