"""Gradients of several workers, and penalties on gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Small enough that the first exchange is under way while the next is packed, large enough to use the network.
BUCKET_ELEMENTS = 8 << 20


def average_gradients(parameters: Sequence[Tensor], world_size: int) -> None:
    """Replace the gradients of `parameters` by their means over the workers; every rank passes the same parameters.

    A parameter that has a gradient on some workers only counts as zero on the others; one that has none anywhere keeps none, so
    that its optimiser leaves it alone, as it does on one worker. Averaging right before an update, and not while a module runs
    backward, leaves a method free to run a module twice, in part, or through a gradient of its gradient.
    """
    if world_size == 1:
        return
    for kind in {parameter.dtype: None for parameter in parameters}:
        for bucket in _buckets([parameter for parameter in parameters if parameter.dtype == kind]):
            there = torch.tensor([float(parameter.grad is not None) for parameter in bucket]).to(bucket[0])
            packed = torch.cat([there, *(_gradient(parameter).reshape(-1) for parameter in bucket)])
            torch.distributed.all_reduce(packed)
            packed /= world_size
            there, *parts = packed.split([len(bucket), *(parameter.numel() for parameter in bucket)])
            for parameter, part, exists in zip(bucket, parts, there.tolist()):
                if exists:
                    parameter.grad = part.reshape(parameter.shape).clone()


def gradient_penalty(outputs: Tensor, inputs: Tensor, scale: float = 1.0) -> Tensor:
    """Return (B,) squared norms of the gradient of each of `outputs` (B, ...) by its `inputs` (B, ...), differentiable.

    The zero-centred penalty R1 is half its mean times gamma (Mescheder et al., ICML 2018, eq. 9). scale: what the outputs are
    multiplied with for the first of the two backward passes, so that half-precision gradients do not vanish.
    """
    with torch.autocast(outputs.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(outputs.float().sum() * scale, inputs, create_graph=True)
        return (gradient.float() / scale).square().flatten(1).sum(1)


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _buckets(parameters: Sequence[Tensor]) -> list[list[Tensor]]:
    buckets: list[list[Tensor]] = []
    room = 0
    for parameter in parameters:
        if parameter.numel() > room or not buckets:
            buckets.append([])
            room = BUCKET_ELEMENTS
        buckets[-1].append(parameter)
        room -= parameter.numel()
    return buckets
