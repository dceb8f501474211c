"""Writes an outdoor scene to disk: a capture in COLMAP's layout with depth maps and the ground-truth surface."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.core.ply import to_ply
from deep3dmap.data.formats import colmap
from deep3dmap.data.formats.images import write_gray16, write_image
from deep3dmap.data.scenes.sky import sky
from deep3dmap.data.scenes.solid_render import Daylight, SolidRenderer
from deep3dmap.data.scenes.terrain_layout import CAMERA_RING, design_terrain
from deep3dmap.geometry.cameras import look_at, unproject

SPLITS = ("train", "val", "test")
PER_METRE = 100.0  # units of the depth maps per metre (centimetres), 0 = sky
NOISE, RANGE = 0.01, 80.0  # relative standard deviation of sensed depth, and farthest reading in metres
POINTS_PER_VIEW = 80
SECONDS_PER_VIEW = 0.12
LIGHT = Daylight(sun=(0.5, -0.3, 0.7), direct=0.6, sky=0.5, ground=0.6, gloss=0.0)


@dataclass(frozen=True)
class TerrainRecipe:
    """Settings that determine the files of a scene. train, val, test: views per split."""

    seed: int
    train: int
    val: int
    test: int
    width: int
    height: int
    supersample: int


def write_terrain(folder: Path, recipe: TerrainRecipe) -> None:
    """Write images/, sparse/0, depth/ (as sensed), true_depth/, mesh.ply (seen in training views) and bounds.json."""
    layout, way, noise = (np.random.default_rng(seed) for seed in np.random.SeedSequence(recipe.seed).spawn(3))
    terrain = design_terrain(layout)
    renderer = SolidRenderer(terrain.quads, terrain.materials, LIGHT, recipe.supersample)
    for name in ("images", "depth", "true_depth"):
        (folder / name).mkdir()
    cameras = {split: _cameras(getattr(recipe, split), recipe, way) for split in SPLITS}
    shown = [_write_view(folder, renderer, f"train_{i:03d}.png", one, noise) for i, one in enumerate(cameras["train"])]
    (folder / "mesh.ply").write_bytes(to_ply(renderer.visible_mesh()))
    for split in SPLITS[1:]:
        for index, camera in enumerate(cameras[split]):
            _write_view(folder, renderer, f"{split}_{index:03d}.png", camera, noise)
    names = [f"{split}_{index:03d}.png" for split in SPLITS for index in range(len(cameras[split]))]
    points, colors = (np.concatenate(parts) for parts in zip(*shown))
    colmap.write_model(folder, [one for split in SPLITS for one in cameras[split]], names, points, colors)
    (folder / "bounds.json").write_text(json.dumps(terrain.bounds.tolist()))


def _write_view(
    folder: Path, renderer: SolidRenderer, name: str, camera: Camera, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Write the image and depth maps of one view; return a few visible points (P, 3) and their colours (P, 3)."""
    picture = renderer.picture(camera)
    image = picture.image * picture.mask + sky(camera) * (1 - picture.mask)
    write_image(folder / "images" / name, image)
    write_gray16(folder / "true_depth" / name, _quantise_depth(picture.depth))
    write_gray16(folder / "depth" / name, _quantise_depth(_add_sensor_noise(picture.depth, rng)))
    rows, columns = np.nonzero((picture.depth > 0) & (picture.depth < RANGE))
    some = rng.permutation(len(rows))[:POINTS_PER_VIEW]
    places = unproject(picture.depth.astype(np.float64), camera.intrinsics, camera.world_from_camera).numpy()
    return places[rows[some], columns[some]], image[:, rows[some], columns[some]].T


def _cameras(count: int, recipe: TerrainRecipe, rng: np.random.Generator) -> list[Camera]:
    focal = 0.75 * recipe.width
    intrinsics = np.array([[focal, 0, recipe.width / 2], [0, focal, recipe.height / 2], [0, 0, 1.0]])
    cameras = []
    for index in range(count):
        angle = 2 * np.pi * (index + rng.uniform(0, 1)) / count
        away, height = rng.uniform(*CAMERA_RING), rng.uniform(2.0, 11.0)
        eye = np.array([away * np.cos(angle), away * np.sin(angle), height])
        target = np.array([*rng.uniform(-7, 7, 2), rng.uniform(1.0, 5.0)])
        cameras.append(Camera(intrinsics, look_at(eye, target).numpy(), recipe.width, recipe.height))
    return cameras


def _quantise_depth(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.round(np.clip(depth * PER_METRE, 0, 65535)).astype(np.uint16)


def _add_sensor_noise(depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    noisy = depth * (1 + NOISE * rng.standard_normal(depth.shape, np.float32))
    return np.where((depth > 0) & (depth < RANGE), noisy, 0).astype(np.float32)
