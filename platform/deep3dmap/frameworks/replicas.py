"""Synchronisation of weights across workers, and detection of differences."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# On one type of device, equal gradients give bit-identical updates; this only allows for a different order of summation.
TOLERANCE = 1e-6


class ReplicasDifferError(RuntimeError):
    """The workers of a run have different weights; the message names the parameter with the largest difference."""


def send_from_first(tensors: Sequence[Tensor], world_size: int) -> None:
    """Overwrite tensors on all workers with those of worker 0; every rank must pass the same ones."""
    if world_size > 1:
        for tensor in tensors:
            torch.distributed.broadcast(tensor.detach(), 0)


def require_equal_replicas(module: nn.Module) -> None:
    """Raise ReplicasDifferError on every worker if the sums of a parameter's values or magnitudes differ between workers."""
    named = [(name, parameter) for name, parameter in module.named_parameters() if parameter.numel()]
    if not named:
        return
    sums = torch.stack([_sums(parameter) for _, parameter in named])
    highest, lowest = sums.clone(), sums.clone()
    torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
    torch.distributed.all_reduce(lowest, torch.distributed.ReduceOp.MIN)
    differences = ((highest - lowest) / highest[:, 1:].clamp(min=1e-30)).amax(1)
    if float(differences.max()) > TOLERANCE:
        name = named[int(differences.argmax())][0]
        raise ReplicasDifferError(
            f"the workers' weights have drifted apart: '{name}' differs by {float(differences.max()):.2g} of its size; "
            "update parameters with loop.update, which averages the gradients over the workers"
        )


def _sums(parameter: Tensor) -> Tensor:
    values = parameter.detach().double()
    return torch.stack([values.sum(), values.abs().sum()])
