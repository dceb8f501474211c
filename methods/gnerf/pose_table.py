"""A learnt pose for every image of a scene."""

import torch
from torch import Tensor, nn

from deep3dmap.methods.gnerf.pose_vectors import LENGTHS, PoseMode, poses_of_vectors


class PoseTable(nn.Module):
    """Vectors of poses, one row per image, under the official name.

    initial: (N, 3) with mode "3d", (N, 9) with "6d". The official code starts with the position (0, 0, 1) for all images.
    Straight above the origin a rotation is not defined and its gradient explodes, after which Adam hardly moves the rotations
    of a "6d" table; poses drawn from the prior are the better start.
    """

    def __init__(self, initial: Tensor, mode: PoseMode) -> None:
        super().__init__()
        if initial.dim() != 2 or initial.shape[1] != LENGTHS[mode]:
            raise ValueError(f"a table of mode {mode} holds (N, {LENGTHS[mode]}) numbers, got {tuple(initial.shape)}")
        self.mode: PoseMode = mode
        self.poses_embed = nn.Parameter(initial.detach().clone())

    def forward(self, images: Tensor | slice = slice(None)) -> Tensor:
        """Return the poses (B, 3, 4) of the images at these indices, of all without any."""
        return poses_of_vectors(self.poses_embed[images], self.mode)

    def vectors(self, images: Tensor | slice = slice(None)) -> Tensor:
        """Return the rows (B, 3 or 9) as they are."""
        rows: Tensor = self.poses_embed[images]
        return rows


def official_start(images: int, mode: PoseMode) -> Tensor:
    """Return the initial rows of the official code, which are degenerate."""
    rows = torch.zeros(images, LENGTHS[mode])
    rows[:, 2] = 1
    return rows
