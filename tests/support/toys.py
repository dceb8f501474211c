"""A dataset and methods that train in milliseconds, but use every feature of the training loop."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deep3dmap.core import DatasetCard, MethodCard, Reconstruction, Step, UserError
from deep3dmap.core.options import option
from deep3dmap.frameworks import BaseFramework, CustomFramework


@dataclass
class DotsConfig:
    """Images whose 68 landmarks are a linear function of the pixels."""

    samples: int = option(24, "training samples")
    nan_after: int = option(0, "training samples from this one on hold NaN (0 = none)")


class Dots:
    """A learnable toy dataset, generated in memory."""

    config_type = DotsConfig
    card = DatasetCard(
        "Dots", ("image", "landmarks_68"), ("train", "val", "test"), "image", "pixel", "Apache-2.0", "made in memory"
    )
    version = "dots-1"
    root = Path(".")

    def __init__(self, config: DotsConfig, cache: Path | None = None) -> None:
        self.config = config

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """There is nothing to prepare."""

    def split(self, name: str) -> "DotsSplit":
        if name not in self.card.splits:
            raise UserError(f"no split '{name}'")
        size = self.config.samples if name == "train" else 5
        return DotsSplit(size, {"train": 0, "val": 1, "test": 2}[name], self.config.nan_after)


class DotsSplit:
    """Samples drawn from a seed."""

    def __init__(self, size: int, seed: int, nan_after: int) -> None:
        self.size, self.seed, self.nan_after = size, seed, nan_after

    def __len__(self) -> int:
        return self.size

    def name(self, index: int) -> str:
        return f"dot-{index:02d}"

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.size:
            raise IndexError(index)
        image = np.random.default_rng([self.seed, index]).random((3, 4, 4), np.float32)
        mix = np.random.default_rng(7).standard_normal((48, 204)).astype(np.float32)
        landmarks = (image.reshape(-1) @ mix).reshape(68, 3)
        if self.nan_after and index >= self.nan_after and self.seed == 0:
            landmarks = np.full_like(landmarks, np.nan)
        return {"image": image, "landmarks_68": landmarks}


@dataclass
class RegressionConfig:
    """A linear regression."""

    hidden: int = option(8, "hidden units", low=2, high=32)
    dropout: float = option(0.1, "share of hidden units dropped while training")
    normalise: bool = option(False, "put a batch norm between the layers")


CARD = MethodCard(
    "Toy regression", "nobody", 2024, "", ("landmarks",), ("image",), ("landmarks",), "Apache-2.0", ("image", "landmarks_68")
)


class Regression(BaseFramework):
    """Two linear layers from pixels to landmarks."""

    card = CARD
    config_type = RegressionConfig
    variants = {"mini": {"optimizer": {"lr": 0.01}}}

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__(config)
        norm = [nn.BatchNorm1d(config.hidden)] if config.normalise else []
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(48, config.hidden), *norm, nn.Dropout(config.dropout), nn.Linear(config.hidden, 204)
        )

    def transform(self, sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
        """Add a little noise, to exercise the seeded augmentation."""
        noise = generator.normal(0, 0.01, sample["image"].shape).astype(np.float32)
        return {**sample, "image": sample["image"] + noise}

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Predict landmarks."""
        return {"landmarks": self.layers(inputs["image"]).reshape(-1, 68, 3)}

    def losses(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Mean squared error."""
        return {"l2": (outputs["landmarks"] - batch["landmarks_68"]).square().mean()}

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Predict the landmarks of one image."""
        image = torch.as_tensor(given["image"], device=self.device)[None]
        return Reconstruction("image", "pixel", landmarks=self({"image": image})["landmarks"][0].cpu().numpy())


@dataclass
class KilledOnceConfig(RegressionConfig):
    """A regression whose process dies once."""

    mark: str = option("", "file that records that the process has died")


class KilledOnce(Regression):
    """Kills its own process at step 5, the first time only."""

    config_type = KilledOnceConfig

    def train_steps(self, loop: Any) -> Any:
        """Train as usual, but die once."""
        mark = Path(self.config.mark)
        for step in super().train_steps(loop):
            if loop.step == 5 and loop.rank == 0 and not mark.exists():
                mark.write_text("killed")
                os.kill(os.getpid(), signal.SIGKILL)
            yield step


class TwoOptimizers(CustomFramework):
    """A method with a custom schedule: two alternating optimisers, and a phase that is stored in a buffer."""

    card = CARD
    config_type = RegressionConfig
    variants = {"mini": {"optimizer": {"lr": 0.01}}}

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__(config)
        self.encoder, self.decoder = nn.Linear(48, config.hidden), nn.Linear(config.hidden, 204)
        self.register_buffer("turns", torch.zeros((), dtype=torch.int64))

    def train_steps(self, loop: Any) -> Any:
        """Alternate between the two halves."""
        for half in ("encoder", "decoder"):
            loop.prepare(getattr(self, half))
            loop.optimizer(half, getattr(self, half).parameters())
            loop.average(getattr(self, half), after=half)
        for batch in loop.batches(self.card.trains_on):
            turn = ("encoder", "decoder")[int(self.turns) % 2]
            with loop.micro_batch(turn):
                predicted = self.decoder(self.encoder(batch["image"].flatten(1)) + 0.01 * torch.randn(1)).reshape(-1, 68, 3)
                loss = (predicted - batch["landmarks_68"]).square().mean()
                loop.backward(loss)
            if loop.update(turn):
                self.turns += 1
                yield Step(loss.detach())

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Predict the landmarks of one image."""
        image = torch.as_tensor(given["image"])[None].flatten(1)
        return Reconstruction("image", "pixel", landmarks=self.decoder(self.encoder(image)).reshape(68, 3).numpy())
