"""A baseline of the shape suite: half an ellipsoid in the object's outline, which GAN2Shape begins with."""

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
    """How the ellipsoid lies in the outline."""

    category: str = option(
        "cat", "how it lies in the outline's box; cat: as it is", choices=("face", "synface", "cat", "car", "church")
    )
    near: float = option(0.91, "depth of its middle", low=0.8, high=1.2, valid="(0, inf)")
    far: float = option(1.02, "depth of its rim and of all around", low=0.8, high=1.2, valid="(0, inf)")
    threshold: float = option(
        THRESHOLD, "how much a colour differs from the wall's on the object", low=0.01, high=0.5, valid="[0, inf)"
    )


class EllipsoidPrior(Method):
    """Fills the outline of an object before a plain wall with half an ellipsoid."""

    card = MethodCard(
        title="Ellipsoid prior",
        authors="deep3dmap, after X. Pan et al.",
        year=2026,
        paper="the first guess of Pan et al., ICLR 2021, section 3.1",
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
