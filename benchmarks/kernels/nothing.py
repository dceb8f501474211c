"""A method and a dataset with next to no work, so that the cost of a run is the overhead of the platform and Ray."""

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
class MinimalMethodConfig:
    """Options of the minimal method."""

    hidden: int = option(4, "hidden units")


class MinimalMethod(BaseFramework):
    """One small linear layer, whose step consists almost entirely of the training loop."""

    card = MethodCard("Next to nothing", "", 2025, "", (), ("image",), ("landmarks",), "Apache-2.0", ("image",))
    config_type: ClassVar[type] = MinimalMethodConfig

    def __init__(self, config: MinimalMethodConfig) -> None:
        super().__init__(config)
        self.layer = nn.Linear(4, config.hidden)

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Apply the layer."""
        return {"y": self.layer(inputs["image"])}

    def losses(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the mean square."""
        return {"l2": outputs["y"].square().mean()}

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return the layer's bias as a placeholder."""
        return Reconstruction("image", "pixel", landmarks=self.layer.bias.detach().numpy()[None])


@dataclass
class MinimalDatasetConfig:
    """Options of the minimal dataset."""

    samples: int = option(SAMPLES, "samples of the training split")


class MinimalDataset:
    """A few four-dimensional vectors in memory."""

    config_type: ClassVar[type] = MinimalDatasetConfig
    card = DatasetCard("A few vectors", ("image",), ("train", "val", "test"), "image", "pixel", "Apache-2.0", "in memory")
    version = "minimal-1"
    root = Path(".")

    def __init__(self, config: MinimalDatasetConfig, cache: Path | None = None) -> None:
        self.config = config

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Do nothing; the data are in memory."""

    def split(self, name: str) -> "MinimalSplit":
        """Return a split; raises UserError for an unknown name."""
        if name not in self.card.splits:
            raise UserError(f"no split '{name}'; there are {', '.join(self.card.splits)}")
        return MinimalSplit(self.config.samples if name == "train" else 8)


class MinimalSplit:
    """A split with a given number of vectors."""

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
