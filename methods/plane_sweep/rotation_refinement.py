"""Refinement of the frames' rotations from the pictures. The poses of a tracker with a different camera or clock are off by
fractions of a degree, which at the baseline of a hand-held camera causes decimetres of depth error.

Each frame is rotated until it matches a key frame at the key frame's depths (direct alignment: B. Lucas and T. Kanade, IJCAI
1981; M. Irani and P. Anandan, About Direct Methods, 1999), and the rotations of all pairs are averaged over the scan.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import invert, transform, unproject
from deep3dmap.geometry.rotations import matrix_of_axis_angle
from deep3dmap.methods.plane_sweep.cost_volume import GreyFrame

STEPS = 8
MIN_COMPARED = 0.1  # minimum fraction of a frame's pixels to compare
MIN_CORRELATION = 0.7  # correlation below which two frames are considered not to match
OUTLIER = 0.04  # difference of grey values at which the weight is one half
MAX_ROTATION = 0.03  # radians; beyond this the alignment is considered to have failed
FRAME, PAIR = 0.0035, 0.001  # radians: standard deviations of a frame's error and of a measured rotation


class PairRotation(NamedTuple):
    """Rotation of frame `second` that aligns it with frame `first`: axis times angle in the world, (3,) radians."""

    first: int
    second: int
    vector: Tensor


def turn_onto(reference: GreyFrame, depth: Tensor, other: GreyFrame) -> Tensor | None:
    """Return the rotation (3,) of `other`, axis times angle in the world, that aligns it with `reference` at `depth` (H, W).

    Gauss-Newton on the contrast-normalised grey values where depth > 0; None if the overlap or the correlation is too small.
    """
    chosen = depth > 0
    points = unproject(depth.double(), reference.intrinsics, reference.world_from_camera)[chosen]
    before = transform(points, invert(other.world_from_camera.double()))
    target = reference.image[chosen].double()
    layers = torch.stack([other.image, *_image_gradients(other.image)])[None].double()
    turn = torch.zeros(3, dtype=torch.float64)
    correlation = 0.0
    for _ in range(STEPS):
        seen = before @ matrix_of_axis_angle(turn).T
        inside, pixels = _inside(seen, other)
        if inside.sum() < MIN_COMPARED * depth.numel():
            return None
        grey, *slopes = torch.nn.functional.grid_sample(layers, pixels[None, None], align_corners=False)[0, :, 0]
        left, right = target[inside] - target[inside].mean(), grey - grey.mean()
        contrast = (left.std() / right.std().clamp(min=1e-6)).clamp(0.5, 2)
        rest = left - contrast * right
        rows = contrast * _rotation_derivatives(seen[inside], other.intrinsics, slopes)
        weighted = rows / (1 + (rest / OUTLIER) ** 2)[:, None]
        turn = turn + torch.linalg.solve(weighted.T @ rows + 1e-9 * torch.eye(3, dtype=torch.float64), weighted.T @ rest)
        correlation = float((left * right).mean() / (left.std() * right.std()).clamp(min=1e-9))
    if correlation < MIN_CORRELATION or turn.norm() > MAX_ROTATION:
        return None
    return -(other.world_from_camera[:3, :3].double() @ turn)


def agreed_turns(turns: Sequence[PairRotation], count: int, rounds: int = 5) -> Tensor:
    """Return the rotations of all frames (V, 3) that agree best with the pairs', with a prior that keeps them small.

    Solves iteratively reweighted least squares with Huber weights, which limits the influence of wrong pairs.
    """
    first, second = (torch.tensor([turn[end] for turn in turns]) for end in (0, 1))
    measured = torch.stack([turn.vector for turn in turns])
    rows = torch.zeros(len(turns), count, dtype=torch.float64)
    rows.scatter_(1, second[:, None], 1.0).scatter_(1, first[:, None], -1.0)
    weights = torch.ones(len(turns), dtype=torch.float64)
    found = torch.zeros(count, 3, dtype=torch.float64)
    for _ in range(rounds):
        weighted = rows * weights[:, None]
        squares = weighted.T @ rows + (PAIR / FRAME) ** 2 * torch.eye(count, dtype=torch.float64)
        found = torch.linalg.solve(squares, weighted.T @ measured)
        weights = (2 * PAIR / (rows @ found - measured).norm(dim=1).clamp(min=1e-9)).clamp(max=1)
    return found


def rotate_cameras(world_from_camera: Tensor, turns: Tensor) -> Tensor:
    """Rotate cameras (V, 4, 4) about their centres by axes times angles in the world (V, 3)."""
    moved = world_from_camera.clone()
    moved[:, :3, :3] = matrix_of_axis_angle(turns) @ world_from_camera[:, :3, :3]
    return moved


def _image_gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the horizontal (rightward) and vertical (downward) gradients of the grey values, (H, W) each."""
    down, right = torch.gradient(image)
    return right, down


def _inside(points: Tensor, view: GreyFrame) -> tuple[Tensor, Tensor]:
    """Return a mask of the camera points (N, 3) inside the view, and their grid_sample coordinates (M, 2)."""
    size = torch.tensor([view.image.shape[1], view.image.shape[0]], dtype=torch.float64)
    pixels = points @ view.intrinsics.double().T
    places = pixels[:, :2] / pixels[:, 2:].clamp(min=1e-6) / size * 2 - 1
    inside = (pixels[:, 2] > 1e-6) & (places.abs() < 0.98).all(1)
    return inside, places[inside]


def _rotation_derivatives(points: Tensor, intrinsics: Tensor, slopes: Sequence[Tensor]) -> Tensor:
    """Return (N, 3): derivatives of the grey values at points (N, 3) with respect to rotations about the camera's axes."""
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    across, down = slopes[0] * intrinsics[0, 0], slopes[1] * intrinsics[1, 1]
    return torch.stack([-across * x * y - down * (1 + y * y), across * (1 + x * x) + down * x * y, down * x - across * y], 1)
