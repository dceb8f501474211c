"""Joint limits and spreads of the axis-angle components of SMPL's skeleton, whose rest pose has the arms stretched out.

The values are coarse ranges of motion of healthy adults from anatomy books, not learnt from motion capture.
"""

import torch
from torch import Tensor

# Radians about x, y, z in the parent's axes: x to the subject's left, y up, z forwards. A knee bends by a positive rotation
# about x; the left elbow, whose arm points along x, by a negative rotation about y.
_LIMITS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "left_hip": ((-1.9, 0.5), (-0.7, 0.7), (-0.4, 0.8)),
    "spine1": ((-0.3, 0.6), (-0.3, 0.3), (-0.3, 0.3)),
    "left_knee": ((0.0, 2.3), (-0.1, 0.1), (-0.1, 0.1)),
    "spine2": ((-0.2, 0.4), (-0.3, 0.3), (-0.25, 0.25)),
    "left_ankle": ((-0.5, 0.7), (-0.4, 0.4), (-0.3, 0.3)),
    "spine3": ((-0.2, 0.3), (-0.3, 0.3), (-0.2, 0.2)),
    "left_foot": ((-0.6, 0.3), (-0.1, 0.1), (-0.1, 0.1)),
    "neck": ((-0.5, 0.6), (-0.7, 0.7), (-0.4, 0.4)),
    "left_collar": ((-0.2, 0.2), (-0.3, 0.2), (-0.2, 0.4)),
    "head": ((-0.4, 0.4), (-0.5, 0.5), (-0.3, 0.3)),
    "left_shoulder": ((-1.0, 1.0), (-1.6, 0.6), (-1.5, 1.3)),
    "left_elbow": ((-0.8, 0.8), (-2.5, 0.0), (-0.2, 0.2)),
    "left_wrist": ((-0.6, 0.6), (-0.4, 0.4), (-0.9, 0.9)),
}
_ORDER = (
    *("left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle", "spine3"),
    *("left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist"),
)


def pose_limits(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the smallest and largest components of `body_pose`, both (63,) radians, with the type and device of `like`."""
    rows = [_limits_of(name) for name in _ORDER]
    both = torch.tensor(rows, dtype=torch.float64).reshape(-1, 2).to(like)
    return both[:, 0], both[:, 1]


def pose_sigma(like: Tensor) -> Tensor:
    """Return the spread (63,) of each component in radians: two fifths of its larger limit."""
    low, high = pose_limits(like)
    return 0.4 * torch.maximum(-low, high)


def beyond_limits(body_pose: Tensor) -> Tensor:
    """Return the sum (B,) of the squared angles, in radians, by which the components (B, 63) exceed their limits."""
    low, high = pose_limits(body_pose)
    return (torch.relu(low - body_pose) ** 2 + torch.relu(body_pose - high) ** 2).sum(-1)


def _limits_of(name: str) -> tuple[tuple[float, float], ...]:
    if not name.startswith("right_"):
        return _LIMITS[name]
    # Mirroring left and right preserves rotations about x and reverses those about y and z.
    x, y, z = _LIMITS[name.replace("right_", "left_")]
    return x, (-y[1], -y[0]), (-z[1], -z[0])
