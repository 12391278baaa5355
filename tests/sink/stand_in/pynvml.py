"""Stands in for NVIDIA's library where there is no GPU: two devices, one of them used."""

import os
from types import SimpleNamespace

NVML_TEMPERATURE_GPU = 0


def nvmlInit():
    pass


def nvmlDeviceGetCount():
    return 2


def nvmlDeviceGetHandleByIndex(at):
    return at


def nvmlDeviceGetComputeRunningProcesses(device):
    user = os.environ.get("STAND_IN_USER")
    return [SimpleNamespace(pid=int(user))] if user and device == 1 else []


def nvmlDeviceGetUtilizationRates(device):
    return SimpleNamespace(gpu=40 + device)


def nvmlDeviceGetMemoryInfo(device):
    return SimpleNamespace(used=3_000_000_000)


def nvmlDeviceGetPowerUsage(device):
    raise RuntimeError("this device does not tell")


def nvmlDeviceGetTemperature(device, kind):
    return 61
