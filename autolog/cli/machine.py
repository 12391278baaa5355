"""What the processes of a run used of the machine, in a few lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from autolog.cli import format as written
from autolog.cli.output import table
from autolog.cli.series import Series

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["system_table"]

_MB: Final = 1_000_000
_GPU: Final = re.compile(r"system/(gpu/\d+)/")


def system_table(series: Mapping[str, Series]) -> RenderableType:
    """Return a row for each part of the machine; `--json` and `metric_history` have the rest."""
    rows = table("", "", show_header=False)
    rows.columns[0].style = "dim"
    for name, said in _lines(series):
        rows.add_row(name, said)
    return rows


def _lines(series: Mapping[str, Series]) -> Iterator[tuple[str, str]]:
    cpu = series.get("system/cpu_percent")
    if cpu is not None:
        yield "CPU", f"{cpu.mean:.0f} % of a core on average, at most {cpu.max:.0f} %"
    memory = series.get("system/memory_mb")
    if memory is not None:
        share = series.get("system/memory_percent")
        part = f" ({share.max:.1f} % of the machine's)" if share else ""
        yield "memory", f"at most {_megabytes(memory.max)}{part}"
    read, wrote = series.get("system/disk_read_mb"), series.get("system/disk_write_mb")
    if read is not None and wrote is not None:
        yield "disk", f"{_megabytes(read.max)} read, {_megabytes(wrote.max)} written"
    for gpu in sorted({match[1] for key in series if (match := _GPU.match(key))}):
        parts = [
            say(one)
            for name, say in _OF_GPU.items()
            if (one := series.get(f"system/{gpu}/{name}")) is not None
        ]
        yield gpu.upper().replace("/", " "), ", ".join(parts)


_OF_GPU: Final[dict[str, Callable[[Series], str]]] = {
    "utilization": lambda one: f"{one.mean:.0f} % busy on average",
    "memory_mb": lambda one: f"at most {_megabytes(one.max)}",
    "power_w": lambda one: f"{one.mean:.0f} W on average",
    "temperature_c": lambda one: f"at most {one.max:.0f} °C",
}


def _megabytes(value: float) -> str:
    return written.size(round(value * _MB))
