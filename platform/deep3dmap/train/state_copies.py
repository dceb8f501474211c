"""Copies the state of a method."""

from collections.abc import Mapping
from typing import Any

import torch


def copy_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state with cloned tensors, because further training changes tensors in place."""
    return {name: value.detach().clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}
