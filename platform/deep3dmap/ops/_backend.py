"""Which implementation of an op runs: the native kernels where they were built, else the torch reference."""

import hashlib
import importlib
import warnings
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError

Backend = Literal["auto", "native", "reference"]


@cache
def native() -> Any:
    """Return the native module, or None where it was not built."""
    try:
        return importlib.import_module("deep3dmap.ops._native")
    except ImportError:
        return None


@cache
def native_build_hash() -> str | None:
    """Return a hash of the native build, None where there is none. It is part of the version of every method."""
    module = native()
    return hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()[:12] if module else None


def available_backends() -> tuple[str, ...]:
    """Return the backends that work here, the preferred one first."""
    return ("native", "reference") if native() else ("reference",)


def choose(backend: Backend, device_type: str) -> str:
    """Resolve `auto`, which takes the reference where no native kernel fits, saying so once.

    Raises UserError if native is asked for by name and absent, ValueError for an unknown name.
    """
    if backend not in ("auto", "native", "reference"):
        raise ValueError(f"backend is auto, native or reference, not '{backend}'")
    if backend == "reference":
        return "reference"
    if native() and device_type == "cpu":
        return "native"
    why = "the native kernels were not built" if not native() else f"the native kernels take CPU tensors, not {device_type}"
    if backend == "native":
        raise UserError(f"backend=native: {why}; use backend=reference, or see `deep3dmap doctor`")
    _warn_once(why)
    return "reference"


@cache
def _warn_once(why: str) -> None:
    warnings.warn(f"{why}: using the slower torch reference", stacklevel=4)


def small_matrix(name: str, value: Tensor, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return camera numbers as float32 on the device; raises ValueError that names them where the shape is another."""
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} must be {shape}, got {tuple(value.shape)}")
    return value.detach().to(device=device, dtype=torch.float32)
