"""Selection of key frames, which get a depth map, and of the frames that each is matched with."""

from collections.abc import Sequence

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import invert, transform

# Number of probes of a camera's view across the image, down the image, and over the swept range of inverse depth.
PROBES = (8, 6, 3)


def key_frames(world_from_camera: Tensor, distance: float, degrees: float) -> list[int]:
    """Return the first frame and each one that moved more than `distance` metres or turned more than `degrees` since the last
    one.

    world_from_camera: (V, 4, 4).
    """
    keys = [0]
    for index in range(1, len(world_from_camera)):
        last, pose = world_from_camera[keys[-1]], world_from_camera[index]
        moved = torch.linalg.vector_norm(pose[:3, 3] - last[:3, 3])
        cosine = ((last[:3, :3] * pose[:3, :3]).sum() - 1) / 2
        if moved > distance or torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))) > degrees:
            keys.append(index)
    return keys


def overlap(
    reference: int, intrinsics: Tensor, world_from_camera: Tensor, size: tuple[int, int], near: float, far: float
) -> Tensor:
    """Return (V,): the fraction of the view of frame `reference`, `near` to `far` metres away, that is visible in each frame.

    intrinsics: (V, 3, 3). world_from_camera: (V, 4, 4). size: height and width of the frames in pixels.
    """
    points = _probes(intrinsics[reference], world_from_camera[reference], size, near, far)
    shares = []
    for matrix, camera_from_world in zip(intrinsics, invert(world_from_camera)):
        seen = transform(points, camera_from_world) @ matrix.T
        x, y, z = seen.unbind(1)
        inside = (z > 0) & (x > 0) & (y > 0) & (x < size[1] * z) & (y < size[0] * z)
        shares.append(inside.double().mean())
    return torch.stack(shares)


def neighbours(
    reference: int, shares: Tensor, world_from_camera: Tensor, candidates: Sequence[int], count: int, baseline: float,
    min_overlap: float,
) -> list[int]:  # fmt: skip
    """Return up to `count` candidates with sufficient overlap, those whose distance is closest to `baseline` metres first.

    Frames nearer than a quarter of the baseline are excluded, because they contribute almost no depth information.
    """
    places = world_from_camera[:, :3, 3]
    away = torch.linalg.vector_norm(places - places[reference], dim=1)
    fit = [i for i in candidates if i != reference and shares[i] >= min_overlap and away[i] >= baseline / 4]
    return sorted(fit, key=lambda i: abs(float(torch.log(away[i] / baseline))))[:count]


def overlapping(shares: Sequence[Tensor], count: int, min_overlap: float) -> list[tuple[int, int]]:
    """Return the sorted pairs (lower, higher) in which one frame is among the `count` frames with the most overlap of the
    other.

    shares: for every frame, its `overlap` with all frames. Overlaps below min_overlap are excluded.
    """
    pairs = set()
    for frame, share in enumerate(shares):
        seen = [int(i) for i in share.argsort(descending=True, stable=True) if i != frame and share[i] >= min_overlap]
        pairs |= {(min(frame, other), max(frame, other)) for other in seen[:count]}
    return sorted(pairs)


def _probes(intrinsics: Tensor, pose: Tensor, size: tuple[int, int], near: float, far: float) -> Tensor:
    across, down, deep = PROBES
    x = (torch.arange(across, dtype=torch.float64) + 0.5) / across * size[1]
    y = (torch.arange(down, dtype=torch.float64) + 0.5) / down * size[0]
    depth = 1 / torch.linspace(1 / far, 1 / near, deep + 2, dtype=torch.float64)[1:-1]
    grid = torch.cartesian_prod(x, y, depth)
    rays = torch.cat([grid[:, :2], torch.ones(len(grid), 1, dtype=torch.float64)], 1) @ torch.linalg.inv(intrinsics).T
    return transform(rays * grid[:, 2:], pose)
