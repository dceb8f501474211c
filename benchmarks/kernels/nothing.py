"""A method and a dataset that are next to nothing: what a run of them costs is what the platform and Ray cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deep3dmap.core import DatasetCard, MethodCard, Reconstruction, UserError
from deep3dmap.core.options import option
from deep3dmap.frameworks import BaseFramework

SAMPLES = 64


@dataclass
class NextToNothingConfig:
    """No work to speak of."""

    hidden: int = option(4, "hidden units")


class NextToNothing(BaseFramework):
    """One small linear layer: a step of it is nearly all loop."""

    card = MethodCard("Next to nothing", "", 2025, "", (), ("image",), ("landmarks",), "Apache-2.0", ("image",))
    config_type: ClassVar[type] = NextToNothingConfig

    def __init__(self, config: NextToNothingConfig) -> None:
        super().__init__(config)
        self.layer = nn.Linear(4, config.hidden)

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Apply the layer."""
        return {"y": self.layer(inputs["image"])}

    def losses(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Mean square."""
        return {"l2": outputs["y"].square().mean()}

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return the layer's bias, which nobody asks for."""
        return Reconstruction("image", "pixel", landmarks=self.layer.bias.detach().numpy()[None])


@dataclass
class HandfulConfig:
    """Nothing to choose."""

    samples: int = option(SAMPLES, "samples of the training split")


class Handful:
    """A handful of vectors of four numbers, made in memory."""

    config_type: ClassVar[type] = HandfulConfig
    card = DatasetCard(
        "A handful of vectors", ("image",), ("train", "val", "test"), "image", "pixel", "Apache-2.0", "in memory"
    )
    version = "handful-1"
    root = Path(".")

    def __init__(self, config: HandfulConfig, cache: Path | None = None) -> None:
        self.config = config

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Nothing to make."""

    def split(self, name: str) -> "HandfulSplit":
        """Return a split; raises UserError for a name it has not."""
        if name not in self.card.splits:
            raise UserError(f"no split '{name}'; there are {', '.join(self.card.splits)}")
        return HandfulSplit(self.config.samples if name == "train" else 8)


class HandfulSplit:
    """So many vectors."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def name(self, index: int) -> str:
        """Return the name of a vector."""
        return f"vector-{index}"

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.size:
            raise IndexError(index)
        return {"image": torch.full((4,), index / self.size)}
