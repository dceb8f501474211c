"""The training objectives of GNeRF's networks: one function per update of an iteration.

Each returns a scalar whose gradients reach only the parameters that the update changes. Images are in [-1, 1]. Rendered images
are those of the coarse pass followed by those of the fine pass, and every loss covers both. Meng et al., ICCV 2021, section 3;
weights of the official configuration.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from deep3dmap.frameworks.gradients import gradient_penalty
from deep3dmap.methods.gnerf.augmentation import augment
from deep3dmap.methods.gnerf.discriminator import PatchDiscriminator
from deep3dmap.methods.gnerf.generator import Generator, Randomness
from deep3dmap.methods.gnerf.inversion_network import InversionNetwork
from deep3dmap.methods.gnerf.pose_table import PoseTable
from deep3dmap.methods.gnerf.pose_vectors import vectors_of_poses
from deep3dmap.nn.adversarial_losses import discriminator_loss, generator_loss
from deep3dmap.nn.radiance.patches import Patches, crop_patches, image_grid


@dataclass(frozen=True)
class Weights:
    """Loss weights. penalty: of R1, gamma / 2. poses: towards the inversion network's poses. photometric: of colours."""

    penalty: float = 10.0
    poses: float = 0.1
    photometric: float = 50.0


class ImagePlane(NamedTuple):
    """intrinsics: (3, 3) of height x width images, pixel centres at +0.5."""

    intrinsics: Tensor
    height: int
    width: int


def render_both(
    generator: Generator, coordinates: Tensor, poses: Tensor, image_plane: ImagePlane, random: Randomness | None
) -> Tensor:
    """Render (2 B, 3, h, w): the B images of the coarse pass, followed by those of the fine pass."""
    return torch.cat(generator(coordinates, poses, image_plane.intrinsics, (image_plane.height, image_plane.width), random))


def fool(discriminator: PatchDiscriminator, fake: Tensor, scale: Tensor, random: torch.Generator) -> Tensor:
    """Return the generator's loss for fake patches (2 B, ...) with scales (B,); the discriminator should be frozen."""
    return generator_loss(discriminator(augment(fake, random), scale.repeat(2)))


def discriminate(
    discriminator: PatchDiscriminator,
    real: tuple[Tensor, Tensor],
    fake: tuple[Tensor, Tensor],
    random: torch.Generator,
    weights: Weights,
    gradient_penalty: Callable[[Tensor, Tensor], Tensor] = gradient_penalty,
) -> Tensor:
    """Return the discriminator's loss for real and fake patches with their scales, including R1 on the real ones.

    gradient_penalty: returns the squared gradient norms; the training loop's version handles half precision.
    """
    patches = real[0].detach().requires_grad_()
    logits = discriminator(augment(patches, random), real[1])
    penalty = gradient_penalty(logits, patches).mean()
    other = discriminator(augment(fake[0].detach(), random), fake[1].repeat(2))
    return discriminator_loss(logits, other) + weights.penalty * penalty


def invert_renderings(
    inversion: InversionNetwork, generator: Generator, poses: Tensor, image_plane: ImagePlane, random: Randomness | None
) -> Tensor:
    """Return the inversion network's error in predicting the poses (B, 3, 4) of images rendered at them."""
    side = inversion.image_size
    grid = image_grid(side, side).to(poses).expand(len(poses), -1, -1, -1)
    with torch.no_grad():
        images = render_both(generator, grid, poses, image_plane, random)
    return mse_loss(inversion(images), vectors_of_poses(poses, inversion.mode).repeat(2, 1))


def follow_inversion(
    table: PoseTable, inversion: InversionNetwork, images: Tensor, rows: Tensor | slice, weights: Weights
) -> Tensor:
    """Return the distance of a table's rows from the poses that the inversion network predicts for images (B, 3, H, W)."""
    side = inversion.image_size
    grid = image_grid(side, side).to(images).expand(len(images), -1, -1, -1)
    with torch.no_grad():
        predicted = inversion(crop_patches(images, grid))
    return weights.poses * mse_loss(vectors_of_poses(table(rows), table.mode), predicted)


def reproduce(
    generator: Generator,
    poses: Tensor,
    images: Tensor,
    patches: Patches,
    image_plane: ImagePlane,
    random: Randomness | None,
    weights: Weights,
) -> Tensor:
    """Return the photometric loss between patches of images (B, 3, H, W) and their renderings at poses (B, 3, 4)."""
    rendered = render_both(generator, patches.coordinates, poses, image_plane, random)
    real = crop_patches(images, patches.coordinates)
    return weights.photometric * mse_loss(rendered, real.repeat(2, 1, 1, 1))
