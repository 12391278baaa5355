"""An interpreter that has what autolog itself needs, and nothing else of what is installed."""

from __future__ import annotations

import re
import site
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

_SITECUSTOMIZE = """\
import sys
sys.path[:] = [entry for entry in sys.path if entry not in {places!r}]
sys.path_importer_cache.clear()
"""


def make_bare(folder: Path) -> None:
    """Fill a folder that, as PYTHONPATH, stands in the place of everything that is installed.

    The distributions of autolog's own requirements are linked into it, metadata too; its
    `sitecustomize` takes the installation itself out of `sys.path`. What a child of the child
    finds is the same, since it inherits the variable.
    """
    folder.mkdir()
    for name in _needed():
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            target = Path(str(distribution.locate_file(top)))
            if top != "/" and not (folder / top).exists():
                (folder / top).symlink_to(target)
    places = [str(Path(place)) for place in (*site.getsitepackages(), site.getusersitepackages())]
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE.format(places=places))


def _needed() -> set[str]:
    """The distributions that autolog needs without an extra, with what these need."""
    found: set[str] = set()
    left = ["autolog-ml"]
    while left:
        name = _canonical(left.pop())
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(requirement.name)
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
