"""A baseline of the generation suite that memorises training pictures and slightly moves and tints them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from deep3dmap.core import Method, MethodCard, Reconstruction, Step, UserError
from deep3dmap.core.options import option
from deep3dmap.frameworks import TrainLoop, sample_generator
from deep3dmap.frameworks.inputs import select


@dataclass
class JitteredImagesConfig:
    """Number of memorised pictures, and the strength of the jitter."""

    pictures: int = option(2000, "number of training pictures to keep, from the first; one per step", low=1, valid="[1, inf)")
    shift: float = option(0.05, "standard deviation of the shift, relative to the side", low=0.0, high=0.5, valid="[0, inf)")
    zoom: float = option(0.05, "standard deviation of the logarithm of the scale", low=0.0, high=0.5, valid="[0, inf)")
    tint: float = option(0.05, "standard deviation of the offset of each colour channel", low=0.0, high=0.5, valid="[0, inf)")


class JitteredImages(Method):
    """Keeps training pictures and returns them jittered, to show the score of pure memorisation."""

    card = MethodCard(
        title="Jittered training images",
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
    config_type = JitteredImagesConfig

    def __init__(self, config: JitteredImagesConfig) -> None:
        self.config = config
        self.pictures: list[Tensor] = []

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Keep one training picture per step."""
        loop.planned_steps = min(self.config.pictures, len(loop.dataset))
        for index in range(loop.step, loop.planned_steps):
            image = np.asarray(select(loop.dataset[index], self.card.trains_on, loop.settings.inputs)["image"])
            picture = torch.from_numpy((image * 255).round().astype(np.uint8))
            if self.pictures and picture.shape != self.pictures[0].shape:
                raise UserError(
                    f"jittered_images: picture sizes differ, {tuple(self.pictures[0].shape)} and {tuple(picture.shape)}"
                )
            self.pictures.append(picture)
            yield Step(loss=0.0)

    def generate(self, indices: range, seed: int, **controls: Any) -> Tensor:
        """Return a jittered training picture for each index; there are no controls."""
        if controls:
            raise UserError(f"jittered_images has no control '{next(iter(controls))}'")
        if not self.pictures:
            raise UserError("jittered_images has seen no training pictures")
        drawn = [self._jitter_picture(sample_generator(seed, index)) for index in indices]
        return torch.stack(drawn) if drawn else torch.zeros(0, *self.pictures[0].shape)

    def _jitter_picture(self, generator: torch.Generator) -> Tensor:
        c = self.config
        chosen = int(torch.randint(len(self.pictures), (), generator=generator))
        mirrored = 1.0 - 2.0 * float(torch.randint(2, (), generator=generator))
        zoom, *rest = torch.randn(6, generator=generator).tolist()
        scale = float(np.exp(c.zoom * zoom))
        place = torch.tensor([[[scale * mirrored, 0, 2 * c.shift * rest[0]], [0, scale, 2 * c.shift * rest[1]]]])
        picture = self.pictures[chosen][None].float() / 255
        grid = affine_grid(place, list(picture.shape), align_corners=False)
        moved = grid_sample(picture, grid, padding_mode="border", align_corners=False)[0]
        return (moved + c.tint * torch.tensor(rest[2:])[:, None, None]).clamp(0, 1)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return a sheet of samples."""
        return Reconstruction("image", "pixel", samples=self.generate(range(16), 0).numpy())

    def state_dict(self) -> dict[str, Any]:
        """Return the pictures and their number."""
        pictures = torch.stack(self.pictures) if self.pictures else torch.zeros(0, 3, 0, 0, dtype=torch.uint8)
        return {"pictures": pictures, "count": torch.tensor(len(self.pictures))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the pictures."""
        self.pictures = list(state["pictures"].cpu())
