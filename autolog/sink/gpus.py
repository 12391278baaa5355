"""What GPUs do, as NVIDIA's library tells; nothing where `pynvml` or a driver is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import psutil

__all__ = ["Gpus"]

_MB: Final = 1_000_000


class Gpus:
    """The GPUs of this machine."""

    def __init__(self) -> None:
        self._library: Any = None
        self._devices: list[Any] = []
        with contextlib.suppress(Exception):  # no module, no driver, no device
            import pynvml  # type: ignore[import-not-found]

            library: Any = pynvml
            library.nvmlInit()
            self._library = library
            many = library.nvmlDeviceGetCount()
            self._devices = [library.nvmlDeviceGetHandleByIndex(at) for at in range(many)]

    def sample(self, pids: Collection[int], environment: Mapping[str, str]) -> dict[str, float]:
        """Return what the GPUs do that some of these processes use.

        In a container NVIDIA's library may name no processes, or those of the host. Then it is all
        GPUs that `environment`, the processes' own, makes visible.
        """
        values: dict[str, float] = {}
        for at in self._used(pids, environment):
            for name, value in self._read(self._devices[at]):
                values[f"system/gpu/{at}/{name}"] = value
        return values

    def _used(self, pids: Collection[int], environment: Mapping[str, str]) -> list[int]:
        users = [self._processes(device) for device in self._devices]
        used = [at for at, some in enumerate(users) if not some.isdisjoint(pids)]
        if used or any(psutil.pid_exists(pid) for some in users for pid in some):
            return used
        return [at for at in range(len(users)) if _visible(at, environment)]

    def _processes(self, device: Any) -> set[int]:
        with contextlib.suppress(Exception):
            running = self._library.nvmlDeviceGetComputeRunningProcesses(device)
            return {process.pid for process in running}
        return set()

    def _read(self, device: Any) -> Iterator[tuple[str, float]]:
        """Yield what a device tells; some tell nothing of power or of load."""
        library = self._library
        with contextlib.suppress(Exception):
            yield "utilization", float(library.nvmlDeviceGetUtilizationRates(device).gpu)
        with contextlib.suppress(Exception):
            yield "memory_mb", library.nvmlDeviceGetMemoryInfo(device).used / _MB
        with contextlib.suppress(Exception):
            yield "power_w", library.nvmlDeviceGetPowerUsage(device) / 1000
        with contextlib.suppress(Exception):
            kind = library.NVML_TEMPERATURE_GPU
            yield "temperature_c", float(library.nvmlDeviceGetTemperature(device, kind))


def _visible(at: int, environment: Mapping[str, str]) -> bool:
    """Whether `CUDA_VISIBLE_DEVICES` leaves a GPU to a process; names of devices leave all."""
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return True
    names = [name.strip() for name in given.split(",")]
    return str(at) in names if all(name.isdigit() for name in names if name) else "-1" not in names
