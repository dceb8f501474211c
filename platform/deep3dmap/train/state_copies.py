"""Copies of a method's state."""

from collections.abc import Mapping
from typing import Any

import torch


def copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state whose tensors are their own: what trains on changes its tensors in place."""
    return {name: value.detach().clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}
