"""The options of GIRAFFE, and what they say of networks and scenes."""

import math
from dataclasses import dataclass
from typing import Any, Literal, cast

from torch import nn

from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option
from deep3dmap.methods.giraffe.bounding_boxes import BoxConfig
from deep3dmap.methods.giraffe.cameras import CameraConfig
from deep3dmap.methods.giraffe.discriminators import DCDiscriminator, ResNetDiscriminator
from deep3dmap.methods.giraffe.feature_field import FieldConfig
from deep3dmap.methods.giraffe.generator import GeneratorConfig
from deep3dmap.methods.giraffe.scenes import SceneConfig


@dataclass
class GiraffeConfig:
    """Networks, the ranges that scenes are drawn from, and training."""

    image_size: int = option(64, "side of the pictures in pixels; others are resized to it", low=16, high=1024)
    resolution: int = option(16, "side of the feature map that is volume rendered", low=4, high=64)
    samples: int = option(64, "samples along each ray", low=4, high=256)
    near: float = option(0.5, "depth of the first sample, in scene units", low=0.0)
    far: float = option(6.0, "depth of the last sample, in scene units")
    latent: int = option(256, "length of an object's shape code and of its appearance code", low=1)
    background_latent: int = option(128, "length of the background's codes", low=1)
    hidden: int = option(128, "units of the objects' field", low=8, high=512)
    blocks: int = option(8, "layers of the objects' field before the density", low=2, high=16)
    skips: list = option([4], "layers after which code and position enter again")
    background_hidden: int = option(64, "units of the background's field", low=8, high=512)
    background_blocks: int = option(4, "layers of the background's field before the density", low=2, high=16)
    features: int = option(128, "channels of the feature map", low=8, high=512)
    fewest_channels: int = option(32, "channels of the neural renderer's last layers, at least", low=4)
    position_octaves: int = option(10, "octaves in which positions are encoded", low=1, high=16)
    direction_octaves: int = option(4, "octaves in which view directions are encoded", low=1, high=16)
    composition: str = option(
        "mean", "fields compose to their density-weighted mean or to the densest", choices=("mean", "densest")
    )
    discriminator: str = option(
        "plain", "plain: strided convolutions; residual: that of the 2D baseline", choices=("plain", "residual")
    )
    discriminator_width: int = option(512, "channels of its last layer (plain) or first layer (residual)", low=8, high=1024)
    field_of_view: float = option(49.13, "of the camera, in degrees", low=1.0, high=120.0)
    camera_azimuth: list = option([0.0, 0.0], "range of the camera's azimuth in turns")
    camera_height: list = option([0.25, 0.25], "range of its height: 0 at the pole above, 0.5 at the horizon")
    camera_radius: list = option([2.732, 2.732], "range of its distance from the origin, in scene units")
    camera_axes: str = option(
        "own", "own: orthonormal; batch: as the official code had them when its weights were trained", choices=("own", "batch")
    )
    objects: int = option(1, "objects in a scene", low=1, high=20)
    object_counts: list = option([], "probabilities of scenes with 1, 2, ... of the objects; none = always all of them")
    scale_low: list = option([0.2, 0.2, 0.2], "least half extents of an object's box, in scene units")
    scale_high: list = option([0.3, 0.3, 0.3], "largest half extents")
    translation_low: list = option([-0.75, -0.75, 0.0], "least place of an object, in scene units")
    translation_high: list = option([0.75, 0.75, 0.0], "largest place")
    rotation: list = option([0.0, 1.0], "range of an object's turn about its upright axis, in turns")
    apart: bool = option(False, "objects do not touch")
    positions: str = option("", "a .npz with places of whole scenes, as the official code has for CLEVR; none draws them")
    background_rotation: list = option([0.0, 0.0], "range of the background's turn, in turns")
    weights: str = option("", "checkpoint of the official code to generate from; nothing is trained then")
    penalty: float = option(10.0, "weight of R1, gamma / 2", low=0.01, high=1000.0, log=True)
    discriminator_rate: float = option(
        0.2, "learning rate of the discriminator, as a factor of the generator's", low=0.01, high=4.0
    )
    flip: bool = option(True, "pictures to train on are mirrored at random")


def generator_config(config: GiraffeConfig) -> GeneratorConfig:
    """Return the generator's sizes; raises UserError where the neural renderer cannot reach the size of the pictures."""
    doublings = math.log2(config.image_size / config.resolution)
    if doublings < 1 or not doublings.is_integer():
        raise UserError(
            f"method.image_size={config.image_size} is method.resolution={config.resolution} doubled once or several times"
        )
    octaves = {"position_octaves": config.position_octaves, "direction_octaves": config.direction_octaves}
    objects = FieldConfig(config.latent, config.hidden, config.blocks, tuple(config.skips), config.features, **octaves)
    background = FieldConfig(
        config.background_latent, config.background_hidden, config.background_blocks, (), config.features, 12.0, **octaves
    )
    composition = cast(Literal["mean", "densest"], config.composition)
    return GeneratorConfig(
        objects, background, config.resolution, int(doublings), config.fewest_channels, config.samples, config.near, config.far,
        field_of_view=config.field_of_view, composition=composition,
    )  # fmt: skip


def scene_config(config: GiraffeConfig) -> SceneConfig:
    """Return what scenes are drawn from; raises UserError for a range that is none."""
    boxes = BoxConfig(
        config.objects,
        scale_low=_numbers(config, "scale_low", 3),
        scale_high=_numbers(config, "scale_high", 3),
        translation_low=_numbers(config, "translation_low", 3),
        translation_high=_numbers(config, "translation_high", 3),
        rotation=_numbers(config, "rotation", 2),
        apart=config.apart,
    )
    camera = CameraConfig(
        azimuth=_numbers(config, "camera_azimuth", 2),
        height=_numbers(config, "camera_height", 2),
        radius=_numbers(config, "camera_radius", 2),
        normalisation=cast(Literal["own", "batch"], config.camera_axes),
    )
    background = _numbers(config, "background_rotation", 2)
    return SceneConfig(config.latent, config.background_latent, boxes, camera, background, tuple(config.object_counts))


def build_discriminator(config: GiraffeConfig) -> nn.Module:
    """Return the discriminator of the pictures' size."""
    kind = DCDiscriminator if config.discriminator == "plain" else ResNetDiscriminator
    return kind(config.image_size, config.discriminator_width)


def _numbers(config: GiraffeConfig, name: str, count: int) -> Any:
    values = tuple(float(value) for value in getattr(config, name))
    if len(values) != count:
        raise UserError(f"method.{name} is {count} numbers, got {list(values)}")
    return values
