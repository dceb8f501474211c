"""The options of GIRAFFE, and the networks and scenes configured by them."""

import math
from dataclasses import dataclass
from typing import Literal, cast

from torch import nn

from deep3dmap.core.errors import UserError
from deep3dmap.core.options import ascending, option
from deep3dmap.methods.giraffe.bounding_boxes import BoxConfig, Triple
from deep3dmap.methods.giraffe.camera_sampling import CameraConfig
from deep3dmap.methods.giraffe.discriminators import DCDiscriminator, ResNetDiscriminator
from deep3dmap.methods.giraffe.feature_field import FieldConfig
from deep3dmap.methods.giraffe.generator import GeneratorConfig
from deep3dmap.methods.giraffe.scenes import SceneConfig


@dataclass
class GiraffeConfig:
    """Options of the networks, the sampling ranges of scenes, and training."""

    image_size: int = option(
        64, "side of the pictures in pixels, to which others are resized", low=16, high=1024, valid="[1, inf)"
    )
    resolution: int = option(16, "side of the volume-rendered feature map", low=4, high=64, valid="[2, inf)")
    samples: int = option(64, "samples per ray", low=4, high=256, valid="[2, inf)")
    near: float = option(0.5, "depth of the first sample, in scene units", low=0.0, valid="[0, inf)")
    far: float = option(6.0, "depth of the last sample, in scene units", valid="(0, inf)")
    latent: int = option(256, "length of an object's shape code and appearance code", low=1, valid="[1, inf)")
    background_latent: int = option(128, "length of the background's codes", low=1, valid="[1, inf)")
    hidden: int = option(128, "units per layer of the objects' field", low=8, high=512, valid="[1, inf)")
    blocks: int = option(8, "layers of the objects' field before the density", low=2, high=16, valid="[1, inf)")
    skips: list[int] = option([4], "layers after which code and position are fed again", valid="[1, inf)")
    background_hidden: int = option(64, "units per layer of the background's field", low=8, high=512, valid="[1, inf)")
    background_blocks: int = option(4, "layers of the background's field before the density", low=2, high=16, valid="[1, inf)")
    features: int = option(128, "channels of the feature map", low=8, high=512, valid="[1, inf)")
    fewest_channels: int = option(32, "minimum channels of the neural renderer's layers", low=4, valid="[1, inf)")
    position_octaves: int = option(10, "octaves of the position encoding", low=1, high=16, valid="[1, inf)")
    direction_octaves: int = option(4, "octaves of the view direction encoding", low=1, high=16, valid="[1, inf)")
    composition: str = option(
        "mean", "composition of fields: density-weighted mean or densest field", choices=("mean", "densest")
    )
    discriminator: str = option(
        "plain", "plain: strided convolutions; residual: the 2D baseline's network", choices=("plain", "residual")
    )
    discriminator_width: int = option(
        512, "channels of the discriminator's last (plain) or first (residual) layer", low=8, high=1024, valid="[1, inf)"
    )
    field_of_view: float = option(49.13, "field of view of the camera in degrees", low=1.0, high=120.0, valid="(0, 180)")
    camera_azimuth: list[float] = option([0.0, 0.0], "range of the camera's azimuth in turns", valid="(-inf, inf)", length=2)
    camera_height: list[float] = option(
        [0.25, 0.25], "range of the camera's height: 0 at the top pole, 0.5 at the horizon", valid="[0, 1]", length=2
    )
    camera_radius: list[float] = option(
        [2.732, 2.732], "range of the camera's distance from the origin, in scene units", valid="(0, inf)", length=2
    )
    camera_axes: str = option(
        "own", "own: orthonormal; batch: as in the official code when its weights were trained", choices=("own", "batch")
    )
    objects: int = option(1, "objects per scene", low=1, high=20, valid="[1, inf)")
    object_counts: list[float] = option(
        [], "probabilities of scenes with 1, 2, ... objects; empty = always all objects", valid="[0, 1]"
    )
    scale_low: list[float] = option(
        [0.2, 0.2, 0.2], "minimum half extents of an object's box, in scene units", valid="(0, inf)", length=3
    )
    scale_high: list[float] = option([0.3, 0.3, 0.3], "maximum half extents", valid="(0, inf)", length=3)
    translation_low: list[float] = option(
        [-0.75, -0.75, 0.0], "minimum position of an object, in scene units", valid="(-inf, inf)", length=3
    )
    translation_high: list[float] = option([0.75, 0.75, 0.0], "maximum position", valid="(-inf, inf)", length=3)
    rotation: list[float] = option(
        [0.0, 1.0], "range of an object's rotation about its vertical axis, in turns", valid="(-inf, inf)", length=2
    )
    apart: bool = option(False, "sample objects that do not touch")
    positions: str = option("", "a .npz with positions of complete scenes, as in the official code for CLEVR; empty: sampled")
    background_rotation: list[float] = option(
        [0.0, 0.0], "range of the background's rotation, in turns", valid="(-inf, inf)", length=2
    )
    weights: str = option("", "official checkpoint to generate from; disables training")
    penalty: float = option(10.0, "weight of R1, gamma / 2", low=0.01, high=1000.0, log=True, valid="[0, inf)")
    discriminator_rate: float = option(
        0.2, "learning rate of the discriminator, as a factor of the generator's", low=0.01, high=4.0, valid="(0, inf)"
    )
    flip: bool = option(True, "randomly mirror the training pictures")


def generator_config(config: GiraffeConfig) -> GeneratorConfig:
    """Return the generator's sizes; raises UserError if they are incompatible."""
    if config.near >= config.far:
        raise UserError(f"method.near must be less than method.far, got {config.near:g} and {config.far:g}")
    if late := [layer for layer in config.skips if layer > config.blocks - 2]:
        raise UserError(
            f"method.skips={config.skips}: nothing can be fed again after layer {late[0]} of method.blocks={config.blocks};"
            f" the last possible layer is {config.blocks - 2}"
        )
    doublings = math.log2(config.image_size / config.resolution)
    if doublings < 1 or not doublings.is_integer():
        raise UserError(
            f"method.image_size={config.image_size} must be method.resolution={config.resolution} times 2, 4, 8, ..."
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
    """Return the sampling ranges of scenes; raises UserError for an invalid range."""
    boxes = BoxConfig(
        config.objects,
        scale_low=_triple(config.scale_low),
        scale_high=_triple(config.scale_high),
        translation_low=_triple(config.translation_low),
        translation_high=_triple(config.translation_high),
        rotation=ascending(config, "rotation"),
        apart=config.apart,
    )
    camera = CameraConfig(
        azimuth=ascending(config, "camera_azimuth"),
        height=ascending(config, "camera_height"),
        radius=ascending(config, "camera_radius"),
        normalisation=cast(Literal["own", "batch"], config.camera_axes),
    )
    background = ascending(config, "background_rotation")
    return SceneConfig(config.latent, config.background_latent, boxes, camera, background, tuple(config.object_counts))


def build_discriminator(config: GiraffeConfig) -> nn.Module:
    """Return the discriminator for the pictures' size."""
    kind = DCDiscriminator if config.discriminator == "plain" else ResNetDiscriminator
    return kind(config.image_size, config.discriminator_width)


def _triple(values: list[float]) -> Triple:
    x, y, z = values
    return x, y, z
