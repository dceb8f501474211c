"""Articulated meshes: joint rotations, forward kinematics, linear blend skinning (SMPL, Loper et al., SIGGRAPH Asia 2015).

There are no pose-dependent shape correctives, so strongly bent joints lose some volume.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def rotations_of_vectors(vectors: Tensor) -> Tensor:
    """Convert axis-angle vectors (..., 3) in radians to matrices (..., 3, 3) by Rodrigues' formula; differentiable at zero."""
    squared = (vectors**2).sum(-1)[..., None, None]
    small = squared < 1e-8
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    first = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    second = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / angle**2)
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vectors.shape, 3)
    return torch.eye(3, dtype=vectors.dtype, device=vectors.device) + first * cross + second * (cross @ cross)


def chain(rotations: Tensor, joints: Tensor, parents: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Pose a skeleton by forward kinematics.

    rotations: (B, J, 3, 3) of each joint, in its parent's axes. joints: (B, J, 3) at rest. parents: index of each joint's
    parent, lower than its own; -1 for the root, which is the first. Returns rotations (B, J, 3, 3) and positions (B, J, 3) in
    the frame of the rest pose. Raises ValueError for a parent that does not come before its joint.
    """
    turned, placed = [rotations[:, 0]], [joints[:, 0]]
    for joint in range(1, joints.shape[1]):
        parent = parents[joint]
        if not 0 <= parent < joint:
            raise ValueError(f"the parent of joint {joint} is {parent}; it must come before it")
        bone = joints[:, joint] - joints[:, parent]
        placed.append(placed[parent] + (turned[parent] @ bone[..., None])[..., 0])
        turned.append(turned[parent] @ rotations[:, joint])
    return torch.stack(turned, 1), torch.stack(placed, 1)


def skin(vertices: Tensor, weights: Tensor, rotations: Tensor, positions: Tensor, joints: Tensor) -> Tensor:
    """Skin rest-pose vertices (B, V, 3) to the posed joints; returns (B, V, 3). weights: (V, J), rows sum to one.

    rotations (B, J, 3, 3) and positions (B, J, 3): as returned by `chain` for `joints` (B, J, 3).
    """
    shifts = positions - (rotations @ joints[..., None])[..., 0]
    turn = torch.einsum("vj,bjkl->bvkl", weights, rotations)
    return (turn @ vertices[..., None])[..., 0] + torch.einsum("vj,bjk->bvk", weights, shifts)
