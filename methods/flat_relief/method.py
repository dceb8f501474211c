"""A floor of the shape suite: a flat board for every picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from deep3dmap.core import Method, MethodCard, Reconstruction
from deep3dmap.core.options import option


@dataclass
class FlatReliefConfig:
    """Position of the board."""

    depth: float = option(1.0, "depth of all pixels, in distances of the object's centre", low=0.9, high=1.1, valid="(0, inf)")


class FlatRelief(Method):
    """Assigns the same depth to every pixel."""

    card = MethodCard(
        title="Flat relief",
        authors="deep3dmap",
        year=2026,
        paper="the null depth map of Wu et al., CVPR 2020, table 2",
        tasks=("shape",),
        consumes=("image",),
        produces=("depth",),
        licence="Apache-2.0",
        is_baseline=True,
        tried_on=("face_depth",),
        frame="relief",
    )
    config_type = FlatReliefConfig

    def __init__(self, config: FlatReliefConfig) -> None:
        self.config = config

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return the board."""
        depth = np.full((1, *np.shape(given["image"])[1:]), self.config.depth, np.float32)
        return Reconstruction("relief", "distance to the object's middle", depth=depth)
