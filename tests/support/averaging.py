"""A worker that averages the gradients of three parameters, some of which have none."""

import torch
from two_workers import group_of_two

from deep3dmap.frameworks.gradients import average_gradients


def average_in_process(rank: int, folder: str) -> None:
    """Save the averaged gradients of worker `rank` of two; None for a parameter without a gradient."""
    with group_of_two(rank, folder):
        parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in range(3)]
        parameters[0].grad = torch.full((2,), 1.0 + rank)
        if rank == 0:
            parameters[1].grad = torch.full((2,), 3.0)
        average_gradients(parameters, 2)
        torch.save([parameter.grad for parameter in parameters], f"{folder}/{rank}.pt")
