"""Backend selection for the ops: the native kernels where they are built, otherwise the torch reference."""

import hashlib
import importlib
import warnings
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.dlpack import to_dlpack

from deep3dmap.core.errors import UserError

Backend = Literal["auto", "native", "reference"]


@cache
def native() -> Any:
    """Return the native module, or None if it is not built."""
    try:
        return importlib.import_module("deep3dmap.ops._native")
    except ImportError:
        return None


@cache
def native_build_hash() -> str | None:
    """Return a hash of the native build, or None if there is none. It is part of the version of every method."""
    module = native()
    return hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()[:12] if module else None


def available_backends() -> tuple[str, ...]:
    """Return the backends available on this machine, the preferred one first."""
    return ("native", "reference") if native() else ("reference",)


def choose(backend: Backend, device_type: str) -> str:
    """Resolve `auto` to native, or to the reference if no native kernels are built, with a single warning.

    Raises UserError if native is requested explicitly but not built, or if no kernel was built for the device; ValueError for
    an unknown name.
    """
    if backend not in ("auto", "native", "reference"):
        raise ValueError(f"backend must be auto, native or reference, not '{backend}'")
    if backend == "reference":
        return "reference"
    if not native():
        if backend == "native":
            raise UserError("backend=native: no native kernels were built; use backend=reference, or see `deep3dmap doctor`")
        _warn_once("the native kernels were not built")
        return "reference"
    if device_type not in native_devices():
        raise UserError(f"no native kernel was built for {device_type} tensors; use backend=reference, or pass CPU tensors")
    return "native"


def native_devices() -> tuple[str, ...]:
    """Return the device types that the native kernels support."""
    return tuple(device for device in ("cpu", "cuda") if hasattr(native(), f"integrate_{device}"))


def run_native(kernel: str, device: torch.device, *arguments: Any) -> None:
    """Call a kernel on the device: on the CPU with torch's number of threads, on CUDA on torch's current stream."""
    run = getattr(native(), f"{kernel}_{device.type}")
    # Pass DLPack capsules: calling a tensor's `__dlpack__` takes ten times as long. Kernels do not handle gradients.
    plain = [to_dlpack(value) if isinstance(value, Tensor) else value for value in arguments]
    if device.type == "cpu":
        run(*plain, torch.get_num_threads())
        return
    with torch.cuda.device(device):
        run(*plain, torch.cuda.current_stream(device).cuda_stream)


@cache
def _warn_once(why: str) -> None:
    warnings.warn(f"{why}: using the slower torch reference", stacklevel=4)


def small_matrix(name: str, value: Tensor, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return a camera matrix or vector as float32 on the device; raises ValueError naming it if the shape is wrong."""
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} must be {shape}, got {tuple(value.shape)}")
    return value.detach().to(device=device, dtype=torch.float32)
