"""Registers native kernels with torch as operators that autograd, fake tensors and torch.compile know."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

# A device that no kernel is written for, and that needs none: see below.
_UNUSED_DEVICE = "hpu"


DEVICES = ("cpu", "cuda")


def native_op(name: str, device_types: Sequence[str] = DEVICES) -> Callable[[Callable[..., Any]], Any]:
    """Decorate the function that calls the kernel; returns torch's operator, with `register_fake` and `register_autograd`.

    The kernel is registered beside `custom_op` and not through it: through it the first call of any operator imports torch's
    compiler, which costs every process a second.
    """

    def register(function: Callable[..., Any]) -> Any:
        operator = torch.library.custom_op(name, function, mutates_args=(), device_types=_UNUSED_DEVICE)
        torch.library.impl(name, tuple(device_types))(function)
        return operator

    return register


def changing_op(name: str, changed: Sequence[str]) -> Callable[[Callable[..., None]], Any]:
    """Decorate the function that calls a kernel which changes the named tensors in place; returns torch's operator.

    It has no gradient, and what it returns is nothing. Defined without `custom_op`, whose own way of telling autograd of the
    change takes longer than a kernel.
    """

    def register(function: Callable[..., None]) -> Any:
        places = [place for place, one in enumerate(inspect.signature(function).parameters) if one in changed]

        def run(*arguments: Any) -> None:
            for place in places:
                torch.autograd.graph.increment_version(arguments[place])
            function(*arguments)

        torch.library.define(name, torch.library.infer_schema(function, mutates_args=changed))
        torch.library.impl(name, DEVICES)(run)
        torch.library.register_fake(name)(lambda *_: None)
        namespace, own = name.split("::")
        return getattr(getattr(torch.ops, namespace), own).default

    return register
