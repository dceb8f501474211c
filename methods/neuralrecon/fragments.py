"""A fragment as network input: the voxel box that its views see, their projections, and the levelled camera."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from deep3dmap.geometry.cameras import scale_intrinsics
from deep3dmap.geometry.frusta import bounds

LEVELS = 3
FEATURE_STRIDE = 4
STRAIGHT = 1e-8
TargetGrid = Literal["intended", "upstream"]


@dataclass(frozen=True)
class FragmentConfig:
    """Settings for making fragments from frames; lengths in metres. See NeuralReconConfig for the fields."""

    n_vox: tuple[int, int, int] = (96, 96, 96)
    voxel_size: float = 0.04
    floor: float = -0.2
    snap: int = 8
    image_size: tuple[int, int] = (640, 480)
    max_depth: float = 3.0
    views: int = 9
    min_angle: float = 15.0
    min_distance: float = 0.1
    target_grid: TargetGrid = "intended"


@dataclass(frozen=True)
class Views:
    """The views of a fragment at the network's resolution.

    images: (V, 3, H, W) float32 RGB in 0..255. intrinsics: (V, 3, 3) float64 of these images, with pixel centres at +0.5.
    world_from_camera: (V, 4, 4) float64 metres, z up.
    """

    images: Tensor
    intrinsics: Tensor
    world_from_camera: Tensor


def load_views(images: Any, intrinsics: Any, world_from_camera: Any, frames: list[int], config: FragmentConfig) -> Views:
    """Read the frames of a fragment from a scan and resize them. images: sequence of (3, H, W) RGB in [0, 1]."""
    width, height = config.image_size
    resized, matrices = [], []
    for frame in frames:
        image = torch.from_numpy(np.asarray(images[frame], np.float32))
        matrix = torch.as_tensor(np.asarray(intrinsics[frame], np.float64))
        resized.append(_resized(image, height, width) * 255)
        matrices.append(scale_intrinsics(matrix, width / image.shape[2], height / image.shape[1]))
    poses = torch.from_numpy(np.asarray(world_from_camera, np.float64)[frames])
    return Views(torch.stack(resized), torch.stack(matrices), poses)


def make_fragment(views: Views, scene: str, config: FragmentConfig) -> dict[str, Any]:
    """Return the network's inputs for one fragment, without targets.

    `images`; `projection` (V, 3, 4, 4) float32, from the world to pixels (integer centres) of the feature maps at 1/4, 1/8,
    1/16; `vol_origin_partial` (3,) float32, world metres of the box's lowest voxel; `world_to_aligned_camera` (4, 4) float32;
    `scene`.
    """
    return {
        "images": views.images,
        "projection": projections(views).float(),
        "vol_origin_partial": box_origin(views, config).float(),
        "world_to_aligned_camera": aligned_camera(views.world_from_camera[len(views.world_from_camera) // 2]).float(),
        "scene": scene,
    }


def box_origin(views: Views, config: FragmentConfig) -> Tensor:
    """Return the position (3,) in world metres of a fragment's lowest voxel, at a multiple of `snap` voxels.

    In x and y the box is centred on the frusta cut off at max_depth. In z it starts at a fixed height, as the network expects.
    """
    height, width = views.images.shape[-2:]
    intrinsics, poses = _integer_centred(views.intrinsics), views.world_from_camera
    lower, upper = bounds(intrinsics, poses, width, height, 0.0, config.max_depth)
    centre = ((lower + upper) / 2)[:2] / config.voxel_size / config.snap
    begin = np.floor(config.floor / config.voxel_size / config.snap)
    snapped = torch.tensor([*centre.round().tolist(), begin], dtype=torch.float64) * config.snap
    half = torch.tensor([config.n_vox[0] // 2, config.n_vox[1] // 2, 0], dtype=torch.float64)
    return (snapped - half) * config.voxel_size


def aligned_camera(world_from_camera: Tensor) -> Tensor:
    """Return the transform (4, 4) from the world (z up) to a levelled camera: x right, y down along gravity, z forward."""
    pose = world_from_camera.double()
    up = pose[:3, :3].T @ pose.new_tensor([0.0, 0.0, 1.0])
    level = torch.eye(4, dtype=torch.float64)
    level[:3, :3] = _turn(up / up.norm(), pose.new_tensor([0.0, -1.0, 0.0]))
    return level @ torch.linalg.inv(pose)


def projections(views: Views) -> Tensor:
    """Return pixel-from-world matrices (V, 3, 4, 4) for the feature maps, whose corner coincides with that of the image."""
    world_to_camera = torch.linalg.inv(views.world_from_camera)
    scales = []
    for level in range(LEVELS):
        intrinsics = _integer_centred(views.intrinsics) / (FEATURE_STRIDE * 2**level)
        intrinsics[:, 2, 2] = 1
        matrix = world_to_camera.clone()
        matrix[:, :3] = intrinsics @ world_to_camera[:, :3]
        scales.append(matrix)
    return torch.stack(scales, 1)


def _integer_centred(intrinsics: Tensor) -> Tensor:
    shifted = intrinsics.clone()
    shifted[:, :2, 2] -= 0.5
    return shifted


def _turn(source: Tensor, target: Tensor) -> Tensor:
    """Return the smallest rotation (3, 3) from one unit vector to another; the identity if they are equal."""
    axis = torch.linalg.cross(source, target)
    sine, cosine = axis.norm(), source @ target
    if sine < STRAIGHT:
        # An upside-down camera: half a turn about its optical axis.
        return torch.diag(source.new_tensor([1.0, 1, 1] if cosine > 0 else [-1.0, -1, 1]))
    x, y, z = (axis / sine).tolist()
    skew = source.new_tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return torch.eye(3, dtype=source.dtype) + sine * skew + (1 - cosine) * (skew @ skew)


def _resized(image: Tensor, height: int, width: int) -> Tensor:
    if image.shape[-2:] == (height, width):
        return image
    return functional.interpolate(image[None], (height, width), mode="bilinear", align_corners=False, antialias=True)[0]


def rotation_about_z(angle: float, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the transform (4, 4) that rotates by `angle` radians about z and then translates by `shift` (3,) metres."""
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    return matrix


def batch_of(fragments: Sequence[dict[str, Any]], device: torch.device) -> dict[str, Any]:
    """Collate fragments into a batch on the device."""
    batch: dict[str, Any] = {}
    for name, value in fragments[0].items():
        values = [fragment[name] for fragment in fragments]
        if isinstance(value, Tensor):
            batch[name] = torch.stack([tensor.to(device) for tensor in values])
        elif isinstance(value, list):
            batch[name] = [torch.stack([tensor.to(device) for tensor in level]) for level in zip(*values)]
        else:
            batch[name] = values
    return batch
