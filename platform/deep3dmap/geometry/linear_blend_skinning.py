"""Articulated meshes: turns of joints, their chain, linear blend skinning, after SMPL (M. Loper et al., SIGGRAPH Asia 2015).

There is no correction of the shape by the pose, so skin shrinks a little where joints bend far.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def rotations_of_vectors(vectors: Tensor) -> Tensor:
    """Rotation vectors (..., 3), axis times radians, to matrices (..., 3, 3); Rodrigues' formula, smooth at zero too."""
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
    """Pose a skeleton: each joint turns about itself, in the axes of its parent, and takes all its children along.

    rotations: (B, J, 3, 3). joints: (B, J, 3) at rest. parents: the joint before each, which has a lower number; the first,
    the root, has -1. Returns rotations (B, J, 3, 3) and positions (B, J, 3) in the frame of the rest pose.
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
    """Move vertices (B, V, 3) of the rest pose with the joints; weights (V, J) sum to one.

    rotations (B, J, 3, 3) and positions (B, J, 3): what `chain` returned for `joints` (B, J, 3). Returns (B, V, 3).
    """
    shifts = positions - (rotations @ joints[..., None])[..., 0]
    turn = torch.einsum("vj,bjkl->bvkl", weights, rotations)
    return (turn @ vertices[..., None])[..., 0] + torch.einsum("vj,bjk->bvk", weights, shifts)
