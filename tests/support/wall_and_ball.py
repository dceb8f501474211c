"""A scan for plane-sweep stereo with exactly known geometry: a textured wall with a ball in front of it."""

from typing import Any

import numpy as np
import torch

from deep3dmap.methods.plane_sweep.cost_volume import GreyFrame
from deep3dmap.methods.plane_sweep.method import PlaneSweep

HEIGHT, WIDTH, FOCAL = 72, 96, 90.0
WALL, CENTRE, RADIUS = 2.0, np.array([0.1, 0.0, 1.6]), 0.35
INTRINSICS = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])


def texture(points: np.ndarray) -> np.ndarray:
    """Colours (3, H, W) that change smoothly with the position in the world and do not repeat in view."""
    generator = np.random.default_rng(0)
    waves = generator.normal(size=(24, 3)) * 14
    phases = generator.uniform(0, 2 * np.pi, (3, 24))
    values = np.sin((points @ waves.T)[None] + phases[:, None, None]).mean(-1)
    return (0.5 + 1.2 * values).clip(0, 1).astype(np.float32)


def frame(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image and depth of the wall z = WALL and the ball."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(INTRINSICS).T @ pose[:3, :3].T
    eye = pose[:3, 3]
    depth = (WALL - eye[2]) / rays[..., 2]
    offset = eye - CENTRE
    a, b, c = (rays**2).sum(-1), 2 * rays @ offset, offset @ offset - RADIUS**2
    root = b * b - 4 * a * c
    ball = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / (2 * a), np.inf)
    depth = np.minimum(depth, ball)
    return texture(eye + rays * depth[..., None]), depth.astype(np.float32)


def pose_at(x: float, y: float = 0.0, turn: float = 0.0) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    pose[:3, 3] = x, y, 0
    return pose


def scan() -> dict[str, Any]:
    poses = np.stack([pose_at(x, y, turn=-0.1 * x) for x, y in ((-0.4, 0), (-0.2, 0.1), (0, 0), (0.2, -0.1), (0.4, 0))])
    images, depths = zip(*(frame(pose) for pose in poses))
    intrinsics = np.repeat(INTRINSICS[None], len(poses), 0)
    return {"images": images, "true_depths": depths, "intrinsics": intrinsics, "world_from_camera": poses}


SCAN = scan()
SMALL = {"planes": 48, "near": 0.8, "far": 4.0, "baseline": 0.25, "key_distance": 0.1, "voxel_size": 0.03}


def given(frames: slice = slice(None)) -> dict[str, Any]:
    return {key: SCAN[key][frames] for key in PlaneSweep.card.consumes}


def view(index: int) -> GreyFrame:
    image = torch.from_numpy(SCAN["images"][index]).mean(0)
    return GreyFrame(image, *(torch.from_numpy(SCAN[key][index]) for key in ("intrinsics", "world_from_camera")))
