"""Backend selection for the sparse ops: native kernels, the torch reference, spconv or torchsparse."""

import importlib.util
from functools import cache
from typing import Literal

import torch

from deep3dmap.core.errors import UserError
from deep3dmap.ops import _backend
from deep3dmap.ops._half import HALF_TYPES
from deep3dmap.ops.sparse import tensor_cores

SparseBackend = Literal["auto", "native", "reference", "spconv", "torchsparse"]
PEERS = ("spconv", "torchsparse")


def choose(backend: SparseBackend, kernel: str, device: torch.device, dtype: torch.dtype | None = None) -> str:
    """Resolve the backend of one kernel, e.g. `sparse_lookup`, on a device.

    `auto` is native if that kernel was built for the device and supports the type, otherwise the reference; a missing kernel
    causes a single warning. The convolution supports half types on tensor cores, all other kernels float32 only. Raises
    ValueError for an unknown name, UserError for an unavailable backend, and ValueError if a backend requested explicitly does
    not support the type.
    """
    if backend not in ("auto", "native", "reference", *PEERS):
        raise ValueError(f"backend must be auto, native, reference, spconv or torchsparse, not '{backend}'")
    if backend == "reference":
        return "reference"
    supports_type = dtype in (None, torch.float32) or (backend not in PEERS and _supports_half(kernel, device, dtype))
    if backend != "auto":
        _check_present(backend, kernel, device)
        if not supports_type:
            raise ValueError(f"backend {backend} supports float32, got {dtype}; use backend=reference")
        return backend
    if not _has_native(kernel, device):
        _backend._warn_once(f"no native {kernel} was built for {device.type} tensors")
        return "reference"
    return "native" if supports_type else "reference"


def choose_without_peers(backend: SparseBackend, kernel: str, device: torch.device, dtype: torch.dtype | None = None) -> str:
    """Resolve the backend of a kernel other than the convolution; spconv and torchsparse provide only the convolution."""
    return choose("auto" if backend in PEERS else backend, kernel, device, dtype)


def available_sparse_backends(device: torch.device | str = "cpu") -> tuple[str, ...]:
    """Return the backends of `sparse_conv3d` available for tensors on the device, the preferred one first."""
    native = ("native",) if _has_native("sparse_conv_forward", torch.device(device)) else ()
    return (*native, "reference", *(name for name in PEERS if _installed(name)))


def _supports_half(kernel: str, device: torch.device, dtype: torch.dtype | None) -> bool:
    return kernel == "sparse_conv_forward" and dtype in HALF_TYPES and tensor_cores.is_supported(device, dtype)


def _has_native(kernel: str, device: torch.device) -> bool:
    return hasattr(_backend.native(), f"{kernel}_{device.type}")


def _check_present(backend: str, kernel: str, device: torch.device) -> None:
    if backend == "native" and not _has_native(kernel, device):
        raise UserError(f"backend=native: no {kernel} was built for {device.type} tensors; use backend=reference")
    if backend in PEERS and not _installed(backend):
        raise UserError(f"backend={backend}: {backend} is not installed or does not load here; use backend=auto")


@cache
def _installed(peer: str) -> bool:
    if importlib.util.find_spec(peer) is None:
        return False
    try:
        # Importing torchsparse requires a GPU, importing spconv the compiler's runtime: installed does not imply usable.
        importlib.import_module("spconv.pytorch.functional" if peer == "spconv" else "torchsparse.backend")
    except (ImportError, OSError, RuntimeError, AssertionError):
        return False
    return True
