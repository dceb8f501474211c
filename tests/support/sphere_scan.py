"""A scan of a ball with exactly known geometry: the smallest scan that can be fused and scored."""

from typing import Any

import numpy as np

from deep3dmap.core.mesh import Mesh

RADIUS, CENTRE = 0.5, np.array([0.3, -0.2, 1.1])


def look_from(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], -1)
    pose[:3, 3] = eye
    return pose


def ball_depth(pose: np.ndarray, intrinsics: np.ndarray, height: int, width: int) -> np.ndarray:
    """Depth along the optical axis for rays through pixel centres at +0.5; 0 outside the ball."""
    rows, columns = np.mgrid[:height, :width]
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones((height, width))], -1) @ np.linalg.inv(intrinsics).T
    rays = rays @ pose[:3, :3].T
    offset = pose[:3, 3] - CENTRE
    a, b, c = (rays**2).sum(-1), 2 * (rays @ offset), offset @ offset - RADIUS**2
    root = b * b - 4 * a * c
    return np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / (2 * a), 0).astype(np.float32)


def sphere_scan(frames: int = 8, height: int = 120, width: int = 160) -> dict[str, Any]:
    """A sample with all keys of a room scan."""
    import trimesh

    intrinsics = np.array([[150.0, 0, width / 2], [0, 150, height / 2], [0, 0, 1]])
    turns = np.linspace(0, 2 * np.pi, frames, endpoint=False)
    eyes = CENTRE + 1.6 * np.stack([np.cos(turns), np.sin(turns), 0.7 * np.sin(3 * turns + 0.4)], -1)
    poses = np.stack([look_from(eye, CENTRE) for eye in eyes])
    depths = [ball_depth(pose, intrinsics, height, width) for pose in poses]
    ball = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS)
    red = np.zeros((3, height, width), np.float32)
    red[0] = 0.8
    return {
        "images": [red] * frames,
        "depths": depths,
        "true_depths": depths,
        "intrinsics": np.repeat(intrinsics[None], frames, 0),
        "world_from_camera": poses,
        "mesh": Mesh(ball.vertices + CENTRE, ball.faces),
    }
