"""A face method that trains in a second, and can optionally be slow, die once, or fail."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deep3dmap.core import MethodCard, Reconstruction, Step, UserError
from deep3dmap.core.options import option
from deep3dmap.frameworks import BaseFramework, TrainLoop
from deep3dmap.geometry.face_crop import crop_from_detector_box, positions_to_image


@dataclass
class ToyFaceConfig:
    """Options that select a fault."""

    delay: float = option(0.0, "seconds every step waits")
    die_at: int = option(0, "step at which the process kills itself, the first time only (0 = never)")
    fail: str = option("", "where it raises: reconstruct or nowhere")


class ToyFace(BaseFramework):
    """Predicts 68 landmarks from the mean colour of the crop."""

    card = MethodCard(
        "Toy face", "nobody", 2024, "", ("face",), ("image", "box"), ("landmarks",), "Apache-2.0", ("crop", "position_map")
    )  # fmt: skip
    config_type = ToyFaceConfig
    config: ToyFaceConfig
    variants = {"mini": {"optimizer": {"lr": 0.01}, "trainer": {"max_steps": 4}}}

    def __init__(self, config: ToyFaceConfig) -> None:
        super().__init__(config)
        self.layer = nn.Linear(3, 204)

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Train as usual, but wait, or die once; the file $TOYS_MARK records that this has happened."""
        for step in super().train_steps(loop):
            time.sleep(self.config.delay)
            if self.config.die_at and loop.step + 1 == self.config.die_at:
                mark = Path(os.environ["TOYS_MARK"])
                if not mark.exists():
                    mark.write_text(str(loop.step))
                    os.kill(os.getpid(), signal.SIGKILL)
            yield step

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Predict landmarks in units of the side of the crop."""
        return {"landmarks": self.layer(inputs["crop"].mean((2, 3))).reshape(-1, 68, 3)}

    def losses(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Pull every landmark towards the mean of the position map."""
        middle = batch["position_map"].mean((2, 3)) / batch["crop"].shape[-1]
        return {"l2": (outputs["landmarks"] - middle[:, None]).square().mean()}

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Predict landmarks; raises UserError for any keys other than those requested."""
        if set(given) != {"image", "box"}:
            raise UserError(f"handed {sorted(given)}")
        if self.config.fail == "reconstruct":
            raise RuntimeError("asked to fail")
        crop_from_image = crop_from_detector_box(given["box"], 64)
        mean = torch.as_tensor(given["image"]).mean((1, 2))[None]
        landmarks = self.layer(mean).reshape(3, 68, 1).detach().numpy() * 64
        return Reconstruction("image", "pixel", landmarks=positions_to_image(landmarks, crop_from_image)[..., 0].T)
