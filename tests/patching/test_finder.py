"""Callbacks after imports, and imports that are what they would be without us."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import textwrap
import threading
import traceback

import pytest

from autolog.patching import ModuleWatch


@pytest.fixture
def watch():
    faults = []
    watch = ModuleWatch(on_fault=lambda name, error: faults.append((name, repr(error))))
    watch.seen_faults = faults
    yield watch
    assert watch not in sys.meta_path


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Write modules into a folder on the path; those imported are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(files=(), **modules):
        for name, source in {**dict(files), **modules}.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return tmp_path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_watched_module_is_called_back_after_it_ran(watch, library):
    library(cogwheel="value = 1\n")
    seen = []
    unwatch = watch.watch("cogwheel", lambda module: seen.append((module, module.value)))
    assert seen == []
    import cogwheel

    assert seen == [(cogwheel, 1)]
    unwatch()
    unwatch()


def test_an_imported_module_is_called_back_at_once(watch):
    seen = []
    watch.watch("json", seen.append)()
    assert seen == [sys.modules["json"]]


def test_the_module_runs_with_its_own_loader(watch, library):
    library(cogwheel="loader, spec_loader = __loader__, __spec__.loader\n")
    unwatch = watch.watch("cogwheel", lambda module: None)
    import cogwheel

    kinds = {type(cogwheel.loader), type(cogwheel.spec_loader), type(cogwheel.__loader__)}
    assert kinds == {importlib.machinery.SourceFileLoader}
    assert cogwheel.__spec__.loader is cogwheel.__loader__ is cogwheel.loader
    unwatch()


def test_a_spec_that_is_only_looked_up_serves_as_before(watch, library):
    library(cogwheel="value = 1\n")
    unwatch = watch.watch("cogwheel", lambda module: None)
    spec = importlib.util.find_spec("cogwheel")
    assert isinstance(spec.loader, importlib.machinery.SourceFileLoader)
    assert spec.loader.get_source("cogwheel") == "value = 1\n"
    assert "cogwheel" not in sys.modules
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.value == 1
    assert type(module.__loader__) is importlib.machinery.SourceFileLoader
    unwatch()


def test_submodules_and_packages_are_called_back(watch, library):
    library({"kit/__init__": "", "kit/part": "value = 2\n"})
    seen = []
    ends = [watch.watch(name, lambda m: seen.append(m.__name__)) for name in ("kit.part", "kit")]
    import kit.part

    assert seen == ["kit", "kit.part"]
    assert kit.part.value == 2
    for end in ends:
        end()


def test_a_reload_is_called_back_again(watch, library):
    library(cogwheel="class Model: pass\n")
    seen = []
    unwatch = watch.watch("cogwheel", lambda module: seen.append(module.Model))
    import cogwheel

    importlib.reload(cogwheel)
    assert len(seen) == 2
    assert seen[1] is cogwheel.Model is not seen[0]
    assert type(cogwheel.__spec__.loader) is importlib.machinery.SourceFileLoader
    unwatch()


def test_the_finder_is_there_only_while_something_is_watched(watch):
    before = list(sys.meta_path)
    first, second = watch.watch("absent_a", print), watch.watch("absent_b", print)
    assert sys.meta_path == [watch, *before]
    assert watch.watched() == ("absent_a", "absent_b")
    first()
    assert sys.meta_path == [watch, *before]
    second()
    assert sys.meta_path == before
    assert watch.watched() == ()


@pytest.mark.edge_case("EC-I7")
def test_a_callback_that_raises_is_counted_and_the_import_goes_on(watch, library):
    library(cogwheel="value = 1\n")
    seen = []
    ends = [watch.watch("cogwheel", lambda module: 1 / 0), watch.watch("cogwheel", seen.append)]
    import cogwheel

    assert seen == [cogwheel]
    assert watch.faults == 1
    assert watch.seen_faults == [("cogwheel", "ZeroDivisionError('division by zero')")]
    for end in ends:
        end()


@pytest.mark.edge_case("EC-I7")
@pytest.mark.parametrize(
    "source",
    [
        "import cogwheel_absent\n",
        "1 / 0\n",
        "raise ImportError('broken')\n",
        "def broken(:\n",
        None,
    ],
)
def test_a_failing_import_fails_the_same_way(watch, library, source):
    library(**({"cogwheel": source} if source else {"other": ""}))
    seen = []

    def failure():
        with pytest.raises((ImportError, ZeroDivisionError, SyntaxError)) as raised:
            importlib.import_module("cogwheel")
        error = raised.value
        assert "cogwheel" not in sys.modules
        frames = traceback.extract_tb(error.__traceback__)
        places = [(frame.filename, frame.name) for frame in frames if frame.name != "failure"]
        return type(error), str(error), getattr(error, "name", None), places

    before = failure()
    unwatch = watch.watch("cogwheel", seen.append)
    after = failure()
    unwatch()
    assert after[:3] == before[:3]
    assert not any("autolog" in filename for filename, _ in after[3])
    assert seen == []
    assert watch.faults == 0


def test_the_traceback_of_a_failing_import_is_as_without_us(python, tmp_path):
    (tmp_path / "cogwheel.py").write_text("def f():\n    1 / 0\nf()\n")
    printed = python(
        """
import importlib, traceback
from autolog.patching import ModuleWatch
def trace():
    try:
        import cogwheel
    except ZeroDivisionError:
        return traceback.format_exc()
watch = ModuleWatch()
before = trace()
watch.watch("cogwheel", print)
print(trace() == before, before.count("File "))
"""
    )
    assert printed.split() == ["True", "3"]


def test_a_warning_at_import_points_at_the_import(python, tmp_path):
    (tmp_path / "cogwheel.py").write_text(
        "import warnings\nwarnings.warn('old', FutureWarning, stacklevel=2)\n"
    )
    printed = python(
        """
import warnings
from autolog.patching import ModuleWatch
watch = ModuleWatch()
watch.watch("cogwheel", lambda module: None)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import cogwheel
print(caught[0].filename.rpartition("/")[2], caught[0].lineno)
"""
    )
    assert printed.split() == ["script.py", "8"]


@pytest.mark.edge_case("EC-I8")
def test_hooked_imports_warn_of_nothing(python):
    printed = python(
        """
from autolog.patching import ModuleWatch
watch = ModuleWatch(on_fault=print)
names = ("sklearn", "sklearn.pipeline", "sklearn.metrics", "joblib", "json", "zipimport", "scipy")
seen = []
for name in names:
    watch.watch(name, lambda module: seen.append(module.__name__))
import importlib
for name in names:
    importlib.import_module(name)
importlib.reload(importlib.import_module("json"))
print(sorted(set(seen)) == sorted(names), len(seen), watch.faults)
""",
        "-W",
        "error::ImportWarning",
        "-W",
        "error::DeprecationWarning",
    )
    assert printed.split() == ["True", "8", "0"]


def test_a_half_initialised_module_waits(watch, library):
    """Quirk import-hook-on-initialising-module: wrapt's hooks fire in the middle of it."""
    library(
        cogwheel="""
        import builtins
        builtins._register()
        late = 1
        """,
        other="",
    )
    import builtins

    seen, ends = [], []
    builtins._register = lambda: ends.append(watch.watch("cogwheel", lambda m: seen.append(m.late)))
    try:
        import cogwheel
    finally:
        del builtins._register
    assert seen == []
    import other

    assert seen == [1]
    watch.flush()
    assert seen == [1]
    assert (cogwheel.late, other.__name__) == (1, "other")
    ends[0]()


def test_flush_calls_back_for_modules_the_finder_never_saw(watch):
    seen = []
    unwatch = watch.watch("made_by_hand", seen.append)
    module = sys.modules["made_by_hand"] = type(sys)("made_by_hand")
    try:
        watch.flush()
        watch.flush()
    finally:
        del sys.modules["made_by_hand"]
    assert seen == [module]
    unwatch()


def test_namespace_packages_are_called_back_late(watch, library):
    folder = library(other="")
    (folder / "spread").mkdir()
    seen = []
    unwatch = watch.watch("spread", seen.append)
    import spread

    without = importlib.machinery.PathFinder.find_spec("spread", [str(folder)])
    assert list(spread.__path__) == list(without.submodule_search_locations)
    import other

    assert seen == [spread]
    assert other.__name__ == "other"
    unwatch()


def test_a_lazy_module_is_not_loaded_by_us(watch, library):
    library(cogwheel="import builtins\nbuiltins._ran = True\nvalue = 1\n", other="")
    import builtins

    seen = []
    unwatch = watch.watch("cogwheel", seen.append)
    spec = importlib.util.find_spec("cogwheel")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["cogwheel"] = module
    spec.loader.exec_module(module)
    watch.flush()
    assert not hasattr(builtins, "_ran")
    assert module.value == 1
    del builtins._ran
    watch.flush()
    assert seen[-1] is module
    unwatch()


class _OldLoader:
    """Has no `exec_module`, as loaders had before Python 3.4."""

    def load_module(self, name):
        module = sys.modules[name] = type(sys)(name)
        module.value = "old"
        return module


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, find):
        self.find = find

    def find_spec(self, name, path=None, target=None):
        return self.find(name) if name == "cogwheel" else None


@pytest.fixture
def finder():
    installed = []

    def install(find):
        installed.append(_Finder(find))
        sys.meta_path.insert(0, installed[-1])

    yield install
    for one in installed:
        sys.meta_path.remove(one)


@pytest.mark.filterwarnings("ignore::ImportWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_loader_of_the_old_protocol_is_left_alone(watch, finder, library):
    library(other="")
    finder(lambda name: importlib.machinery.ModuleSpec(name, _OldLoader()))
    seen = []
    unwatch = watch.watch("cogwheel", seen.append)
    import cogwheel

    assert cogwheel.value == "old"
    watch.flush()
    assert seen == [cogwheel]
    unwatch()


def test_a_broken_finder_breaks_the_import_as_it_would_without_us(watch, finder):
    def find(name):
        raise RuntimeError("a finder of somebody else")

    finder(find)
    unwatch = watch.watch("cogwheel", print)
    with pytest.raises(RuntimeError, match="a finder of somebody else") as raised:
        importlib.import_module("cogwheel")
    frames = traceback.extract_tb(raised.value.__traceback__)
    assert not any("autolog" in frame.filename for frame in frames)
    unwatch()


def test_finders_that_ask_all_finders_do_not_recurse(watch, library, finder):
    library(cogwheel="value = 1\n")
    asked = []

    def find(name):
        asked.append(name)
        others = [one for one in sys.meta_path if type(one) is not _Finder]
        specs = [one.find_spec(name, None) for one in others]
        return next(spec for spec in specs if spec is not None)

    seen = []
    finder(find)
    unwatch = watch.watch("cogwheel", seen.append)
    import cogwheel

    assert seen == [cogwheel]
    assert asked == ["cogwheel"]
    unwatch()


def test_two_watches_both_call_back(watch, library):
    library(cogwheel="value = 1\n")
    seen = []
    other = ModuleWatch()
    ends = [one.watch("cogwheel", lambda _, one=one: seen.append(one)) for one in (watch, other)]
    import cogwheel

    assert seen == [watch, other]
    assert type(cogwheel.__spec__.loader) is importlib.machinery.SourceFileLoader
    for end in ends:
        end()


def test_a_module_that_replaces_itself_is_called_back_as_what_it_became(watch, library):
    library(
        cogwheel="""
        import sys, types
        sys.modules[__name__] = types.SimpleNamespace(value=5)
        """
    )
    seen = []
    unwatch = watch.watch("cogwheel", seen.append)
    import cogwheel

    assert seen == [cogwheel]
    assert cogwheel.value == 5
    unwatch()


@pytest.mark.edge_case("EC-I6")
def test_two_threads_that_import_two_hooked_modules_finish(watch, library):
    """A lock held during callbacks would cross the one that `shared` is imported under."""
    library(
        {
            "left/__init__": "from left import a\n",
            "left/a": "import shared\n",
            "right/__init__": "import shared.late\nfrom right import b\n",
            "right/b": "",
            "shared/__init__": "",
            "shared/late": "",
        }
    )
    names = ("left", "left.a", "right", "right.b", "shared", "shared.late")
    seen = []

    def callback(module):
        seen.append(module.__name__)
        if not module.__name__.startswith("shared"):
            importlib.import_module("shared.late")

    ends = [watch.watch(name, callback) for name in names]
    for _ in range(100):
        for name in names:
            sys.modules.pop(name, None)
        barrier = threading.Barrier(2)
        errors = []

        def importing(name, barrier=barrier, errors=errors):
            barrier.wait()
            try:
                importlib.import_module(name)
            except BaseException as error:
                errors.append(error)

        threads = [
            threading.Thread(target=importing, args=(name,), daemon=True)
            for name in ("left", "right")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert not any(thread.is_alive() for thread in threads)
        assert errors == []
    assert set(seen) == set(names)
    assert watch.seen_faults == []
    for end in ends:
        end()


def test_watching_imports_neither_wrapt_nor_anything_of_a_framework(python):
    printed = python(
        """
import sys
import autolog.patching
from autolog.integration import Hook
class Model:
    def fit(self): return self
autolog.patching.Engine().apply(Model, "fit", "a", Hook())
Model().fit()
print([name for name in ("wrapt", "numpy", "sklearn") if name in sys.modules])
"""
    )
    assert printed.strip() == "[]"
