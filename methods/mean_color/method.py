"""The mean colour of the given photographs in every pixel: the score of a method that has learnt nothing about the scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core import Camera, Method, MethodCard, Reconstruction, UserError, Views


@dataclass
class MeanColorConfig:
    """No options."""


class MeanColor(Method):
    """Renders a single colour."""

    card = MethodCard(
        title="Mean colour",
        authors="deep3dmap",
        year=2026,
        paper="",
        tasks=("object",),
        consumes=("images",),
        produces=("views",),
        licence="Apache-2.0",
        frame="world",
        gauge="metric",
        is_baseline=True,
        tried_on=("objects",),
    )
    config_type = MeanColorConfig

    def __init__(self, config: MeanColorConfig) -> None:
        self.config = config
        self._color: NDArray[np.float32] | None = None

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Average all pixels of all views and keep the result for `render`."""
        self._color = np.mean([np.asarray(image).mean((1, 2)) for image in given["images"]], 0, dtype=np.float32)
        return Reconstruction("world", "metre", notes={"color": [round(float(value), 4) for value in self._color]})

    def render(self, cameras: Sequence[Camera]) -> Views:
        """Fill every view with the colour; all cameras must have the same size."""
        if self._color is None:
            raise UserError("mean_color: reconstruct a scene before rendering it")
        shape = len(cameras), 3, cameras[0].height, cameras[0].width
        return Views(np.broadcast_to(self._color[None, :, None, None], shape).astype(np.float32))
