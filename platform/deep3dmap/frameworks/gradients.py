"""Averaging of gradients over workers, and gradient penalties."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Small enough to pack the next bucket while the previous one is reduced, large enough to use the network bandwidth.
BUCKET_ELEMENTS = 8 << 20


def average_gradients(parameters: Sequence[Tensor], world_size: int) -> None:
    """Replace the gradients of `parameters` by their means over the workers; every rank must pass the same parameters.

    If only some workers have a gradient for a parameter, it counts as zero on the others; if none has one, it stays None, so
    that the optimiser skips the parameter as on a single worker. Averaging before an update, instead of during the backward
    pass, allows a method to run a module twice or partially, or to differentiate through its gradients.
    """
    if world_size == 1:
        return
    for kind in {parameter.dtype: None for parameter in parameters}:
        for bucket in _buckets([parameter for parameter in parameters if parameter.dtype == kind]):
            has_gradient = torch.tensor([float(parameter.grad is not None) for parameter in bucket]).to(bucket[0])
            packed = torch.cat([has_gradient, *(_gradient(parameter).reshape(-1) for parameter in bucket)])
            torch.distributed.all_reduce(packed)
            packed /= world_size
            has_gradient, *parts = packed.split([len(bucket), *(parameter.numel() for parameter in bucket)])
            for parameter, part, exists in zip(bucket, parts, has_gradient.tolist()):
                if exists:
                    parameter.grad = part.reshape(parameter.shape).clone()


def gradient_penalty(outputs: Tensor, inputs: Tensor, scale: float = 1.0) -> Tensor:
    """Return the (B,) squared norms of the gradients of `outputs` (B, ...) with respect to `inputs` (B, ...), differentiable.

    The zero-centred R1 penalty is its mean times gamma / 2 (Mescheder et al., ICML 2018, eq. 9). scale: factor applied to the
    outputs in the first of the two backward passes, so that half-precision gradients do not underflow.
    """
    with torch.autocast(outputs.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(outputs.float().sum() * scale, inputs, create_graph=True)
        return (gradient.float() / scale).square().flatten(1).sum(1)


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _buckets(parameters: Sequence[Tensor]) -> list[list[Tensor]]:
    buckets: list[list[Tensor]] = []
    remaining = 0
    for parameter in parameters:
        if parameter.numel() > remaining or not buckets:
            buckets.append([])
            remaining = BUCKET_ELEMENTS
        buckets[-1].append(parameter)
        remaining -= parameter.numel()
    return buckets
