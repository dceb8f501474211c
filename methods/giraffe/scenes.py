"""Sampling of scenes, for training from a generator, and for generation from an index and a seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.data.generation import item_seed
from deep3dmap.methods.giraffe.bounding_boxes import BoxConfig, Boxes, rotation_about_z, sample_boxes
from deep3dmap.methods.giraffe.camera_sampling import CameraConfig, sample_poses
from deep3dmap.methods.giraffe.generator import Scene
from deep3dmap.methods.giraffe.latent_codes import Codes, sample_codes


@dataclass(frozen=True)
class SceneConfig:
    """Sampling ranges of scenes.

    latent, background_latent: length of the codes. background_rotation: turns. object_counts: probabilities of scenes with
    1, 2, ... randomly chosen objects; empty for always all of them.
    """

    latent: int = 256
    background_latent: int = 128
    boxes: BoxConfig = field(default_factory=BoxConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    background_rotation: tuple[float, float] = (0.0, 0.0)
    object_counts: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.object_counts and (len(self.object_counts) != self.boxes.count or not np.isclose(sum(self.object_counts), 1)):
            raise UserError(
                f"method.object_counts needs a probability for each of 1..{self.boxes.count} objects, with a sum of 1,"
                f" got {list(self.object_counts)}"
            )


def sample_scenes(
    config: SceneConfig,
    count: int,
    generator: torch.Generator,
    temperature: float = 1.0,
    positions: Tensor | None = None,
) -> Scene:
    """Sample `count` scenes. temperature: standard deviation of the codes. positions: see `sample_boxes`."""
    boxes = sample_boxes(config.boxes, count, generator, positions)
    codes = sample_codes(count, config.boxes.count, config.latent, config.background_latent, generator, temperature)
    poses = sample_poses(config.camera, count, generator)
    low, high = config.background_rotation
    turns = low + torch.rand(count, generator=generator) * (high - low)
    return Scene(codes, boxes, poses, rotation_about_z(turns), _sample_present(config, count, generator))


def scenes_of_indices(
    config: SceneConfig, indices: Sequence[int], seed: int, temperature: float = 1.0, positions: Tensor | None = None
) -> Scene:
    """Return the scenes with these indices; each depends on its index and the seed only, not on the other scenes."""
    drawn = []
    for index in indices:
        generator = torch.Generator().manual_seed(item_seed("giraffe", seed, index))
        drawn.append(sample_scenes(config, 1, generator, temperature, positions))
    return join_scenes(drawn)


def join_scenes(scenes: Sequence[Scene]) -> Scene:
    """Concatenate scenes with equally many objects."""
    codes = Codes(*map(torch.cat, zip(*(scene.codes for scene in scenes))))
    boxes = Boxes(*map(torch.cat, zip(*(scene.boxes for scene in scenes))))
    poses = torch.cat([scene.world_from_camera for scene in scenes])
    rotations = torch.cat([scene.background_rotation for scene in scenes])
    present = [scene.present for scene in scenes if scene.present is not None]
    return Scene(codes, boxes, poses, rotations, torch.cat(present) if present else None)


def to_device(scene: Scene, device: torch.device) -> Scene:
    """Move a scene to a device."""
    codes, boxes = Codes(*(code.to(device) for code in scene.codes)), Boxes(*(part.to(device) for part in scene.boxes))
    present = None if scene.present is None else scene.present.to(device)
    return Scene(codes, boxes, scene.world_from_camera.to(device), scene.background_rotation.to(device), present)


def _sample_present(config: SceneConfig, count: int, generator: torch.Generator) -> Tensor | None:
    if not config.object_counts:
        return None
    chances = torch.tensor(config.object_counts)
    numbers = 1 + torch.multinomial(chances, count, replacement=True, generator=generator)
    order = torch.rand(count, config.boxes.count, generator=generator).argsort(1).argsort(1)
    return order < numbers[:, None]
