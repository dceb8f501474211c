"""Scores of a generator's response to commands that change its scenes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.core.protocol import Sampler
from deep3dmap.metrics.scene_controls import (
    centroids,
    colour_change,
    displacement_correlation,
    object_evidence,
    outline_agreement,
)

SCENES = 32
OBJECT = 0  # index of the object to change
SHIFTS = (-0.2, -0.1, 0.0, 0.1, 0.2)  # scene units to the right
TURNS = (0.0, 0.25, 0.5, 0.75)
LOOKS = (-1, 1001, 1002, 1003)  # scenes to take the appearance from; -1 = its own
COVERED = 0.08  # evidence above which a pixel shows the object
SEEN = 4  # minimum number of pixels showing the object for a scene to count
MARGIN = 8  # side / MARGIN pixels around the object are ignored, because it may be wider when rotated


def control_scores(sample: Sampler, scenes: int = SCENES) -> dict[str, float]:
    """Draw `scenes` scenes under every command and return the suite's metrics, averaged over those that show the object.

    If no scene shows it, the result contains only `object_seen`, 0. Raises UserError for pictures with NaN or infinity.
    """
    without = _draw(sample, scenes, {"remove": [OBJECT]})
    as_drawn = _draw(sample, scenes, {})
    commands: tuple[list[dict[str, Any]], ...] = (
        [{"translate": [0.0, shift, 0.0]} for shift in SHIFTS],
        [{"rotate": turn} for turn in TURNS],
        [{"appearance_of": look} for look in LOOKS],
    )
    stacks = [[_draw(sample, scenes, {"object": OBJECT, **command}) for command in commanded] for commanded in commands]
    rows = []
    for index in range(scenes):
        if (object_evidence(as_drawn[index][None], without[index][None]) > COVERED).sum() >= SEEN:
            answers = (torch.stack([images[index] for images in stack]) for stack in stacks)
            rows.append(_scene_scores(list(answers), without[index]))
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]} if rows else {}
    return {**means, "object_seen": len(rows) / scenes}


def _draw(sample: Sampler, scenes: int, controls: Mapping[str, Any]) -> Tensor:
    pictures = torch.as_tensor(sample(range(scenes), **controls)).detach().float().cpu()
    if not torch.isfinite(pictures).all():
        raise UserError(f"pictures under {dict(controls) or 'no command'} contain NaN or infinity")
    return pictures


def _scene_scores(answers: list[Tensor], without: Tensor) -> dict[str, float]:
    """Return the metrics of one scene, from pictures of it moved, rotated and recoloured, and without the object."""
    moved, turned, recoloured = answers
    evidence, turned_evidence, coloured_evidence = (
        object_evidence(images, without[None]) for images in (moved, turned, recoloured)
    )
    commanded = torch.tensor([[shift, 0.0] for shift in SHIFTS])
    # Faint differences across the picture would pull the centroid towards the centre.
    seen = centroids(evidence * (evidence > COVERED))
    # Use the mask of the unchanged object, so that other changes in the picture are not attributed to the object.
    turn = colour_change(turned, turned_evidence[:1].expand_as(turned_evidence) > COVERED, turned.shape[-1] // MARGIN)
    look = colour_change(recoloured, coloured_evidence > COVERED)
    return {
        "translation_correlation": displacement_correlation(seen, commanded),
        "rotation_background_change": turn.background,
        "rotation_object_change": turn.object,
        "appearance_mask_iou": outline_agreement(coloured_evidence > COVERED),
        "appearance_object_change": look.object,
    }
