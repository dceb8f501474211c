"""The losses of the three steps of GAN2Shape (Pan et al., ICLR 2021, section 3.2); no weights are changed here.

Step 1 explains the picture by depth, albedo, view and light. Step 2 finds generator pictures that are close to renderings of
that object from other views under other lights. Step 3 explains those pictures and the original one by one object.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.geometry.relief_losses import photometric_loss, smoothness_loss
from deep3dmap.methods.gan2shape.latent_offset import LatentOffset
from deep3dmap.methods.gan2shape.losses import discriminator_distance
from deep3dmap.methods.gan2shape.masks import center_crop, resize
from deep3dmap.methods.gan2shape.networks import ShapeModel
from deep3dmap.methods.gan2shape.samplers import LightDraw, LightRange, between
from deep3dmap.nn.relief_model import Canonical, Explanation
from deep3dmap.nn.stylegan2 import Discriminator, Generator
from deep3dmap.render.photo_geometric import Relief, look_up
from deep3dmap.render.relief_shading import ReliefLight, direction

# A distance (N,) between pictures (N, 3, S, S) in [-1, 1].
Perceptual = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Weights:
    """Weights of perceptual distance, smoothness of depth and shading, latent offsets, known views, and relief scale."""

    perceptual: float = 0.5
    smooth: float = 0.01
    offset: float = 0.01
    view: float = 0.0
    relief: float = 0.0


class Loss(NamedTuple):
    """total: scalar with its graph. terms: the unweighted terms, for curves."""

    total: Tensor
    terms: dict[str, Tensor]


def explanation_loss(
    images: Tensor, found: Explanation, weights: Weights, perceptual: Perceptual | None, mask: Tensor | None = None
) -> Loss:
    """Return the error of the explanation of pictures (N, 3, S, S); mirrored copies, if any, have the same weight.

    mask: (N, 1, S, S), restricts the comparison in addition to visibility; a pixel must be visible in both copies.
    """
    shown = found.relief.image.clamp(-1, 1)
    copies = shown.split(len(images))
    seen = torch.stack(found.relief.valid.split(len(images))).prod(0)
    where = seen if mask is None else seen * mask
    total, terms = shown.new_zeros(()), {}
    for name, copy in zip(("photometric", "photometric_mirrored"), copies):
        terms[name] = photometric_loss(copy, images, where)
        total = total + terms[name]
        if perceptual and weights.perceptual:
            terms[name.replace("photometric", "perceptual")] = distance = perceptual(copy * where, images * where).mean()
            total = total + weights.perceptual * distance
    return Loss(total, terms)


def step1(
    model: ShapeModel,
    images: Tensor,
    canonical: Canonical,
    weights: Weights,
    perceptual: Perceptual | None,
    mirror: bool,
    mask: Tensor | None = None,
) -> tuple[Loss, Explanation]:
    """Return the loss of explaining the input picture by its own object, and the explanation; mask: see `explanation_loss`."""
    found = model.explain(images, canonical, mirror)
    loss = explanation_loss(images, found, weights, perceptual, mask)
    smooth = smoothness_loss(found.canonical.depth) + smoothness_loss(found.term)
    return Loss(loss.total + weights.smooth * smooth, {**loss.terms, "smoothness": smooth}), found


@torch.no_grad()
def canonical_mask(model: ShapeModel, canonical: Canonical, views: Tensor, mask: Tensor) -> Tensor:
    """Return the mask (N, 1, S, S) of the object in canonical view, from the mask of its picture."""
    camera = model.renderer.camera
    grid = camera.to_grid(camera.turn(camera.lift(canonical.depth), views))
    return look_up(mask, grid)


class Pseudo(NamedTuple):
    """Renderings of the object in other views under other lights. images: (N, 3, S, S). mask: (N, 1, S, S)."""

    images: Tensor
    mask: Tensor


class Origin(NamedTuple):
    """Parameters of pseudo samples. views: (N, 6), in the network's units. lights: (N, 5), ambient, diffuse, direction."""

    views: Tensor
    lights: Tensor


class PseudoBatch(NamedTuple):
    """Pseudo samples with their parameters."""

    pseudo: Pseudo
    origin: Origin


@torch.no_grad()
def pseudo_samples(
    model: ShapeModel,
    found: Explanation,
    mask: Tensor,
    views: Tensor,
    lights: LightDraw,
    ranges: LightRange,
    background: Tensor | None = None,
) -> PseudoBatch:
    """Render the object of a picture in views (N, 6), in the network's units, under random lights.

    found: the explanation of that picture, unmirrored. mask: (1, 1, S, S), of the canonical picture. background: (1, 3, 1, 1),
    the colour of a plain background behind the object; None renders whatever the networks predict there.
    """
    count = len(views)
    strength = between(ranges.strength, lights.strength.to(views))
    light = ReliefLight(
        found.light.ambient[:1] + ranges.ambient * strength,
        found.light.diffuse[:1] + strength,
        direction(between(ranges.x, lights.x.to(views)), between(ranges.y, lights.y.to(views))),
    )
    first = Canonical(found.canonical.depth[:1], found.canonical.albedo[:1])
    relief = model.show(first.repeated(count), model.space.to_views(views), light).relief
    if background is None:
        pseudo = Pseudo(relief.image, look_up(mask.expand(count, -1, -1, -1), relief.grid, mode="nearest"))
    else:
        pseudo = before_background(relief, mask, background)
    return PseudoBatch(pseudo, Origin(views, _as_numbers(light)))


def before_background(relief: Relief, mask: Tensor, background: Tensor) -> Pseudo:
    """Return N renderings of one object before a plain background (1, 3, 1, 1), and their masks.

    mask: (1, 1, S, S), of the object in the canonical picture.
    """
    seen = look_up(mask.expand(len(relief.image), -1, -1, -1), relief.grid, mode="nearest") * relief.valid
    return Pseudo(seen * relief.image + (1 - seen) * background, seen)


def _as_numbers(light: ReliefLight) -> Tensor:
    return torch.cat([light.ambient[:, None], light.diffuse[:, None], light.direction], 1)


def view_start(model: ShapeModel, images: Tensor, origin: Origin, photograph: Tensor, own_view: Tensor) -> Loss:
    """Return the error of the views and lights predicted from the generator's pictures, compared with their pseudo samples.

    Without it, step 3 has colour differences as its only cue for a view, and deforms the relief before finding any.

    photograph: (1, 3, S, S). own_view: (1, 6), its view when the pseudo samples were drawn. Generated pictures turn less than
    requested, so without this term a turned photograph would count as turned from its own relief, which would then tilt.
    """
    terms = {
        "view": (model.unit_views(images) - origin.views).square().mean(),
        "own_view": (model.unit_views(photograph) - own_view).square().mean(),
        "light": (_as_numbers(model.light(images)) - origin.lights).square().mean(),
    }
    return Loss(torch.stack(list(terms.values())).sum(), terms)


class Projection(NamedTuple):
    """The generator's versions of pseudo samples. images: (N, 3, S, S) in [-1, 1]. offset, latent: (N, D)."""

    images: Tensor
    offset: Tensor
    latent: Tensor


@dataclass(frozen=True)
class Projector:
    """Moves the latent code of a picture so that the generator reproduces pseudo samples.

    relative: subtract the encoder's output for the generator's own picture. crop: side of the central crop of the generator's
    pictures; None for no crop.
    """

    generator: Generator
    offsets: LatentOffset
    relative: bool = True
    crop: int | None = None

    def to_working_size(self, images: Tensor, side: int) -> Tensor:
        """Resize the generator's pictures to side x side, clamped to [-1, 1]."""
        clamped = images.clamp(-1, 1)
        return resize(clamped if self.crop is None else center_crop(clamped, self.crop), side)

    @torch.no_grad()
    def picture(self, latent: Tensor, side: int) -> Tensor:
        """Return the generator's pictures of codes (N, D), at the working size."""
        return self.to_working_size(self.generator.synthesis(latent), side)

    def project(self, model: ShapeModel, pseudo: Tensor, latent: Tensor, own: Tensor) -> Projection:
        """Project pseudo samples (N, 3, S, S) with the generator.

        latent: (1, D), code of the picture. own: (1, 3, S, S), the generator's picture of that code.
        """
        code = model.networks.offset(pseudo)
        if self.relative:
            code = code - model.networks.offset(own)
        offset = self.offsets(code)
        moved = latent + offset
        return Projection(self.to_working_size(self.generator.synthesis(moved), pseudo.shape[2]), offset, moved)


def step2(found: Projection, pseudo: Pseudo, discriminator: Discriminator, weights: Weights) -> Loss:
    """Return the distance of the generator's pictures from the pseudo samples, and the magnitude of the offsets."""
    terms = {
        "photometric": photometric_loss(found.images, pseudo.images, pseudo.mask),
        "discriminator": discriminator_distance(discriminator, found.images, pseudo.images, pseudo.mask),
        "offset": found.offset.square().mean(),
    }
    return Loss(terms["photometric"] + terms["discriminator"] + weights.offset * terms["offset"], terms)


def step3(
    model: ShapeModel, projected: Pseudo, canonical: Canonical, weights: Weights, perceptual: Perceptual | None, mirror: bool
) -> tuple[Loss, Explanation]:
    """Return the loss of explaining the generator's pictures by the input's object, each with its own view and light."""
    found = model.explain(projected.images, canonical, mirror)
    return explanation_loss(projected.images, found, weights, perceptual, projected.mask), found
