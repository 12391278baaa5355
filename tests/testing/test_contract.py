"""The contract suite passes on good plugins, and says what is wrong with bad ones."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

TESTS = 35
"""Tests of the suite for one integration, parametrised ones counted one by one."""


def test_scikit_learn_keeps_the_contract(contract):
    done = contract("--autolog-integration", "sklearn")
    assert (done.passed, done.failed) == (TESTS, 0), done.text


def test_a_third_partys_plugin_keeps_the_contract(contract, toyfit):
    done = contract("--autolog-integration", "toyfit", path=toyfit)
    assert (done.passed, done.failed) == (TESTS, 0), done.text


@pytest.mark.edge_case("EC-I14")
def test_without_a_name_every_integration_is_judged_whose_framework_is_there(contract, toyfit):
    words = ("-vv", "-k", "imports_no_framework")
    everything = contract(*words, path=toyfit).text
    assert "[sklearn]" in everything
    assert "[toyfit]" in everything
    shutil.rmtree(toyfit / "toyfit")
    assert "[toyfit]" not in contract(*words, path=toyfit).text


def test_an_integration_that_cannot_be_loaded_fails_with_the_reason(contract, toyfit):
    (toyfit / "autolog_toyfit" / "__init__.py").write_text("import nowhere_at_all\n")
    done = contract("-k", "imports_no_framework", path=toyfit)
    assert done.passed >= 1, done.text  # those that are installed
    assert done.failed == 1, done.text
    assert "No module named 'nowhere_at_all'" in done.text


def test_the_suite_runs_beside_tests_that_are_named(contract, tmp_path, toyfit):
    own = tmp_path / "test_mine.py"
    own.write_text("def test_mine(): pass\n")
    words = ("--autolog-integration", "toyfit", "-k", "mine or imports_no_framework")
    assert contract(str(own), *words, path=toyfit).passed == 2
    assert contract(*words, path=toyfit).passed == 1


def test_a_project_with_rules_of_its_own_does_not_keep_the_suite_from_running(
    contract, tmp_path, toyfit
):
    folder = tmp_path / "elsewhere"
    (folder / "checks").mkdir(parents=True)
    (folder / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers\npython_files = check_*.py\ntestpaths = checks\n"
        "filterwarnings = error\n"
    )
    done = contract("--autolog-integration", "toyfit", "-k", "declaration", path=toyfit)
    assert (done.passed, done.failed) == (2, 0), done.text


def test_an_unknown_integration_is_refused_by_name(contract):
    done = contract("--autolog-integration", "nowhere")
    assert "--autolog-integration nowhere: no entry point of this name" in done.text
    assert re.search("installed: .*sklearn", done.text), done.text


DECLARATION, HOOKS, EXAMPLE = "__init__.py", "hooks.py", "example.py"
GUARDED = "capture.guarded(on_epoch)"

BREAKAGES: dict[str, tuple[str, str, str, str, str]] = {
    "a declaration that imports its framework": (
        DECLARATION,
        "from autolog.integration import",
        "import toyfit\nfrom autolog.integration import",
        "imports_no_framework",
        "must not import its framework",
    ),
    "a hook that is not there": (
        DECLARATION,
        "hooks:training",
        "hooks:trainin",
        "every_name",
        "autolog_toyfit.hooks:trainin: AttributeError",
    ),
    "a site that is not there": (
        DECLARATION,
        'target="train"',
        'target="trane"',
        "lacks",
        "toyfit:trane",
    ),
    "no example": (
        DECLARATION,
        '    example="autolog_toyfit.example:EXAMPLE",\n',
        "",
        "declaration",
        "add example='package.module:EXAMPLE'",
    ),
    "an example that differs each time": (
        EXAMPLE,
        "return model, vars(model)",
        "import time; return model, time.perf_counter()",
        "reproducible",
        "seed Example.train",
    ),
    "a method that is not watched": (
        EXAMPLE,
        'method="fit"',
        'method="predict"',
        "method_is_watched",
        "names a method without a site",
    ),
    "a hook that changes the result": (
        HOOKS,
        "        span = call.span\n",
        "        span = call.span\n        call.replace('epochs', 3)\n",
        "same_bits",
        "different with autolog, in its:\n  result\n",
    ),
    "a hook that draws random numbers": (
        HOOKS,
        "        span = call.span\n",
        "        span = call.span\n        import random; random.random()\n",
        "same_bits",
        "different with autolog, in its:\n  random\n",
    ),
    "a hook that marks the model": (
        HOOKS,
        "        span = call.span\n",
        "        span = call.span\n        call.instance.run = 1\n",
        "same_bits",
        "\n  attributes of the model\n",
    ),
    "a hook that warns": (
        HOOKS,
        "        span = call.span\n",
        "        span = call.span\n        import warnings; warnings.warn('seen')\n",
        "no_warning",
        "UserWarning: seen",
    ),
    "a hook that reads what may be missing": (
        HOOKS,
        'bound.get("epochs", 10)',
        'bound["epoch"]',
        "finished_run",
        "KeyError",
    ),
    "a callback that is not guarded": (
        HOOKS,
        GUARDED,
        "on_epoch",
        "what_breaks and metrics",
        "broken on purpose: metrics",
    ),
    "a format that loses something": (
        "formats.py",
        "json.dumps(vars(model))",
        "json.dumps({**vars(model), 'slope': 0})",
        "safe_formats",
        "toyfit-json gives another model",
    ),
    "a model that is not stored": (
        HOOKS,
        "call.span.owns_run:",
        "call.span.owns_run and False:",
        "model_loads",
        "no model was stored",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda name: name.replace(" ", "-"))
def test_a_broken_plugin_fails_with_what_is_wrong(contract, toyfit: Path, breakage: str):
    file, old, new, chosen, message = BREAKAGES[breakage]
    path = toyfit / "autolog_toyfit" / file
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new))
    done = contract("--autolog-integration", "toyfit", "-k", chosen, path=toyfit)
    assert done.failed > 0, done.text
    assert message in done.text


ATTACH = """
def attach(capture):
    import toyfit
    original = toyfit.Model.predict
    def predict(self, x):
        return original(self, x)
    toyfit.Model.predict = predict
    toyfit.Model.seen = True
    return {detach}
"""
RESTORING = "lambda: (setattr(toyfit.Model, 'predict', original), delattr(toyfit.Model, 'seen'))"


@pytest.mark.parametrize(
    ("detach", "failed"), [(RESTORING, 0), ("lambda: None", 1)], ids=["restores", "forgets"]
)
def test_an_attachment_that_leaves_a_patch_behind_is_named(contract, toyfit, detach, failed):
    declaration = toyfit / "autolog_toyfit" / DECLARATION
    text = declaration.read_text().replace("Format, ", "Attach, Format, ")
    attach = '    sites=(\n        Attach(module="toyfit", attach="autolog_toyfit.more:attach"),'
    declaration.write_text(text.replace("    sites=(", attach))
    (toyfit / "autolog_toyfit" / "more.py").write_text(ATTACH.format(detach=detach))
    done = contract("--autolog-integration", "toyfit", "-k", "restores", path=toyfit)
    assert done.failed == failed, done.text
    for name in ("toyfit:Model.predict", "toyfit:Model.seen"):
        assert (name in done.text) == bool(failed)
