"""Switches autolog on in each Python process below `autolog run -- COMMAND`.

`PYTHONPATH` names this folder for the process tree, so CPython's `site` imports this file where it
looks for the user's own `sitecustomize`. That one is found and run as if this were not here, with
its errors; without one, the import ends as it would have. The program sees neither the folder in
`sys.path` nor a module of ours by that name. Whatever goes wrong in autolog stays inside: a Python
without autolog, or too old for it, starts as ever, which is why this file is plain old Python.

`python -E`, `-I` and `-S` do not come here.
"""

import os
import sys


def _leave():  # noqa: ANN202
    """Take this folder out of the way."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)
    sys.modules.pop("sitecustomize", None)


def _activate():  # noqa: ANN202
    """Switch on what is installed; nothing of a framework is imported by that."""
    try:
        from autolog import autolog

        autolog()
    except Exception:  # noqa: S110  `autolog run` has tried the settings before
        pass


_leave()
try:
    import sitecustomize  # noqa: F401  # pyright: ignore
finally:
    _activate()
