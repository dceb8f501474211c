"""Solid textures of procedural rooms: colour as a function of the point in the object's own frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deep3dmap.ops.solid_texture import PATTERNS, SolidMaterials, solid_albedo


@dataclass(frozen=True)
class Material:
    """A solid texture. kind: one of PATTERNS. first, second: RGB in [0, 1]. scale: metres per period. grain: noise contrast."""

    kind: str
    first: tuple[float, float, float]
    second: tuple[float, float, float]
    scale: float = 0.3
    grain: float = 0.25
    glow: float = 0.0


class SolidTextures:
    """The materials of a scene, packed for batched evaluation."""

    def __init__(self, materials: Sequence[Material]) -> None:
        first, second = torch.tensor([m.first for m in materials]), torch.tensor([m.second for m in materials])
        rest = torch.tensor([(m.grain, m.scale) for m in materials])
        kinds = torch.tensor([PATTERNS.index(m.kind) for m in materials], dtype=torch.uint8)
        self._materials = SolidMaterials(kinds, torch.cat([first, second - first, rest], 1))

    def albedo(self, index: Tensor, points: Tensor) -> Tensor:
        """Return the colours (3, N) of `points` (3, N) with materials `index` (N,)."""
        return solid_albedo(points, index, self._materials)
