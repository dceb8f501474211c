"""What an op does whose gradient on CUDA adds in any order, when torch was asked for deterministic algorithms."""

import warnings
from functools import cache

import torch
from torch import Tensor


def tell_nondeterminism(name: str, gradient: Tensor) -> None:
    """Do as torch's own operators do: warn once, by name, where torch is to warn only.

    Raises RuntimeError where torch was asked for deterministic algorithms or none.
    """
    if not gradient.is_cuda or not torch.are_deterministic_algorithms_enabled():
        return
    if not torch.is_deterministic_algorithms_warn_only_enabled():
        raise RuntimeError(f"{name} has no deterministic gradient on CUDA; run it on the CPU, or allow nondeterminism")
    _warn(name)


@cache
def _warn(name: str) -> None:
    text = f"{name} has no deterministic gradient on CUDA: repeats of this run differ in the last digits"
    warnings.warn(text, stacklevel=4)
