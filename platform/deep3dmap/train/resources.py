"""Resource usage: peak memory of the process and its GPU, and the machine and packages it runs on."""

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
    """Reset the peak memory measurements, so that the next run in this process does not include earlier ones."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    # If the kernel does not support this, the peak remains that of the whole process.
    with suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_ram_mb() -> float:
    """Return the peak resident memory in MB, since `reset_peaks` or since this process started."""
    with suppress(OSError), open("/proc/self/status") as lines:
        peak = next((line for line in lines if line.startswith("VmHWM:")), "")
        if peak:
            return int(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_gpu_mb() -> float:
    """Return the peak memory that torch allocated on the current GPU in MB, 0 without a GPU."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0


def device_name(device: torch.device) -> str:
    """Return "cpu" or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def count_parameters(method: object) -> int:
    """Return the number of parameters of a method; 0 if it is not a torch module."""
    return sum(p.numel() for p in method.parameters()) if isinstance(method, torch.nn.Module) else 0


def hardware() -> dict[str, Any]:
    """Return processor, core count, memory and GPU."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"processor": _processor(), "cores": os.cpu_count(), "memory_gb": round(memory_gb, 1), "gpu": gpu}


@cache
def packages() -> dict[str, str]:
    """Return the versions of Python and the packages that affect results, cached for the lifetime of the process."""
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
