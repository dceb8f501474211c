"""Toy faces: the procedural head with random shapes and poses, painted without a renderer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.config.schema import OptimizerConfig, ScheduleConfig, TrainerConfig
from deep3dmap.data.scenes.head_layout import MARGIN
from deep3dmap.data.scenes.head_model import head_model
from deep3dmap.frameworks import LoopSettings, TrainLoop
from deep3dmap.geometry.face_crop import crop_from_detector_box, detector_box_of_square, positions_to_crop, warp
from deep3dmap.geometry.face_pose import HeadPose
from deep3dmap.geometry.position_maps import sample
from deep3dmap.render.mesh_renderer import render_in_image

GRID, SIDE, CROP = 33, 96, 64
MODEL = head_model(GRID)


def toy_face(seed: int) -> dict[str, Any]:
    """Return a face in a 96 pixel photograph, with its crop of 64 pixels and its position map of 64 texels."""
    generator = np.random.default_rng(seed)
    vertices = MODEL.shape(generator.normal(size=10), generator.uniform(0, 0.3, 3))
    angles = np.radians(generator.uniform((-15, -45, -15), (15, 45, 15)))
    pose = HeadPose(angles, np.array([SIDE / 2, SIDE / 2, 0]) + generator.uniform(-4, 4, 3), 0.32)
    positions = pose.image(vertices + np.array([0, 30, 0]), SIDE)
    positions[:, 2] -= positions[:, 2].min()
    image = paint(positions, MODEL.albedo(generator.normal(size=5)), generator.random(3))
    landmarks = MODEL.landmarks(positions)[:, :2]
    corner = (landmarks.min(0) + landmarks.max(0)) / 2 - 40
    box = detector_box_of_square(corner[0], corner[1], 80.0)
    crop_from_image = crop_from_detector_box(box, CROP)
    return {
        "image": image,
        "box": box,
        "landmarks_68": MODEL.landmarks(positions).astype(np.float32),
        "head_pose": angles.astype(np.float32),
        "crop": warp(image, crop_from_image, CROP),
        "position_map": positions_to_crop(map_of_vertices(positions), crop_from_image),
        "crop_from_image": crop_from_image,
        "dense_points": positions.astype(np.float32),
        "dense_uv": MODEL.uv,
    }


def paint(positions: np.ndarray, albedo: np.ndarray, ground: np.ndarray) -> np.ndarray:
    faces, colors = MODEL.faces[:, ::-1].copy(), albedo ** (1 / 2.2)
    seen = render_in_image(positions, faces, SIDE, SIDE, colors=colors, background=tuple(ground))
    return seen.image.numpy()


def map_of_vertices(positions: np.ndarray) -> np.ndarray:
    axis = np.arange(CROP) / (CROP - 1)
    u, v = np.meshgrid(axis, axis[::-1])
    on_grid = ((np.stack([u, v], -1) - MARGIN) / (1 - 2 * MARGIN)).clip(0, 1).reshape(-1, 2)
    grid_map = positions.reshape(GRID, GRID, 3).transpose(2, 0, 1)
    return sample(grid_map, on_grid).T.reshape(3, CROP, CROP)


class Faces:
    """A map-style split of toy faces."""

    def __init__(self, seeds: range) -> None:
        self.faces = [toy_face(seed) for seed in seeds]

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.faces[index]

    def name(self, index: int) -> str:
        return f"face_{index}"


@pytest.fixture(scope="session")
def make_faces() -> Callable[[range], Faces]:
    return Faces


@pytest.fixture(scope="session")
def faces() -> Faces:
    return Faces(range(8))


class HereHost:
    """A host without a scheduler: one worker, this process."""

    rank, world_size, device = 0, 1, torch.device("cpu")

    def report(self, metrics: Any) -> None:
        """Ignore the metrics."""

    def should_stop(self) -> bool:
        return False


@pytest.fixture
def make_loop() -> Callable[..., TrainLoop]:
    """Return a function that makes a training loop on the given data; keywords are the trainer's, `lr` is the optimiser's."""

    def make(data: Any, lr: float = 1e-3, schedule: str = "constant", **trainer: Any) -> TrainLoop:
        sections = TrainerConfig(**trainer), OptimizerConfig(lr=lr), ScheduleConfig(name=schedule)
        return TrainLoop(HereHost(), LoopSettings(*sections), data)

    return make
