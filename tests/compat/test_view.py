"""What the run time makes of a version: supported, guards, strategies, one line for the user."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from autolog.compat.data import MatrixData
from autolog.compat.ranges import contains, release_of
from autolog.compat.view import installed_version, matches, resolve
from autolog.errors import SettingsError


def quirk(id_: str, when: str, guard: str) -> dict[str, str]:
    return {
        "id": id_,
        "when": when,
        "guard": guard,
        "symptom": "s",
        "fails_with": "AssertionError",
        "test": "t",
    }


DATA: MatrixData = {
    "toy": {
        "distributions": ("no-such-distribution", "packaging"),
        "modules": ("toy",),
        "supported": ">=1.2,<3",
        "because": "it is so",
        "on_unsupported": "warn",
        "latest_known": "2.5",
        "tested": (),
        "strategies": {"loop": ((">=2", "callbacks"), (">=1", "patches"))},
        "quirks": (
            quirk("toy-old", "<2", "old_guard"),
            quirk("toy-new", ">=2", "new_guard"),
            quirk("toy-new-too", ">=2.4", "new_guard"),
            quirk("toy-structure", ">=1", "engine"),
        ),
        "co_pins": (),
        "logs": {},
    }
}


def view(version: object):
    return resolve("toy", SimpleNamespace(__version__=version), data=DATA)


def test_a_tested_version_has_its_guards_and_strategies_and_no_note() -> None:
    seen = view("1.9")
    assert (seen.supported, seen.known, seen.note) == (True, True, None)
    assert seen.guards == {"old_guard"}
    assert seen.quirks == ("toy-old", "toy-structure")
    assert seen.strategies == {"loop": "patches"}


def test_packages_numbered_each_in_its_own_way_are_each_newer_than_their_own_newest() -> None:
    both: MatrixData = {
        "toy": {
            **DATA["toy"],
            "distributions": ("toy", "old-toy"),
            "modules": ("toy", "old_toy"),
            "latest_known": {"toy": "2.5", "old-toy": "1.2"},
        }
    }

    def note(module: str, version: str) -> str | None:
        there = SimpleNamespace(__version__=version, __name__=module)
        return resolve("toy", there, data=both).note

    assert (note("toy", "2.5"), note("old_toy", "1.2")) == (None, None)
    assert note("old_toy", "1.3") == ("toy 1.3 is newer than 1.2, the newest that autolog has seen")
    assert note("toy", "2.6") == "toy 2.6 is newer than 2.5, the newest that autolog has seen"
    assert "treated as 1.2" in (note("old_toy", "unknown") or "")


def test_a_newer_tf_keras_is_told_of() -> None:
    there = SimpleNamespace(__version__="2.99.0", __name__="tf_keras")
    assert not resolve("keras", there).known
    assert resolve("keras", SimpleNamespace(__version__="2.16.0", __name__="tf_keras")).known


@pytest.mark.parametrize("version", ["2.0rc1", "2.0.dev3+git.abc", "2.0+cpu", "2.0.post1", "2.0a1"])
def test_pre_releases_and_local_parts_count_as_their_release(version: str) -> None:
    seen = view(version)
    assert (seen.supported, seen.known, seen.guards) == (True, True, {"new_guard"})
    assert seen.version == version


def test_a_version_object_is_read_by_its_text() -> None:
    class TorchVersion(str):
        __slots__ = ()

    assert view(TorchVersion("1.5")).guards == {"old_guard"}


def test_newer_than_known_is_supported_with_a_note() -> None:
    seen = view("2.6")
    assert (seen.supported, seen.known) == (True, False)
    assert seen.note is not None
    assert "newer than 2.5" in seen.note


@pytest.mark.parametrize("version", ["1.1", "3.0", "3.0rc1"])
def test_outside_the_range_the_note_names_range_and_off_switch(version: str) -> None:
    seen = view(version)
    assert not seen.supported
    assert seen.note is not None
    assert ">=1.2,<3" in seen.note
    assert "exclude='toy'" in seen.note


@pytest.mark.parametrize(
    ("version", "guards", "strategy"),
    [("1.0", {"old_guard"}, "patches"), ("3.4", {"new_guard"}, "callbacks")],
)
def test_outside_the_range_the_guards_are_those_of_its_nearest_edge(
    version: str, guards: set[str], strategy: str
) -> None:
    seen = view(version)
    assert (seen.supported, seen.guards) == (False, guards)
    assert seen.strategies["loop"] == strategy


def test_every_guard_at_the_edge_of_our_ranges_is_on_below_it() -> None:
    for version in ("2.3.1", "2.4.0"):
        assert "outside_graphs" in resolve("torch", SimpleNamespace(__version__=version)).guards


def test_an_unreadable_version_is_the_newest_known_with_a_note() -> None:
    seen = view("main-abc123")
    assert (seen.supported, seen.known, seen.guards) == (True, True, {"new_guard"})
    assert seen.note is not None
    assert "'main-abc123' cannot be read" in seen.note


def test_without_a_version_attribute_the_first_installed_distribution_counts() -> None:
    seen = resolve("toy", SimpleNamespace(), data=DATA)
    assert seen.version == metadata.version("packaging")
    assert installed_version(None, ("no-such-distribution",)) is None


class Lazy:
    """A module whose attributes are made when they are asked for."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"{name} is not there yet")


class Shy:
    def __str__(self) -> str:
        raise ValueError("not now")


def test_a_version_that_raises_counts_as_missing() -> None:
    for module in (Lazy(), SimpleNamespace(__version__=Shy())):
        assert installed_version(module, ("packaging",)) == metadata.version("packaging")
        assert installed_version(module) is None


def test_metadata_that_is_broken_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in {"broken_one": b"\xff\xfe", "broken_two": b"Name: broken-two\n"}.items():
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_version(None, ("broken-one", "broken-two")) is None


def test_a_framework_without_a_matrix_is_supported_without_guards() -> None:
    seen = resolve("unheard_of", SimpleNamespace(__version__="7"))
    assert (seen.supported, seen.known, seen.guards, seen.note) == (True, True, frozenset(), None)
    assert resolve("unheard_of", None, distributions=("packaging",)).version


def test_a_site_declared_for_some_versions_asks_the_base_version() -> None:
    assert view("2.0rc1").matches(">=2")
    assert not view("1.9").matches(">=2")
    assert view("1.9").matches(None)
    assert matches("not a version", ">=2")


def test_unguard_switches_off_the_guard_of_the_named_quirk_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTOLOG_UNGUARD", "toy-new,other-quirk")
    assert view("2.4").guards == frozenset()
    assert view("1.9").guards == {"old_guard"}


def test_an_override_replaces_the_built_in_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("""
schema: 1
frameworks:
  toy:
    integration: autolog_toy
    distributions: [toy]
    modules: [toy]
    supported: ">=9"
    because: it is so
    logs: {params: all, series: each, evaluations: all, data: shapes, model: native}
    latest_known: "9"
    tested: [{version: "9", python: "3.12", tier: full}]
""")
    monkeypatch.setenv("AUTOLOG_COMPAT_MATRIX", str(path))
    assert not view("2.0").supported
    assert resolve("sklearn", None).supported


def test_an_override_that_cannot_be_used_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLOG_COMPAT_MATRIX", "/nowhere/matrix.yaml")
    with pytest.raises(SettingsError, match=r"/nowhere/matrix\.yaml cannot be read"):
        view("2.0")


def test_an_override_may_begin_at_home_and_is_named_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for named in ("~/mine.yaml", "mine.yaml"):
        monkeypatch.setenv("AUTOLOG_COMPAT_MATRIX", named)
        with pytest.raises(SettingsError, match=f"^{tmp_path}/mine.yaml cannot be read"):
            view("2.0")


def test_the_built_in_matrix_needs_no_yaml_and_no_msgspec() -> None:
    program = """
import sys
from autolog.compat.view import resolve
seen = resolve("sklearn")
assert seen.supported, seen
assert not {"yaml", "msgspec", "sklearn"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# --- ranges ----------------------------------------------------------------------------------

_NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=4)
_TEXTS = _NUMBERS.map(lambda numbers: ".".join(map(str, numbers)))


@given(
    version=_TEXTS,
    clauses=st.lists(
        st.tuples(st.sampled_from([">=", "<=", "==", "!=", ">", "<", "~=", "==*", "!=*"]), _TEXTS),
        max_size=3,
    ),
)
def test_plain_releases_compare_as_packaging_compares_them(version, clauses):
    specifier = ",".join(
        f"{sign}{text}.0"
        if sign == "~="
        else f"{sign[:2]}{text}{'.*' if sign.endswith('*') else ''}"
        for sign, text in clauses
    )
    release = release_of(version)
    assert release is not None
    if specifier:
        assert contains(specifier, release) == (Version(version) in SpecifierSet(specifier))


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("2.13.0+cpu", (2, 13)),
        ("2.15.0rc1", (2, 15)),
        ("1.4.post1", (1, 4)),
        ("nightly", None),
        ("1." + "9" * 5000, None),
    ],
)
def test_a_version_belongs_to_its_base_release(version, release):
    assert release_of(version) == release


def test_the_built_in_matrix_is_judged_without_packaging() -> None:
    program = """
import sys
from autolog._compat_data import DATA
from autolog.compat.view import resolve
for name in DATA:
    resolve(name)
assert "packaging" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_number_that_python_does_not_read_is_no_version() -> None:
    assert release_of("1." + "9" * 5000) is None
    assert release_of("1." + "9" * 5000 + "rc1") is None
