"""Fingerprints data: a digest that says whether two runs were given the same.

Data is read where it lies, in bounded pieces, and only through classes that are known here: no
copy, no conversion, no method of a user's class. Data up to 8 MB is hashed whole; of larger data a
fixed sample is, and the share is stored with the digest. Row labels do not count: nothing is
trained on them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, cast

from autolog.tracking.digesting import BYTES, VALUES, Digest, UnreadableError
from autolog.tracking.sampling import runs

__all__ = ["fingerprint"]

_COLUMNS: Final = 512
"""Columns of a frame that are looked at; each costs some microseconds."""

_FEW_VALUES: Final = 128

_SMALL_DOK: Final = 10_000

_AT_ONCE: Final = 1 << 16

_TO_NUMPY: Final = "to_numpy"
_ARROW_NUMBERS: Final = ("int", "uint", "float", "double", "halffloat", "bool")

_SPARSE: Final = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
    "dia": ("data", "offsets"),
    "lil": ("rows", "data"),
}
"""The arrays that a sparse matrix of each format is made of."""


def fingerprint(data: object, share: int = 1) -> dict[str, Any]:
    """Return `digest` and `covered`, or why there is none as `undigested`; nothing if unknown.

    Args:
        data: a container of NumPy, torch, TensorFlow, JAX, pandas, Polars, SciPy (sparse), Arrow,
            or a list.
        share: how many such containers share what is looked at of one.
    """
    read = _reader(type(data))
    if read is None:
        return {}
    try:
        digest = read(data, BYTES // share)
    except UnreadableError as exc:
        return {"undigested": str(exc)}
    except Exception as exc:  # a version of the container that is not known yet
        return {"undigested": f"{type(exc).__name__}: {exc}"}
    return {"digest": digest.text, "covered": digest.covered}


def _reader(kind: type) -> Callable[[Any, int], Digest] | None:
    """Find what reads a class; subclasses of the user's have methods of their own."""
    if kind in (list, tuple):
        return _list
    package, name = kind.__module__.partition(".")[0], kind.__name__
    if package == "scipy" and name.endswith(("_matrix", "_array")):
        return _sparse
    return _READERS.get((package, name))


def _list(data: Any, _: int) -> Digest:
    digest = Digest("list-1")
    digest.values(data, 2 * VALUES)
    return digest


def _numpy(data: Any, budget: int) -> Digest:
    import numpy as np

    plain: Any = np.ndarray
    digest = Digest("array-1")
    digest.array(plain.view(data, plain), budget)
    return digest


def _torch(data: Any, budget: int) -> Digest:
    if data.device.type != "cpu" or str(data.layout) != "torch.strided" or data.is_quantized:
        raise UnreadableError(f"a tensor on {data.device}, {data.layout}")
    digest = Digest("array-1")
    kept = data.detach()
    if str(data.dtype) == "torch.bfloat16":  # which NumPy does not know
        digest.note(data.dtype)
        kept = kept.view(sys.modules["torch"].int16)
    digest.array(kept.numpy(), budget)
    return digest


def _tensorflow(data: Any, budget: int) -> Digest:
    if "CPU" not in data.device or data.dtype.name == "string":
        raise UnreadableError(f"a tensor of {data.dtype.name} on {data.device}")
    return _buffer(data, budget)


def _jax(data: Any, budget: int) -> Digest:
    if not data.is_fully_addressable or {one.platform for one in data.devices()} != {"cpu"}:
        raise UnreadableError("an array on another device")
    return _buffer(data, budget)


def _buffer(data: Any, budget: int) -> Digest:
    """Hash what lends its memory, as the array that it is."""
    import numpy as np

    digest = Digest("array-1")
    digest.array(np.asarray(memoryview(data)), budget)
    return digest


def _sparse(data: Any, budget: int) -> Digest:
    form = str(data.format)
    digest = Digest(f"{form}-1")
    digest.note(data.shape)
    if form == "dok":
        if data.nnz > _SMALL_DOK:
            raise UnreadableError("a large dictionary has no order")
        import numpy as np

        entries = data.tocoo()
        order = np.lexsort((entries.col, entries.row))
        parts = [getattr(entries, name)[order] for name in _SPARSE["coo"]]
    elif form == "coo" and hasattr(data, "coords"):
        parts = [data.data, *data.coords]
    else:
        parts = [getattr(data, name) for name in _SPARSE[form]]
    whole = sum(part.nbytes for part in parts)
    for part in parts:  # all whole, or each by its share
        digest.array(part, max(1, budget * part.nbytes // whole) if whole > budget else budget)
    return digest


def _pandas_frame(data: Any, budget: int) -> Digest:
    names = data.columns
    columns = [(names[at], data._get_column_array(at)) for at in _picked(len(names))]  # noqa: SLF001
    return _frame("pandas-1", data.shape, columns, _pandas_column, budget)


def _pandas_series(data: Any, budget: int) -> Digest:
    return _frame("pandas-1", data.shape, [(data.name, data.array)], _pandas_column, budget)


def _polars_frame(data: Any, budget: int) -> Digest:
    columns = data.get_columns()
    picked = [(columns[at].name, columns[at]) for at in _picked(len(columns))]
    return _frame("polars-1", data.shape, picked, _polars_column, budget)


def _polars_series(data: Any, budget: int) -> Digest:
    return _frame("polars-1", (len(data),), [(data.name, data)], _polars_column, budget)


def _arrow_table(data: Any, budget: int) -> Digest:
    names = data.schema.names
    picked = [(names[at], data.column(at)) for at in _picked(len(names))]
    return _frame("arrow-1", (data.num_rows, len(names)), picked, _arrow_column, budget)


def _arrow_array(data: Any, budget: int) -> Digest:
    return _frame("arrow-1", (len(data),), [("", data)], _arrow_column, budget)


def _picked(count: int) -> list[int]:
    return [at for start, stop in runs(count, _COLUMNS, _COLUMNS) for at in range(start, stop)]


def _frame(
    scheme: str,
    shape: tuple[int, ...],
    columns: list[tuple[Any, Any]],
    read: Callable[[Digest, Any, int, int], None],
    budget: int,
) -> Digest:
    """Hash columns, each within its share of the budget."""
    digest = Digest(scheme)
    digest.note(shape)
    share = max(1, len(columns))
    for name, column in columns:
        digest.note(name)
        read(digest, column, budget // share, max(VALUES // share, _FEW_VALUES))
    if len(shape) > 1:
        digest.leave_out(shape[0] * (shape[1] - len(columns)))
    return digest


def _pandas_column(digest: Digest, column: Any, budget: int, values: int) -> None:
    """Hash what backs a column: NumPy, an extension array over NumPy, or Arrow."""
    import numpy as np

    if isinstance(column, np.ndarray):
        digest.array(cast("Any", column), budget, values)
        return
    digest.note(column.dtype)
    known = getattr(column, "__dict__", {})
    arrow = getattr(column, "_pa_array", None)
    if arrow is not None:
        _arrow_column(digest, arrow, budget, values)
    elif "_mask" in known and "_data" in known:  # what a mask hides has no meaning
        _masked(digest, known["_data"], known["_mask"], budget)
    elif hasattr(column, "categories") and hasattr(column, "codes"):
        digest.note(column.ordered)
        _pandas_column(digest, column.categories.array, budget, values)
        digest.array(column.codes, budget, values)
    elif isinstance(getattr(column, "_ndarray", None), np.ndarray):
        digest.array(column._ndarray, budget, values)  # noqa: SLF001
    else:
        raise UnreadableError(f"columns of {column.dtype}")


def _masked(digest: Digest, data: Any, mask: Any, budget: int) -> None:
    import numpy as np

    seen = 0
    for start, stop in runs(len(data), max(1, budget // (data.itemsize + 1))):
        for at in range(start, stop, _AT_ONCE):
            hidden = mask[at : min(at + _AT_ONCE, stop)]
            digest.array(hidden)
            digest.array(np.where(hidden, 0, data[at : at + len(hidden)]))
        seen += stop - start
    digest.leave_out(2 * (len(data) - seen))


def _polars_column(digest: Digest, column: Any, budget: int, values: int) -> None:
    kind = column.dtype
    digest.note(kind)
    plain = (kind.is_numeric() or str(kind) == "Boolean") and not column.null_count()
    _sliced(digest, column, budget if plain else 0, values, _TO_NUMPY if plain else "to_list")


def _arrow_column(digest: Digest, column: Any, budget: int, values: int) -> None:
    kind = str(column.type)
    digest.note(kind)
    plain = kind.startswith(_ARROW_NUMBERS) and not column.null_count
    _sliced(digest, column, budget if plain else 0, values, _TO_NUMPY if plain else "to_pylist")


def _sliced(digest: Digest, column: Any, budget: int, values: int, read: str) -> None:
    """Hash slices of a column whose memory cannot be looked at as it is."""
    rows, seen = len(column), 0
    for start, stop in runs(rows, max(1, budget // 8) if budget else values):
        piece = getattr(column.slice(start, stop - start), read)()
        if read == _TO_NUMPY:
            digest.array(piece)
        else:
            digest.values(piece)
        seen += stop - start
    digest.leave_out(rows - seen)


_READERS: Final[dict[tuple[str, str], Callable[[Any, int], Digest]]] = {
    ("numpy", "ndarray"): _numpy,
    ("torch", "Tensor"): _torch,
    ("tensorflow", "EagerTensor"): _tensorflow,
    ("jaxlib", "ArrayImpl"): _jax,
    ("numpy", "memmap"): _numpy,
    ("numpy", "matrix"): _numpy,
    ("numpy", "recarray"): _numpy,
    ("pandas", "DataFrame"): _pandas_frame,
    ("pandas", "Series"): _pandas_series,
    ("polars", "DataFrame"): _polars_frame,
    ("polars", "Series"): _polars_series,
    ("pyarrow", "Table"): _arrow_table,
    ("pyarrow", "RecordBatch"): _arrow_table,
    ("pyarrow", "ChunkedArray"): _arrow_array,
}
