"""The command line as a whole: help, version, exit codes, streams."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import autolog
from tests.cli.conftest import Invoke
from tests.cli.recording import command, environment, python

COMMANDS = ("ls", "show", "export", "import", "gc", "store", "status", "doctor", "demo")


def in_terminal(*words: str, store: Path, cwd: Path, **env: str) -> str:
    """Run a command in a terminal of 80 columns and return what it wrote there."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "autolog", *words],
        cwd=cwd,
        env=environment(store, TERM="xterm-256color", COLUMNS="80", **env),
        stdin=side,
        stdout=side,
        stderr=side,
    )
    os.close(side)
    written = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # Linux says so when the last writer has gone
            break
        if not piece:
            break
        written += piece
    os.close(main)
    assert process.wait(60) == 0
    return written.decode()


def test_help_lists_the_commands_in_groups_with_examples(empty: Path, invoke: Invoke) -> None:
    out = invoke("--help", store=empty).stdout
    for text in ("Record:", "Look:", "Check:", "autolog run train.py", "autolog ls --tree"):
        assert text in out
    assert all(f"\n  {name} " in out for name in (*COMMANDS, "run"))
    assert "Exit codes" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_json_an_example_and_a_store(
    name: str, empty: Path, invoke: Invoke
) -> None:
    result = invoke(name, "--help", store=empty)
    assert result.exit_code == 0
    for text in ("--json", "--store", "Examples:", f"autolog {name}"):
        assert text in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_help_and_version_import_neither_a_database_nor_rich(empty: Path, tmp_path: Path) -> None:
    for option in ("--help", "--version"):
        program = (
            "import sys\n"
            "from autolog.cli.commands import cli\n"
            f"cli([{option!r}], standalone_mode=False)\n"
            "print(sorted({'sqlalchemy', 'numpy', 'rich', 'msgspec'} & set(sys.modules)))\n"
        )
        done = python("-c", program, store=empty, cwd=tmp_path)
        assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_version_is_printed(empty: Path, tmp_path: Path) -> None:
    done = command("--version", store=empty, cwd=tmp_path)
    assert done.stdout == f"autolog {autolog.__version__}\n"


def test_run_is_the_launcher_wherever_it_is_called_from(empty: Path, tmp_path: Path) -> None:
    done = python(
        "-c",
        "from autolog.cli.commands import cli; cli(['run', '--help'])",
        store=empty,
        cwd=tmp_path,
    )
    assert done.stdout.startswith("Usage: autolog run [OPTIONS] SCRIPT")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lss",), "Did you mean 'ls'?"),
        (("ls", "--nonsense"), "--nonsense"),
        (("ls", "--limit", "0"), "0"),
        (("ls", "--status", "DONE"), "DONE"),
        (("show",), "RUN"),
        (("ls", "--store", "ftp://x"), "unknown store scheme 'ftp'"),
    ],
)
def test_a_command_line_without_sense_ends_with_2(
    words: tuple[str, ...], said: str, empty: Path, invoke: Invoke
) -> None:
    result = invoke(*words, store=empty)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_an_error_is_one_line_on_stderr_without_a_traceback(tmp_path: Path) -> None:
    store = tmp_path / "text.db"
    store.write_text("this is no database, whatever its name is" * 50)
    for name in ("ls", "status"):
        done = command(name, "--json", store=store, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert "Traceback" not in done.stderr
        assert str(store) in done.stderr


@pytest.mark.parametrize("words", [("ls",), ("ls", "--json"), ("show", "child-one"), ("status",)])
def test_a_reader_that_has_gone_is_no_reason_for_noise(
    words: tuple[str, ...], recorded: Path, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "autolog", *words],
        cwd=tmp_path,
        env=environment(recorded),
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 1


def test_a_terminal_gets_colours_unless_no_color_is_set(recorded: Path, tmp_path: Path) -> None:
    coloured = in_terminal("ls", store=recorded, cwd=tmp_path)
    assert "\x1b[32mFINISHED" in coloured
    plain = in_terminal("ls", store=recorded, cwd=tmp_path, NO_COLOR="1")
    assert "\x1b[32m" not in plain
    assert "FINISHED" in plain


@pytest.mark.parametrize("words", [("ls", "--json"), ("show", "child-one", "--json")])
def test_json_has_no_colours_even_in_a_terminal(
    words: tuple[str, ...], recorded: Path, tmp_path: Path
) -> None:
    assert "\x1b" not in in_terminal(*words, store=recorded, cwd=tmp_path)


@pytest.mark.parametrize("words", [("ls",), ("show", "läufe 🚀"), ("status",), ("doctor",)])
def test_nothing_in_a_pipe_is_coloured(
    words: tuple[str, ...], recorded: Path, tmp_path: Path
) -> None:
    done = command(*words, store=recorded, cwd=tmp_path, TERM="xterm-256color")
    assert "\x1b" not in done.stdout + done.stderr
    assert done.returncode == 0
