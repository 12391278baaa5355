"""A class of `__main__` travels by value: its wrapper goes along inert, and comes back."""

from __future__ import annotations

from pathlib import Path

import cloudpickle

CLASS = """
import cloudpickle, pickle, sys
from autolog.integration import Hook
from autolog.patching import Engine

class Mine:
    def fit(self, data):
        return sorted(data)
    @classmethod
    def make(cls):
        return cls()
    @staticmethod
    def double(n):
        return 2 * n

calls = []
engine = Engine(on_fault=print)
"""


def test_a_patched_class_pickled_by_value_needs_no_autolog(python, tmp_path):
    sizes = python(
        CLASS
        + """
plain = len(cloudpickle.dumps(Mine()))
for name in ("fit", "make", "double"):
    engine.apply(Mine, name, "a", Hook(enter=calls.append))
blob = cloudpickle.dumps(Mine())
open("mine.pkl", "wb").write(blob)
print(plain, len(blob))
"""
    )
    plain, patched = map(int, sizes.split())
    assert patched - plain < 5_000
    assert b"autolog.patching" not in (tmp_path / "mine.pkl").read_bytes()
    # -I ignores PYTHONPATH and the working directory; autolog is made impossible to import.
    done = python(
        f"""
import sys
sys.modules["autolog"] = None
sys.path.append({str(Path(cloudpickle.__file__).parents[1])!r})
import pickle
mine = pickle.load(open("mine.pkl", "rb"))
print(mine.fit([2, 1]), type(mine).make().fit([1]), mine.double(3))
print([name for name in sys.modules if name.startswith("autolog") and sys.modules[name]])
""",
        "-I",
    )
    assert done.splitlines() == ["[1, 2] [1] 6", "[]"]


def test_a_main_class_comes_back_from_loky_and_is_patched_again(python):
    printed = python(
        CLASS
        + """
from joblib import Parallel, delayed

def work(model):
    return model, "autolog.patching" in sys.modules

if __name__ == "__main__":
    raw = vars(Mine)["fit"]
    handle = engine.apply(Mine, "fit", "a", Hook(enter=lambda call: calls.append(call.args)))
    wrapper = vars(Mine)["fit"]
    made = Parallel(n_jobs=2)(delayed(work)(Mine()) for _ in range(2))
    print([there for _, there in made], all(type(model) is Mine for model, _ in made))
    print(Parallel(n_jobs=2)(delayed(Mine().fit)(data) for data in ([2, 1], [4, 3])))
    print(calls)
    engine.recheck()
    print(handle.state, vars(Mine)["fit"] is wrapper)
    print(made[0][0].fit([6, 5]), calls)
    engine.remove_all()
    print(vars(Mine)["fit"] is raw)
""",
        "-W",
        "ignore",
    )
    assert printed.splitlines() == [
        "[False, False] True",
        "[[1, 2], [3, 4]]",
        "[]",
        "applied True",
        "[5, 6] [([6, 5],)]",
        "True",
    ]


def test_a_round_trip_silently_takes_the_wrapper_off_unless_rechecked(python):
    """Quirk cloudpickle-unpatches-main-classes: without `recheck`, later calls are not seen."""
    printed = python(
        CLASS
        + """
handle = engine.apply(Mine, "fit", "a", Hook(enter=lambda call: calls.append(call.args)))
wrapper = vars(Mine)["fit"]
pickle.loads(cloudpickle.dumps(Mine))
print(vars(Mine)["fit"] is wrapper)
Mine().fit([1])
print(calls)
engine.recheck()
Mine().fit([1])
print(calls, handle.status().reason)
pickle.loads(cloudpickle.dumps(Mine))
engine.remove_all()
print(hasattr(Mine.fit, "__wrapped__"), Mine().fit([2, 1]))
"""
    )
    lines = printed.splitlines()
    assert lines[0] == "False"
    assert lines[1] == "[]"
    assert lines[2].startswith("[([1],)] put back")
    assert lines[3] == "False [1, 2]"
