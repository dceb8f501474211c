"""Per-worker state, gathered for a checkpoint and restored to the worker of the same rank."""

from collections.abc import Sequence
from typing import Any

import torch

from deep3dmap.core.method import Method


def rank_states(method: Method, world_size: int) -> list[dict[str, Any]]:
    """Return the states of all workers, ordered by rank, on worker 0; the others get an empty list."""
    local_state = method.rank_state_dict()
    if world_size == 1:
        return [local_state]
    gathered: list[Any] | None = [None] * world_size if torch.distributed.get_rank() == 0 else None
    torch.distributed.gather_object(local_state, gathered)
    return gathered or []


def own_rank_state(states: Sequence[dict[str, Any]], rank: int, world_size: int) -> dict[str, Any]:
    """Return the state of a rank, empty if the number of workers has changed, because the data are then split differently."""
    return dict(states[rank]) if len(states) == world_size else {}
