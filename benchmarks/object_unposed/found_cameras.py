"""Alignment of estimated cameras with the true ones, and their comparison with random guesses."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Camera, Reconstruction
from deep3dmap.core.pinhole_camera import cameras_of
from deep3dmap.geometry.alignment import Similarity3D
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.pose_alignment import align_cameras, inverse_similarity, transform_poses
from deep3dmap.metrics.camera_poses import chance_level, pose_errors, summarise_pose_errors

TRIALS = 50
KINDS = ("rotation_deg", "translation", "within_5_deg", "within_15_deg")


def estimated_poses(reconstruction: Reconstruction, truth: dict[str, Any]) -> Tensor:
    """Return the estimated poses (N, 4, 4); raises ValueError unless there is one for every given image."""
    cameras = reconstruction.cameras or []
    if len(cameras) != len(truth["world_from_camera"]):
        raise ValueError(f"{len(truth['world_from_camera'])} images are given, but {len(cameras)} cameras were estimated")
    return torch.from_numpy(np.stack([camera.world_from_camera for camera in cameras])).double()


def align_to_truth(reconstruction: Reconstruction, truth: dict[str, Any]) -> Similarity3D:
    """Return the similarity that maps the estimated camera centres to the true ones."""
    return align_cameras(estimated_poses(reconstruction, truth), truth["world_from_camera"])


def held_out_cameras(reconstruction: Reconstruction, truth: dict[str, Any]) -> list[Camera]:
    """Return the test cameras in the frame of the reconstruction."""
    moved = transform_poses(inverse_similarity(align_to_truth(reconstruction, truth)), truth["test_world_from_camera"])
    return cameras_of(truth["test_intrinsics"], moved, *np.shape(truth["test_images"])[-2:])


def pose_scores(reconstruction: Reconstruction, truth: dict[str, Any]) -> dict[str, float]:
    """Return the errors of the aligned poses, and as `chance_...` those of aligned random guesses."""
    true = torch.as_tensor(np.asarray(truth["world_from_camera"], np.float64))
    found = estimated_poses(reconstruction, truth)
    alignment = align_cameras(found, true)
    scores = summarise_pose_errors(pose_errors(found, true, alignment))
    scores["translation_share"] = scores["translation"] / _distance(true)
    chance = chance_level(true, lambda count, random: _sample_random_cameras(true, count, random), align_cameras, TRIALS)
    return scores | {f"chance_{name}": chance[name] for name in KINDS}


def _distance(poses: Tensor) -> float:
    return float(poses[:, :3, 3].norm(dim=1).mean())


def _sample_random_cameras(true: Tensor, count: int, random: torch.Generator) -> Tensor:
    """Sample cameras that look at the origin from the mean distance, uniformly over the heights of the true cameras."""
    distance = _distance(true)
    heights = true[:, 2, 3] / true[:, :3, 3].norm(dim=1)
    units = torch.rand(count, 2, generator=random, dtype=torch.float64)
    height = heights.min() + units[:, 0] * (heights.max() - heights.min())
    level, azimuth = (1 - height.square()).clamp(min=0).sqrt(), 2 * math.pi * units[:, 1]
    eyes = distance * torch.stack([level * azimuth.cos(), level * azimuth.sin(), height], 1)
    return torch.stack([look_at(eye, (0.0, 0.0, 0.0)) for eye in eyes])
