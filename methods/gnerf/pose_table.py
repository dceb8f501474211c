"""A learnt pose for each image of a scene."""

import torch
from torch import Tensor, nn

from deep3dmap.methods.gnerf.pose_vectors import LENGTHS, PoseMode, poses_of_vectors


class PoseTable(nn.Module):
    """Pose vectors, one row per image, under the official parameter name.

    initial: (N, 3) for mode "3d", (N, 9) for "6d". The official code initialises all images with the position (0, 0, 1).
    Straight above the origin the rotation is undefined and its gradient explodes, after which Adam hardly changes the rotations
    of a "6d" table. Poses sampled from the prior are a better initialisation.
    """

    def __init__(self, initial: Tensor, mode: PoseMode) -> None:
        super().__init__()
        if initial.dim() != 2 or initial.shape[1] != LENGTHS[mode]:
            raise ValueError(f"a table of mode {mode} must be (N, {LENGTHS[mode]}), got {tuple(initial.shape)}")
        self.mode: PoseMode = mode
        self.poses_embed = nn.Parameter(initial.detach().clone())

    def forward(self, images: Tensor | slice = slice(None)) -> Tensor:
        """Return the poses (B, 3, 4) of the images at these indices, or of all images."""
        return poses_of_vectors(self.poses_embed[images], self.mode)

    def vectors(self, images: Tensor | slice = slice(None)) -> Tensor:
        """Return the raw rows (B, 3 or 9)."""
        rows: Tensor = self.poses_embed[images]
        return rows


def official_start(images: int, mode: PoseMode) -> Tensor:
    """Return the initial rows of the official code, which are degenerate."""
    rows = torch.zeros(images, LENGTHS[mode])
    rows[:, 2] = 1
    return rows
