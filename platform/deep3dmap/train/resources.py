"""What a process used: peak memory of the process and of its GPU, and the machine it ran on."""

import os
import platform
import resource
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

_PACKAGES = ("deep3dmap", "torch", "numpy", "scipy", "ray", "scikit-image", "pyarrow")


def reset_peaks() -> None:
    """Begin a new measurement of peak memory: the next run in this process is not charged with those before it."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    # Where the kernel does not offer it, the peak stays that of the process.
    with suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_ram_mb() -> float:
    """Peak resident memory in MB, since `reset_peaks` or since this process began."""
    with suppress(OSError), open("/proc/self/status") as lines:
        peak = next((line for line in lines if line.startswith("VmHWM:")), "")
        if peak:
            return int(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_gpu_mb() -> float:
    """Peak memory torch allocated on the current GPU in MB, 0 without one."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0


def device_name(device: torch.device) -> str:
    """Return "cpu" or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def count_parameters(method: object) -> int:
    """Return how many numbers a method learns; 0 for one that is no module of torch."""
    return sum(p.numel() for p in method.parameters()) if isinstance(method, torch.nn.Module) else 0


def hardware() -> dict[str, Any]:
    """Return processor, core count, memory and GPU."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"processor": _processor(), "cores": os.cpu_count(), "memory_gb": round(memory_gb, 1), "gpu": gpu}


@cache
def packages() -> dict[str, str]:
    """Return the versions of the packages that decide results; looked up once, as a process imports one version of each."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    except OSError:
        return platform.machine()
