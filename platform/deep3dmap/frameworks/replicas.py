"""What keeps the weights of several workers the same, and shows where they are not."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Updates from equal gradients are equal to the bit on one kind of device; this allows for nothing else than another sum.
TOLERANCE = 1e-6


class ReplicasDifferError(RuntimeError):
    """The workers of a run have trained different weights; the message names the first such parameter."""


def send_from_first(tensors: Sequence[Tensor], world_size: int) -> None:
    """Overwrite tensors on all workers with those of worker 0; every rank passes the same ones."""
    if world_size > 1:
        for tensor in tensors:
            torch.distributed.broadcast(tensor.detach(), 0)


def require_equal_replicas(module: nn.Module) -> None:
    """Raise ReplicasDifferError, on every worker, if a parameter's sums of values and of sizes differ between workers."""
    named = [(name, parameter) for name, parameter in module.named_parameters() if parameter.numel()]
    if not named:
        return
    sums = torch.stack([_sums(parameter) for _, parameter in named])
    highest, lowest = sums.clone(), sums.clone()
    torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
    torch.distributed.all_reduce(lowest, torch.distributed.ReduceOp.MIN)
    apart = ((highest - lowest) / highest[:, 1:].clamp(min=1e-30)).amax(1)
    if float(apart.max()) > TOLERANCE:
        name = named[int(apart.argmax())][0]
        raise ReplicasDifferError(
            f"the workers' weights have drifted apart: '{name}' differs by {float(apart.max()):.2g} of its size; "
            "update parameters by loop.update, which averages the gradients over the workers"
        )


def _sums(parameter: Tensor) -> Tensor:
    values = parameter.detach().double()
    return torch.stack([values.sum(), values.abs().sum()])
