"""A baseline of the shape suite: half an ellipsoid within the object's outline, the initial shape of GAN2Shape."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deep3dmap.core import Method, MethodCard, Reconstruction
from deep3dmap.core.options import option
from deep3dmap.geometry.ellipsoid_relief import ellipsoid_depth
from deep3dmap.geometry.plain_background import THRESHOLD, plain_background_mask


@dataclass
class EllipsoidPriorConfig:
    """Position and size of the ellipsoid within the outline."""

    category: str = option(
        "cat", "kind of object, which adjusts the outline's box; cat: none", choices=("face", "synface", "cat", "car", "church")
    )
    near: float = option(0.91, "depth of the ellipsoid's centre", low=0.8, high=1.2, valid="(0, inf)")
    far: float = option(1.02, "depth of its rim and of the background", low=0.8, high=1.2, valid="(0, inf)")
    threshold: float = option(
        THRESHOLD, "minimum colour difference between the object and the plain wall", low=0.01, high=0.5, valid="[0, inf)"
    )


class EllipsoidPrior(Method):
    """Fills the outline of an object in front of a plain wall with half an ellipsoid."""

    card = MethodCard(
        title="Ellipsoid prior",
        authors="deep3dmap, after X. Pan et al.",
        year=2026,
        paper="the initial shape of Pan et al., ICLR 2021, section 3.1",
        tasks=("shape",),
        consumes=("image",),
        produces=("depth",),
        licence="Apache-2.0",
        is_baseline=True,
        tried_on=("face_depth",),
        frame="relief",
    )
    config_type = EllipsoidPriorConfig

    def __init__(self, config: EllipsoidPriorConfig) -> None:
        self.config = config

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return the ellipsoid. Raises UserError for a picture without an outline."""
        c = self.config
        mask = plain_background_mask(torch.from_numpy(np.asarray(given["image"], np.float32)), c.threshold)
        depth = ellipsoid_depth(mask, c.category, c.near, c.far)
        return Reconstruction("relief", "distance to the object's middle", depth=depth[None].float().numpy())
