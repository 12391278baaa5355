"""`autolog compat outdated`, against a package index that the tests serve."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from autolog.cli.commands import cli
from tests.compat.index_server import JSON, PackageIndex, serve, wheel

OURS = """\
schema: 1
frameworks:
"""
FRAMEWORK = """\
  {name}:
    integration: autolog_{name}
    distributions: [{distributions}]
    modules: [{name}]
    supported: ">=1,<3"
    because: it is so
    logs: {{params: all, series: each, evaluations: all, data: shapes, model: native}}
    latest_known: "1.4.1"
    tested:
      - {{version: "1.3.0", python: "3.13", tier: full}}
      - {{version: "1.4.1", python: "3.12", {more}tier: commit}}
"""
FILE = OURS + FRAMEWORK.format(name="toy", distributions="toy", more="")
FILE += FRAMEWORK.format(
    name="twin", distributions="twin, twin-cpu", more='distribution: twin-cpu, with: ["numpy<2"], '
)

Outdated = Callable[..., Result]


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    """An index that has what the matrix knows, and nothing of it is new."""
    with serve() as found:
        for name in ("toy", "twin", "twin-cpu"):
            found.files[name] = [wheel(name, "1.3.0"), wheel(name, "1.4.1")]
        yield found


@pytest.fixture
def outdated(index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outdated:
    """Run the command on a matrix of two frameworks, in this process."""
    path = tmp_path / "compat_matrix.yaml"
    path.write_text(FILE)
    # The matrix is all that is in force: the override leaves the frameworks that it does not name.
    monkeypatch.setattr("autolog._compat_data.DATA", {})
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.setenv("AUTOLOG_COMPAT_MATRIX", str(path))

    def run(*words: str) -> Result:
        return CliRunner().invoke(cli, ["compat", "outdated", *words])

    return run


def test_what_is_known_is_up_to_date(outdated: Outdated, index: PackageIndex) -> None:
    found = outdated()
    assert found.exit_code == 0, found.output
    assert found.stdout == f"# 2 frameworks compared with {index.url}: up to date\n"


def test_a_new_minor_is_a_row_that_can_be_pasted(
    outdated: Outdated, index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.files["toy"] += [wheel("toy", "1.5.0"), wheel("toy", "1.5.2"), wheel("toy", "2.0.0")]
    found = outdated()
    assert found.exit_code == 1
    lines = found.stdout.splitlines()
    assert lines[1:5] == [
        '    latest_known: "2.0.0"',
        "    tested:",
        '      - {version: "1.5.2", python: "3.13", tier: full}',
        '      - {version: "2.0.0", python: "3.13", tier: full}',
    ]
    added = yaml.safe_load("toy:\n" + "\n".join(lines[1:5]))["toy"]
    text = FILE.replace('latest_known: "1.4.1"', lines[1].strip(), 1)
    path = tmp_path / "brought_up_to_date.yaml"
    path.write_text(text.replace("    tested:\n", "\n".join([*lines[2:5], ""]), 1))
    monkeypatch.setenv("AUTOLOG_COMPAT_MATRIX", str(path))
    assert added["latest_known"] == "2.0.0"
    assert outdated().exit_code == 0, "the file with the rows added is up to date"


def test_packages_numbered_each_in_its_own_way_are_compared_each_with_its_own(
    outdated: Outdated, index: PackageIndex, tmp_path: Path
) -> None:
    each = 'latest_known: {twin: "2.0.0", twin-cpu: "1.4.1"}'
    head, twin = FILE.split("  twin:")
    both = twin.replace('latest_known: "1.4.1"', each)
    path = tmp_path / "compat_matrix.yaml"
    path.write_text(f"{head}  twin:{both}")
    index.files["twin"] += [wheel("twin", "2.0.0")]
    assert outdated().exit_code == 0
    index.files["twin-cpu"] += [wheel("twin-cpu", "1.5.0")]
    found = outdated()
    assert found.exit_code == 1
    row = (
        '{version: "1.5.0", python: "3.13", distribution: twin-cpu, with: ["numpy<2"], tier: full}'
    )
    assert found.stdout.splitlines()[:4] == [
        "  twin:  # twin-cpu 1.5.0 is newer than twin 2.0.0, twin-cpu 1.4.1",
        '    latest_known: {twin: "2.0.0", twin-cpu: "1.5.0"}',
        "    tested:",
        f"      - {row}",
    ]


def test_a_patch_of_a_tested_minor_takes_the_place_of_its_row(
    outdated: Outdated, index: PackageIndex
) -> None:
    index.files["toy"] += [wheel("toy", "1.4.3")]
    found = outdated()
    assert '{version: "1.4.3", python: "3.13", tier: full}  # instead of 1.4.1\n' in found.stdout


@pytest.mark.parametrize(
    "file",
    [
        wheel("toy", "1.5.0", yanked="broken"),
        wheel("toy", "1.5.0rc1"),
        wheel("toy", "1.5.0.dev3"),
        {**wheel("toy", "1.5.0"), "filename": "toy-1.5.0.exe"},
    ],
    ids=["yanked", "candidate", "development", "unknown"],
)
def test_what_does_not_count_is_left_out(
    outdated: Outdated, index: PackageIndex, file: dict[str, object]
) -> None:
    index.files["toy"].append(file)
    assert outdated().exit_code == 0


def test_a_release_counts_two_days_after_its_first_file(
    outdated: Outdated, index: PackageIndex
) -> None:
    index.files["toy"].append(wheel("toy", "1.5.0", days=1.9))
    found = outdated()
    assert found.exit_code == 0
    assert "1.5.0 waits: released 1 d ago" in found.stdout
    assert outdated("--cooldown", "1").exit_code == 1
    # A wheel for another platform was there earlier.
    index.files["toy"].append(wheel("toy", "1.5.0", "cp313-cp313-win_amd64", days=2.1))
    assert outdated().exit_code == 1


@pytest.mark.parametrize(
    ("tags", "requires", "python"),
    [
        ("py3-none-any", ">=3.9", "3.13"),
        ("py3-none-any", ">=3.9,<3.13", "3.12"),
        ("cp312-cp312-manylinux_2_28_x86_64", ">=3.9", "3.12"),
        ("cp39-abi3-manylinux_2_28_x86_64", ">=3.9", "3.13"),
        ("py2.py3-none-manylinux1_x86_64", ">=3.9.2", "3.13"),
        ("cp313-cp313-macosx_11_0_arm64", ">=3.9,<3.13", "3.12"),  # none for Linux: it is built
        ("cp314-cp314-manylinux_2_28_x86_64", ">=3.14", "3.14"),
    ],
)
def test_the_python_is_the_newest_that_metadata_and_wheels_admit(
    outdated: Outdated, index: PackageIndex, tags: str, requires: str, python: str
) -> None:
    index.files["toy"].append(wheel("toy", "1.5.0", tags, python=requires))
    assert f'python: "{python}"' in outdated().stdout


def test_the_distribution_is_the_one_that_was_tested_last(
    outdated: Outdated, index: PackageIndex
) -> None:
    for name in ("twin", "twin-cpu"):
        index.files[name].append(wheel(name, "1.5.0"))
    index.files["twin"].append(wheel("twin", "1.6.0"))
    rows = outdated().stdout
    pins = 'with: ["numpy<2"]'
    assert f'{{version: "1.5.0", python: "3.13", distribution: twin-cpu, {pins}, tier' in rows
    assert f'{{version: "1.6.0", python: "3.13", {pins}, tier: full}}' in rows


def test_a_release_outside_of_the_range_is_told_without_a_row(
    outdated: Outdated, index: PackageIndex
) -> None:
    index.files["toy"].append(wheel("toy", "3.0.0"))
    found = outdated()
    assert found.exit_code == 1
    assert "# 3.0.0 is outside the supported >=1,<3" in found.stdout
    assert "tested:" not in found.stdout


def test_an_index_without_times_marks_what_it_proposes(
    outdated: Outdated, index: PackageIndex
) -> None:
    index.pages = True
    index.files["toy"].append(wheel("toy", "1.5.0", python=">=3.9,<3.13"))
    found = outdated()
    assert found.exit_code == 1
    assert '{version: "1.5.0", python: "3.12", tier: full}  # age unknown\n' in found.stdout
    assert "tells no times of upload" in found.stdout


def test_json_says_the_same(outdated: Outdated, index: PackageIndex) -> None:
    index.files["toy"] += [wheel("toy", "1.5.0"), wheel("toy", "1.6.0", days=1)]
    found = json.loads(outdated("--json").stdout)
    toy, twin = found["frameworks"]
    assert (found["index"], found["outdated"], found["cooldown_days"]) == (index.url, True, 2.0)
    assert (toy["outdated"], toy["newest"], list(toy["waiting"])) == (True, "1.5.0", ["1.6.0"])
    assert [row["version"] for row in toy["rows"]] == ["1.5.0"]
    assert twin["outdated"] is False


def test_a_distribution_that_the_index_lacks_is_told(
    outdated: Outdated, index: PackageIndex
) -> None:
    del index.files["twin-cpu"]
    found = outdated()
    assert found.exit_code == 0
    assert f"twin-cpu is not on {index.url}" in found.stdout


def test_a_framework_that_the_index_lacks_is_not_up_to_date(
    outdated: Outdated, index: PackageIndex
) -> None:
    index.files["toy"].append(wheel("toy", "1.5.0"))
    del index.files["twin"], index.files["twin-cpu"]
    found = outdated()
    assert found.exit_code == 2
    assert f"Error: {index.url} has no release of twin" in found.stderr
    assert '"1.5.0"' in found.stdout, "the others are judged all the same"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, "application/vnd.pypi.simple.v1+json", "{oops"), "cannot be read: it is no JSON"),
        ((200, "application/vnd.pypi.simple.v1+json", '{"files": 3}'), "cannot be read"),
        ((200, "image/png", "png"), "cannot be read: it is image/png"),
        ((200, JSON, "[" * 100_000), "cannot be read: RecursionError"),
        ((503, "text/plain", "later"), "answers 503 Service Unavailable when asked for toy"),
    ],
)
def test_an_answer_that_is_none_ends_with_2(
    outdated: Outdated, index: PackageIndex, answer: tuple[int, str, str], said: str
) -> None:
    index.raw["toy"] = answer
    found = outdated("--json")
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith("Error: ")
    assert said in found.stderr


@pytest.mark.parametrize(
    "page",
    [
        "<html><form action=/login>Please log in</form><a href=/help>Help</a></html>",
        "",
        "<!DOCTYPE html><html><body><a href='toy.exe'>toy.exe</a>",
    ],
)
def test_a_page_without_files_is_not_up_to_date(
    outdated: Outdated, index: PackageIndex, page: str
) -> None:
    index.raw = dict.fromkeys(("toy", "twin", "twin-cpu"), (200, "text/html", page))
    found = outdated()
    assert found.exit_code == 2
    assert "has no release of toy, twin" in found.output


def test_a_time_without_a_zone_is_of_utc(outdated: Outdated, index: PackageIndex) -> None:
    file = wheel("toy", "1.5.0")
    file["upload-time"] = file["upload-time"].removesuffix("Z")
    index.files["toy"] += [file, {**wheel("toy", "1.5.0", "cp310-abi3-any"), "size": 1}]
    found = outdated()
    assert (found.exit_code, 'latest_known: "1.5.0"' in found.stdout) == (1, True), found.output


def test_an_index_that_sends_around_in_circles_ends_with_2(
    outdated: Outdated, index: PackageIndex
) -> None:
    index.moved["toy"] = f"{index.url}toy/"
    found = outdated()
    assert (found.exit_code, "TooManyRedirects" in found.output) == (2, True)


def test_an_index_that_cannot_be_reached_ends_with_2(outdated: Outdated) -> None:
    found = outdated("--index-url", "http://me:secret@127.0.0.1:9/simple?token=hidden")
    assert (found.exit_code, found.stdout) == (2, "")
    assert "http://127.0.0.1:9/simple cannot be reached: no connection" in found.stderr
    assert "secret" not in found.stderr
    assert "hidden" not in found.stderr


def test_a_folder_is_no_index(outdated: Outdated) -> None:
    found = outdated("--index-url", "file:///somewhere/simple")
    assert found.exit_code == 2
    assert "no package index on the web" in found.stderr


def test_credentials_are_used_and_never_shown(outdated: Outdated, index: PackageIndex) -> None:
    del index.files["twin-cpu"]
    found = outdated("--index-url", index.url.replace("//", "//me:s%40cret@"))
    assert index.asked[0] == ("/simple/toy/", "me:s@cret")
    assert "cret" not in found.output
    index.raw["toy"] = (401, "text/plain", "who are you")
    found = outdated("--index-url", index.url.replace("//", "//me:s%40cret@"))
    assert "answers 401 Unauthorized" in found.stderr
    assert "cret" not in found.output


@pytest.mark.parametrize(
    "address",
    [
        "me:secret@127.0.0.1:9/simple",
        "https:/me:secret@127.0.0.1:9",
        "https://me:se/secret@127.0.0.1:9",
        "https://me:se#secret@127.0.0.1:9",
        "https://me:se?secret@127.0.0.1:9",
        "https://m[e:secret@127.0.0.1:9",
        "http://127.0.0.1:9/simple?token=se@secret",
        "http://me:9/secret@127.0.0.1:9/simple",
    ],
)
def test_credentials_in_a_broken_address_are_not_shown(
    outdated: Outdated, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", address)
    found = outdated("--json")
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith("Error: ")
    assert "secret" not in found.stderr
    assert "me:" not in found.stderr


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_the_index_of_uv_is_asked(
    outdated: Outdated, index: PackageIndex, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv(name, index.url)
    assert index.url in outdated().stdout


def test_the_index_of_pips_configuration_is_asked(
    outdated: Outdated, index: PackageIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {index.url}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    from autolog.compat import index as asking

    asking.pip_config.cache_clear()
    try:
        assert index.url in outdated().stdout
    finally:
        asking.pip_config.cache_clear()


def test_without_its_client_the_message_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pypi_simple.py").write_text("raise ModuleNotFoundError('pypi_simple')")
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop())\n"
        "from autolog.cli.commands import cli\ncli(['compat', 'outdated'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install pypi-simple" in done.stderr
    assert "Traceback" not in done.stderr
