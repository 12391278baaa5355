"""Writes arrays to an HDF5 file by h5py's low-level interface, a fifth of the cost of the other."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

__all__ = ["Groups", "write_groups"]

Groups = dict[str, dict[str, Any]]
"""The arrays of every part of a model, by its path; the model's own is empty."""

_PLAIN: Final = "biufc"
"""Kinds of NumPy's dtypes that are written as they are."""
_IN_MEMORY: Final = 64 << 20
_PIECE: Final = 1 << 16


def write_groups(groups: Groups, path: Path) -> None:
    """Write a new file, as Keras lays it out: the arrays of a part are in its group `vars`."""
    h5py: Any = import_module("h5py")
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    size = sum(int(array.nbytes) for group in groups.values() for array in group.values())
    if size <= _IN_MEMORY:  # written in one piece when it is closed
        access.set_fapl_core(_PIECE, True)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    file = h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, fapl=access)
    try:
        for name, arrays in {"": {}, **groups}.items():
            group = h5py.h5g.create(file, f"{name}/vars".lstrip("/").encode(), links)
            for key, array in arrays.items():
                _write(h5py, group, key, array)
    finally:
        file.close()


def _write(h5py: Any, group: Any, key: str, array: Any) -> None:
    dtype = array.dtype
    if dtype.kind not in _PLAIN or dtype.hasobject:
        place = h5py.Group(group)
        if dtype.name == "bfloat16":
            place.create_dataset(key, data=array).attrs["dtype"] = "bfloat16"
        else:
            place[key] = array
        return
    spaces = h5py.h5s
    space = spaces.create_simple(array.shape) if array.shape else spaces.create(spaces.SCALAR)
    kind = h5py.h5t.py_create(dtype, logical=True)
    data = h5py.h5d.create(group, key.encode(), kind, space)
    if array.size:
        data.write(spaces.ALL, spaces.ALL, import_module("numpy").ascontiguousarray(array))
