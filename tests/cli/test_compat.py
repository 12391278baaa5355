"""`autolog compat list` and `show`; `outdated` has tests beside its package index."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autolog._compat_data import DATA
from autolog.compat.known import in_words
from tests.cli.conftest import Invoke


@pytest.mark.parametrize("words", [(), ("list",)])
def test_frameworks_are_listed_with_their_range_and_why(
    words: tuple[str, ...], empty: Path, invoke: Invoke
) -> None:
    found = invoke("compat", *words, store=empty)
    assert found.exit_code == 0
    text = " ".join(found.stdout.split())
    for name, data in DATA.items():
        assert name in text
        assert data["because"] in text
        assert f"newest known {in_words(data['latest_known'])}" in text
        assert all(row["version"] in text for row in data["tested"])


def test_json_of_the_list_is_the_matrix(empty: Path, invoke: Invoke) -> None:
    found = json.loads(invoke("compat", "list", "--json", store=empty).stdout)
    assert found["problems"] == {}
    assert {one["framework"] for one in found["frameworks"]} == DATA.keys()
    (torch,) = [one for one in found["frameworks"] if one["framework"] == "torch"]
    assert torch["from"] == "autolog"
    assert torch["tested"][0].keys() >= {"version", "python", "tier", "pins"}
    assert json.loads(invoke("compat", "--json", store=empty).stdout) == found


@pytest.mark.parametrize("name", ["sklearn", "scikit-learn"])
def test_everything_of_a_framework_is_shown(name: str, empty: Path, invoke: Invoke) -> None:
    found = invoke("compat", "show", name, store=empty)
    assert found.exit_code == 0
    text = " ".join(found.stdout.split())
    data = DATA["sklearn"]
    for row in data["tested"]:
        assert f"{row['version']} {row['python']} {row['tier']}" in text
    for quirk in data["quirks"]:
        assert f"{quirk['id']} {quirk['when']} {quirk['symptom']} guard: {quirk['guard']}" in text
    for when, needs, because in data["co_pins"]:
        assert f"{when} {needs} {because}" in text
    for topic, phrase in data["logs"].items():
        assert f"{topic} {phrase}" in text


def test_a_reported_quirk_has_its_link(empty: Path, invoke: Invoke) -> None:
    links = [quirk["upstream"] for quirk in DATA["xgboost"]["quirks"] if quirk["upstream"]]
    assert links
    text = invoke("compat", "show", "xgboost", store=empty).stdout
    assert all(f"reported: {link}" in text for link in links)
    found = json.loads(invoke("compat", "show", "xgboost", "--json", store=empty).stdout)
    assert [quirk["upstream"] for quirk in found["quirks"] if quirk["upstream"]] == links


def test_an_unknown_framework_is_wrong_usage(empty: Path, invoke: Invoke) -> None:
    found = invoke("compat", "show", "sklaern", store=empty)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "no framework 'sklaern'. Did you mean 'sklearn'?" in found.stderr


def test_json_in_front_of_a_command_is_wrong_usage(empty: Path, invoke: Invoke) -> None:
    found = invoke("compat", "--json", "show", "sklearn", store=empty)
    assert found.exit_code == 2
    assert "autolog compat show --json" in found.stderr


@pytest.mark.parametrize("name", ["list", "show", "outdated"])
def test_each_command_has_help_json_and_examples(name: str, empty: Path, invoke: Invoke) -> None:
    found = invoke("compat", name, "--help", store=empty)
    assert found.exit_code == 0
    for text in ("--json", "Examples:", f"autolog compat {name}"):
        assert text in found.stdout
    assert "xit code" in found.stdout


def test_no_framework_and_no_yaml_is_imported() -> None:
    program = (
        "import sys\nfrom autolog.cli.commands import cli\n"
        "for words in (['compat'], ['compat', 'show', 'keras']):\n"
        "    cli(words, standalone_mode=False)\n"
        "print(sorted({'yaml', 'sklearn', 'keras', 'torch', 'sqlalchemy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_help_of_each_command_names_the_other(
    empty: Path, invoke: Invoke, capsys: pytest.CaptureFixture[str]
) -> None:
    from autolog.compat.__main__ import main

    users = invoke("compat", "--help", store=empty).stdout
    assert "python -m autolog.compat` (compile, check, matrix)" in users
    with pytest.raises(SystemExit):
        main(["--help"])
    developers = capsys.readouterr().out
    assert "`autolog compat` (list, show, outdated)" in developers
    for word in ("    matrix ", "--package NAME", "130 matrix was stopped"):
        assert word in developers, word
