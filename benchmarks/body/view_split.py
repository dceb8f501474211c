"""Which views of a subject a method is handed, and which are kept to test what it made."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PER_VIEW = (
    *("images", "masks", "intrinsics", "world_from_camera", "affine_cameras"),
    *("landmarks_68_views", "landmark_visibility", "joints_views", "joint_visibility"),
)
ONE_IN = 4


def held_out_views(count: int) -> list[int]:
    """Return a quarter of `count` views, rounded down, evenly spread and never the first or the last."""
    held = count // ONE_IN
    return [int(view) for view in np.linspace(0, count - 1, held + 2)[1:-1].round()]


def all_but_the_middle(count: int) -> list[int]:
    """Return all views but the one in the middle, which of an arc around a face is the frontal one."""
    return [view for view in range(count) if view != count // 2]


def without_views(sample: Mapping[str, Any], held: Sequence[int]) -> dict[str, Any]:
    """Return a sample that lacks some of its views and is otherwise the same."""
    count = len(sample["images"])
    kept = [view for view in range(count) if view not in held]
    offered = dict(sample)
    for key in (key for key in PER_VIEW if key in sample):
        values = sample[key]
        offered[key] = values[kept] if isinstance(values, np.ndarray) else [values[view] for view in kept]
    return offered
