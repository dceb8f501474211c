"""Views and lights of the pseudo samples, sampled from priors (Pan et al., ICLR 2021, section 3.2)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.nn.relief_model import YAW


@dataclass(frozen=True)
class ViewPrior:
    """A normal distribution of views (6,), in the units of the view network: mean (6,), covariance (6, 6).

    Raises UserError for other shapes, and for a covariance that is not positive definite.
    """

    mean: Tensor
    covariance: Tensor

    def __post_init__(self) -> None:
        shapes = tuple(self.mean.shape), tuple(self.covariance.shape)
        if shapes != ((6,), (6, 6)):
            raise UserError(f"a view prior needs a mean (6,) and a covariance (6, 6), got {shapes[0]} and {shapes[1]}")
        symmetric = torch.allclose(self.covariance, self.covariance.T, atol=1e-6)
        if not symmetric or int(torch.linalg.cholesky_ex(self.covariance).info):
            raise UserError(
                "method.view_deviation: all must be above 0; even a shift that never occurs needs a small deviation"
            )

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return views (count, 6)."""
        noise = torch.randn(count, 6, generator=generator).to(self.mean)
        return self.mean + noise @ torch.linalg.cholesky(self.covariance).T


@dataclass(frozen=True)
class LightRange:
    """Ranges of the direction and strength of the light of pseudo samples, relative to the picture's own light.

    x, y: of the direction (x, y, 1). strength: added to the diffuse part. ambient: multiplied by the strength and added to the
    ambient part; negative, so that a stronger light reduces it. All but `ambient` are uniform within their ranges.
    """

    x: tuple[float, float] = (-1.0, 1.0)
    y: tuple[float, float] = (-0.2, 0.8)
    strength: tuple[float, float] = (-0.1, 0.6)
    ambient: float = -0.6

    @classmethod
    def of(cls, numbers: list[float]) -> "LightRange":
        """Return the range from the seven numbers of the published configurations. Raises UserError for a different count."""
        if len(numbers) != 7:
            raise UserError(f"a light range needs 7 numbers (ranges of x, y and strength, then ambient), got {len(numbers)}")
        x, y, strength = ((float(numbers[i]), float(numbers[i + 1])) for i in (0, 2, 4))
        return cls(x, y, strength, float(numbers[6]))


class LightDraw(NamedTuple):
    """Uniform numbers in [0, 1), (N,) each."""

    x: Tensor
    y: Tensor
    strength: Tensor


def draw_lights(count: int, generator: torch.Generator | None = None) -> LightDraw:
    """Sample the numbers of `count` lights."""
    return LightDraw(*torch.rand(3, count, generator=generator).unbind())


def between(ends: tuple[float, float], share: Tensor) -> Tensor:
    """Interpolate linearly between two ends; share: (N,) in [0, 1]."""
    return ends[0] + share * (ends[1] - ends[0])


def widen_yaw(unit_views: Tensor, factor: float) -> Tensor:
    """Multiply the yaw of views (N, 6), so that pseudo samples are rotated further than the pictures."""
    scale = torch.ones(6)
    scale[YAW] = factor
    return unit_views * scale.to(unit_views)
