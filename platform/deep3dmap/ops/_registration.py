"""Registers native kernels with torch as operators that autograd, fake tensors and torch.compile know."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

# A device that no kernel is written for, and that needs none: see below.
_UNUSED_DEVICE = "hpu"


def native_op(
    name: str, mutates_args: Sequence[str] = (), device_types: Sequence[str] = ("cpu", "cuda")
) -> Callable[[Callable[..., Any]], Any]:
    """Decorate the function that calls the kernel; returns torch's operator, with `register_fake` and `register_autograd`.

    The kernel is registered beside `custom_op` and not through it: through it the first call of any operator imports torch's
    compiler, which costs every process a second.
    """

    def register(function: Callable[..., Any]) -> Any:
        operator = torch.library.custom_op(name, function, mutates_args=mutates_args, device_types=_UNUSED_DEVICE)
        torch.library.impl(name, tuple(device_types))(function)
        return operator

    return register
