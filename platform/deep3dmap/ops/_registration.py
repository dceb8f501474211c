"""Registers native kernels as torch operators that support autograd, fake tensors and torch.compile."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

# A device type without kernels, passed to `custom_op` as a placeholder: see below.
_UNUSED_DEVICE = "hpu"


DEVICES = ("cpu", "cuda")


def native_op(name: str, device_types: Sequence[str] = DEVICES) -> Callable[[Callable[..., Any]], Any]:
    """Decorate the function that calls the kernel; returns torch's operator, with `register_fake` and `register_autograd`.

    The kernel is registered separately rather than through `custom_op`, which imports torch's compiler on the first call of any
    operator and so costs every process a second.
    """

    def register(function: Callable[..., Any]) -> Any:
        operator = torch.library.custom_op(name, function, mutates_args=(), device_types=_UNUSED_DEVICE)
        torch.library.impl(name, tuple(device_types))(function)
        return operator

    return register


def mutating_op(name: str, mutated: Sequence[str]) -> Callable[[Callable[..., None]], Any]:
    """Decorate the function that calls a kernel which modifies the named tensors in place; returns torch's operator.

    The operator has no gradient and returns nothing. It does not use `custom_op`, whose notification of autograd about the
    mutation takes longer than a kernel.
    """

    def register(function: Callable[..., None]) -> Any:
        places = [place for place, parameter in enumerate(inspect.signature(function).parameters) if parameter in mutated]

        def run(*arguments: Any) -> None:
            for place in places:
                torch.autograd.graph.increment_version(arguments[place])
            function(*arguments)

        torch.library.define(name, torch.library.infer_schema(function, mutates_args=mutated))
        torch.library.impl(name, DEVICES)(run)
        torch.library.register_fake(name)(lambda *_: None)
        namespace, op_name = name.split("::")
        return getattr(getattr(torch.ops, namespace), op_name).default

    return register
