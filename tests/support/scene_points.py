"""A toy method that is only optimised per scene, in two stages with separate optimisers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import Camera, MethodCard, Reconstruction, Step, Views
from deep3dmap.core.options import option
from deep3dmap.frameworks import CustomFramework, TrainLoop


@dataclass
class ScenePointsConfig:
    """Options of the toy method."""

    stage: int = option(3, "steps of each of the two stages")
    diverge_on: float = option(0.0, "scenes whose mean is above this diverge (0 = none)")


class ScenePoints(CustomFramework):
    """Moves 68 points towards a function of the image; the second stage adds noise, so that random numbers matter."""

    card = MethodCard(
        "Scene points", "nobody", 2024, "", ("landmarks",), ("image",), ("landmarks", "views"), "Apache-2.0", frame="image"
    )
    config_type = ScenePointsConfig
    variants = {"mini": {}}

    def __init__(self, config: ScenePointsConfig) -> None:
        super().__init__(config)
        self.points = nn.Parameter(torch.zeros(68, 3))

    def fit_steps(self, given: dict[str, Any], loop: TrainLoop) -> Iterator[Step]:
        """Fit in two stages."""
        loop.planned_steps = 2 * self.config.stage
        return self._fit(given, loop)

    def _fit(self, given: dict[str, Any], loop: TrainLoop) -> Iterator[Step]:
        image = torch.as_tensor(given["image"], device=self.device)
        target = image.mean() + torch.linspace(0, 1, 204, device=self.device).reshape(68, 3)
        if self.config.diverge_on and float(image.mean()) > self.config.diverge_on:
            target = target * float("nan")
        for stage, rate in enumerate((0.1, 0.01)):
            name = f"stage {stage}"
            loop.optimizer(name, [self.points], OptimizerConfig(lr=rate), schedule=lambda step: 1.0)
            while loop.step < (stage + 1) * self.config.stage:
                with loop.micro_batch(name):
                    loss = (self.points - target + 0.01 * stage * torch.randn(68, 3)).square().mean()
                    loop.backward(loss)
                loop.update(name)
                yield Step(loss.detach())
            loop.release(name)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return the points."""
        return Reconstruction("image", "pixel", landmarks=self.points.detach().cpu().numpy().copy())

    def render(self, cameras: Sequence[Camera]) -> Views:
        """Render constant images with the mean of the points."""
        level = float(self.points.detach().mean())
        return Views(np.stack([np.full((3, camera.height, camera.width), level, np.float32) for camera in cameras]))


class Unseeded(ScenePoints):
    """Violates determinism: its noise comes from an unseeded generator."""

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return the points with noise."""
        noise = np.random.default_rng().standard_normal((68, 3)).astype(np.float32)
        return Reconstruction("image", "pixel", landmarks=self.points.detach().numpy() + noise)


class Leaking(ScenePoints):
    """Violates the exact fit: the optimised parameters are not part of its state."""

    def __init__(self, config: ScenePointsConfig) -> None:
        super().__init__(config)
        del self.points
        self.hidden = [nn.Parameter(torch.zeros(68, 3))]
        self.register_buffer("steps", torch.zeros(()))

    @property
    def points(self) -> nn.Parameter:
        """The optimised parameter."""
        return self.hidden[0]

    def _fit(self, given: dict[str, Any], loop: TrainLoop) -> Iterator[Step]:
        for step in super()._fit(given, loop):
            self.steps.copy_(self.points.detach().sum())
            yield step


class Flickering(ScenePoints):
    """Violates determinism: its renderings are scaled by an unseeded random factor."""

    def render(self, cameras: Sequence[Camera]) -> Views:
        """Render constant images with approximately the mean of the points."""
        views = super().render(cameras)
        return Views((views.images * (1 + np.random.default_rng().random())).astype(np.float32))
