"""The objects' boxes in a generated scene: scale, translation and rotation, sampled from given ranges."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError

Triple = tuple[float, float, float]
GAP = 0.1  # scene units; minimum gap between two boxes for them to count as apart, as in the official code
MAX_DRAWS = 1000


@dataclass(frozen=True)
class BoxConfig:
    """Sampling ranges of the boxes, in scene units and turns.

    count: boxes per scene. same_ratio: scale all three axes with the same random number. plane: z of all boxes, or None to
    sample it. apart: resample until no two boxes touch.
    """

    count: int = 1
    scale_low: Triple = (0.2, 0.2, 0.2)
    scale_high: Triple = (0.3, 0.3, 0.3)
    translation_low: Triple = (-0.75, -0.75, 0.0)
    translation_high: Triple = (0.75, 0.75, 0.0)
    rotation: tuple[float, float] = (0.0, 1.0)
    same_ratio: bool = True
    plane: float | None = None
    apart: bool = False


class Boxes(NamedTuple):
    """Boxes of scenes. World point x has coordinates rotation @ (x - translation) / scale in a box, which is [-1, 1]^3.

    scale, translation: (B, K, 3). rotation: (B, K, 3, 3).
    """

    scale: Tensor
    translation: Tensor
    rotation: Tensor


def boxes_from_units(config: BoxConfig, scale: Tensor, translation: Tensor, rotation: Tensor) -> Boxes:
    """Return boxes at relative positions in their ranges: 0 is the low end, 1 the high end; values outside extrapolate.

    scale: (B, K, 3), or (B, K, 1) with same_ratio, which uses the first component only. translation: (B, K, 3).
    rotation: (B, K).
    """
    if config.same_ratio:
        scale = scale[..., :1]
    placed = _within(translation, config.translation_low, config.translation_high)
    if config.plane is not None:
        placed = torch.cat([placed[..., :2], torch.full_like(placed[..., 2:], config.plane)], -1)
    low, high = config.rotation
    turns = low + rotation * (high - low)
    return Boxes(_within(scale, config.scale_low, config.scale_high), placed, rotation_about_z(turns))


def sample_boxes(config: BoxConfig, scenes: int, generator: torch.Generator, positions: Tensor | None = None) -> Boxes:
    """Sample the boxes of `scenes` scenes.

    positions: (N, K, 3) translations of complete scenes to choose from instead of the range, e.g. of a dataset whose objects do
    not overlap. Raises UserError if there is too little room for `apart`.
    """
    boxes = _draw(config, scenes, generator)
    for _ in range(MAX_DRAWS):
        if not config.apart or bool((free := are_apart(boxes)).all()):
            break
        boxes = Boxes(
            *(
                torch.where(free.view(-1, *[1] * (new.dim() - 1)), old, new)
                for old, new in zip(boxes, _draw(config, scenes, generator))
            )
        )
    else:
        raise UserError(f"method.boxes: {config.count} boxes do not fit apart into the range of translations; widen it")
    if positions is not None:
        chosen = positions[torch.randint(len(positions), (scenes,), generator=generator)]
        boxes = boxes._replace(translation=chosen.to(boxes.translation))
    return boxes


def are_apart(boxes: Boxes) -> Tensor:
    """Return (B,) bool: every pair of a scene's boxes is more than `GAP` apart along some axis; rotation is ignored."""
    scale, placed = boxes.scale, boxes.translation
    distance = (placed[:, :, None] - placed[:, None]).abs()
    separated = (distance >= (scale[:, :, None] + scale[:, None]) + GAP).any(-1)
    same = torch.eye(scale.shape[1], dtype=torch.bool, device=scale.device)
    return (separated | same).flatten(1).all(1)


def rotation_about_z(turns: Tensor) -> Tensor:
    """Return counter-clockwise rotations (..., 3, 3) about z by angles (...) in turns."""
    angle = 2 * math.pi * turns
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = [angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero, zero, zero, one]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def into_boxes(points: Tensor, boxes: Boxes) -> Tensor:
    """Transform world points (B, N, 3) to the frame of every box, (B, K, N, 3)."""
    return turn_into_boxes(points, boxes) - turn_into_boxes(boxes.translation[:, :, None], boxes)


def turn_into_boxes(vectors: Tensor, boxes: Boxes) -> Tensor:
    """Transform world vectors (B, N, 3), or (B, K, N, 3) per box, to the frame of every box, (B, K, N, 3)."""
    vectors = vectors[:, None] if vectors.dim() == 3 else vectors
    return vectors @ boxes.rotation.transpose(-1, -2) / boxes.scale[:, :, None]


def _draw(config: BoxConfig, scenes: int, generator: torch.Generator) -> Boxes:
    shape = (scenes, config.count)
    units = (torch.rand(*shape, *more, generator=generator) for more in ((1 if config.same_ratio else 3,), (3,), ()))
    return boxes_from_units(config, *units)


def _within(units: Tensor, low: Triple, high: Triple) -> Tensor:
    start, end = units.new_tensor(low), units.new_tensor(high)
    return start + units * (end - start)
