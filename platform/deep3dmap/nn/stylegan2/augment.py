"""Augmentation that does not leak into generated images (Karras et al., NeurIPS 2020, section 2 and appendix B).

Each transformation is applied to each image with probability p, so that for p below about 0.8 the generator can still learn
the distribution of unaugmented images. All of them are twice differentiable, as the gradient penalty requires.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deep3dmap.nn.stylegan2.warp import warp_pictures


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the transformations, each applied with probability p; 0 or False disables one.

    flip: mirror horizontally. quarter_turns: rotate by multiples of 90 degrees. shift: largest uniform shift by whole pixels,
    relative to the side. scale: standard deviation of log2 of the factor of both sides; stretch: of that of the width, with the
    inverse for the height. turn: rotate by an arbitrary angle. move: standard deviation of a subpixel shift, relative to the
    side. brightness: standard deviation of the offset; contrast, saturation: of log2 of the factor. invert_luma: invert
    brightness. hue: rotate colours about the grey axis.
    """

    flip: bool = True
    quarter_turns: bool = True
    shift: float = 0.125
    scale: float = 0.2
    turn: bool = True
    stretch: float = 0.2
    move: float = 0.125
    brightness: float = 0.2
    contrast: float = 0.5
    invert_luma: bool = True
    hue: bool = True
    saturation: float = 1.0

    def __call__(self, images: Tensor, probability: float, generator: torch.Generator | None = None) -> Tensor:
        """Transform images (N, 3, H, W) in [-1, 1] without clamping the result. generator: on the CPU."""
        if probability <= 0:
            return images
        draw = _Draw(len(images), probability, generator)
        geometry = self._geometry(draw, *images.shape[2:])
        still = bool((geometry == torch.eye(3)).all())
        moved = images if still else warp_pictures(images, geometry.to(images))
        color = self._color(draw).to(images)
        return torch.einsum("nij,njhw->nihw", color[:, :3, :3], moved) + color[:, :3, 3, None, None]

    def _geometry(self, draw: "_Draw", height: int, width: int) -> Tensor:
        side = torch.tensor([width, height])
        total = torch.eye(3).expand(draw.count, 3, 3)
        if self.flip:
            total = _scaling(1 - 2 * draw.integer(2), torch.ones(draw.count)) @ total
        if self.quarter_turns:
            total = _rotation(draw.integer(4) * math.pi / 2) @ total
        if self.shift:
            total = _translation(torch.round(draw.uniform(2) * self.shift * side)) @ total
        if self.scale:
            factor = 2 ** draw.normal(self.scale)
            total = _scaling(factor, factor) @ total
        # Rotate before and after stretching, with probabilities chosen so that at least one occurs with probability p.
        half = 1 - math.sqrt(1 - min(draw.probability, 1))
        if self.turn:
            total = _rotation(draw.uniform(1, half)[:, 0] * math.pi) @ total
        if self.stretch:
            ratio = 2 ** draw.normal(self.stretch)
            total = _scaling(ratio, 1 / ratio) @ total
        if self.turn:
            total = _rotation(draw.uniform(1, half)[:, 0] * math.pi) @ total
        if self.move:
            total = _translation(draw.normal(self.move, 2) * side) @ total
        return total

    def _color(self, draw: "_Draw") -> Tensor:
        grey = torch.full((3,), 1 / math.sqrt(3))
        one, luma = torch.eye(4), torch.zeros(4, 4)
        luma[:3, :3] = torch.outer(grey, grey)
        total = one.expand(draw.count, 4, 4)
        if self.brightness:
            offset = torch.zeros(4, 4)
            offset[:3, 3] = 1
            total = (one + draw.normal(self.brightness)[:, None, None] * offset) @ total
        if self.contrast:
            factor = torch.ones(draw.count, 4)
            factor[:, :3] = 2 ** draw.normal(self.contrast)[:, None]
            total = torch.diag_embed(factor) @ total
        if self.invert_luma:
            total = (one - 2 * draw.integer(2)[:, None, None] * luma) @ total
        if self.hue:
            total = _rotation_about(grey, draw.uniform(1)[:, 0] * math.pi) @ total
        if self.saturation:
            factor = 2 ** draw.normal(self.saturation)
            keep = torch.diag(torch.tensor([0.0, 0, 0, 1])) + luma
            total = (keep + (one - keep) * factor[:, None, None]) @ total
        return total


@dataclass
class _Draw:
    """Random numbers for each of `count` images, set to 0 with probability 1 - p."""

    count: int
    probability: float
    generator: torch.Generator | None

    def _apply_at_random(self, values: Tensor, probability: float | None = None) -> Tensor:
        here = torch.rand(self.count, generator=self.generator) < (self.probability if probability is None else probability)
        return torch.where(here.reshape(-1, *[1] * (values.dim() - 1)), values, 0)

    def integer(self, below: int) -> Tensor:
        return self._apply_at_random(torch.floor(torch.rand(self.count, generator=self.generator) * below))

    def uniform(self, columns: int, probability: float | None = None) -> Tensor:
        return self._apply_at_random(torch.rand(self.count, columns, generator=self.generator) * 2 - 1, probability)

    def normal(self, deviation: float, columns: int | None = None) -> Tensor:
        shape = (self.count,) if columns is None else (self.count, columns)
        return self._apply_at_random(torch.randn(shape, generator=self.generator) * deviation)


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], 1).float())


def _translation(offset: Tensor) -> Tensor:
    zero, one = torch.zeros(len(offset)), torch.ones(len(offset))
    return _matrix([[one, zero, offset[:, 0]], [zero, one, offset[:, 1]], [zero, zero, one]])


def _rotation(angle: Tensor) -> Tensor:
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    return _matrix([[angle.cos(), -angle.sin(), zero], [angle.sin(), angle.cos(), zero], [zero, zero, one]])


def _rotation_about(axis: Tensor, angle: Tensor) -> Tensor:
    """Return matrices (N, 4, 4) that rotate colours about a unit axis (Rodrigues)."""
    x, y, z = axis.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    sine, rest = angle.sin()[:, None, None], (1 - angle.cos())[:, None, None]
    total = torch.eye(4).repeat(len(angle), 1, 1)
    total[:, :3, :3] += sine * cross + rest * (cross @ cross)
    return total
