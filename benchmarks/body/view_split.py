"""The split of a subject's views into those given to a method and those held out for testing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PER_VIEW = (
    *("images", "masks", "intrinsics", "world_from_camera", "affine_cameras"),
    *("landmarks_68_views", "landmark_visibility", "joints_views", "joint_visibility"),
)
ONE_IN = 4


def held_out_views(count: int) -> list[int]:
    """Return the indices of a quarter of `count` views, rounded down, evenly spread and without the first and the last."""
    held = count // ONE_IN
    return [int(view) for view in np.linspace(0, count - 1, held + 2)[1:-1].round()]


def all_but_middle_view(count: int) -> list[int]:
    """Return the indices of all views except the middle one, which in an arc around a face is the frontal one."""
    return [view for view in range(count) if view != count // 2]


def without_views(sample: Mapping[str, Any], held: Sequence[int]) -> dict[str, Any]:
    """Return a copy of the sample without some of its views."""
    count = len(sample["images"])
    kept = [view for view in range(count) if view not in held]
    offered = dict(sample)
    for key in (key for key in PER_VIEW if key in sample):
        values = sample[key]
        offered[key] = values[kept] if isinstance(values, np.ndarray) else [values[view] for view in kept]
    return offered
