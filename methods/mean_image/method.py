"""A floor of the generation suite: every sample is the mean of the training pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Method, MethodCard, Reconstruction, Step, UserError
from deep3dmap.core.options import option
from deep3dmap.frameworks import TrainLoop
from deep3dmap.frameworks.inputs import select


@dataclass
class MeanImageConfig:
    """Number of pictures to average."""

    pictures: int = option(2000, "training pictures to average, from the first; one per step", low=1, valid="[1, inf)")


class MeanImage(Method):
    """Returns the mean of the training pictures for every sample."""

    card = MethodCard(
        title="Mean image",
        authors="deep3dmap",
        year=2026,
        paper="",
        tasks=("generation",),
        consumes=(),
        produces=("samples",),
        trains_on=("image",),
        licence="Apache-2.0",
        is_baseline=True,
        tried_on=("face_depth",),
    )
    config_type = MeanImageConfig

    def __init__(self, config: MeanImageConfig) -> None:
        self.config = config
        self.total, self.count = torch.zeros(3, 0, 0, dtype=torch.float64), 0

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Add one training picture per step."""
        loop.planned_steps = min(self.config.pictures, len(loop.dataset))
        for index in range(loop.step, loop.planned_steps):
            image = np.asarray(select(loop.dataset[index], self.card.trains_on, loop.settings.inputs)["image"])
            picture = torch.from_numpy(image).double()
            if self.count and picture.shape != self.total.shape:
                raise UserError(f"mean_image: picture sizes differ, {tuple(self.total.shape)} and {tuple(picture.shape)}")
            self.total = self.total + picture if self.count else picture
            self.count += 1
            yield Step(loss=0.0)

    def generate(self, indices: range, seed: int, **controls: Any) -> Tensor:
        """Return the mean once per index; there are no controls."""
        if controls:
            raise UserError(f"mean_image has no control '{next(iter(controls))}'")
        if not self.count:
            raise UserError("mean_image has seen no training pictures")
        return (self.total / self.count).float().expand(len(indices), -1, -1, -1)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return the mean."""
        return Reconstruction("image", "pixel", samples=self.generate(range(1), 0).numpy())

    def state_dict(self) -> dict[str, Any]:
        """Return the sum and number of pictures."""
        return {"total": self.total, "count": torch.tensor(self.count)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the sum and number."""
        self.total, self.count = state["total"].cpu(), int(state["count"])
