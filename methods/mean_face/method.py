"""The mean position map of the training crops, placed in the box: the score of a method that never looks at the image."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deep3dmap.core import Method, MethodCard, Reconstruction, Step, UserError
from deep3dmap.core.options import option
from deep3dmap.data.face_atlas import face_atlas
from deep3dmap.frameworks import TrainLoop
from deep3dmap.frameworks.inputs import select
from deep3dmap.geometry.face_crop import crop_from_detector_box, positions_to_image
from deep3dmap.geometry.position_maps import reconstruction_of_map, resample


@dataclass
class MeanFaceConfig:
    """The size of the map, and its atlas."""

    resolution: int = option(256, "side of the position map in texels", valid="[16, inf)")
    atlas: str = option("grid_head", "grid_head, an atlas saved as .npz, or PRNet's uv-data folder")


class MeanFace(Method):
    """Predicts the mean of the training maps, in sides of the crop."""

    card = MethodCard(
        title="Mean face",
        authors="deep3dmap",
        year=2025,
        paper="",
        tasks=("face",),
        consumes=("image", "box"),
        produces=("position_map", "landmarks", "points", "mesh"),
        trains_on=("crop", "position_map"),
        licence="Apache-2.0",
        frame="image",
        is_baseline=True,
    )
    config_type = MeanFaceConfig

    def __init__(self, config: MeanFaceConfig) -> None:
        self.config = config
        self.atlas = face_atlas(config.atlas, config.resolution)
        self.mean_map: np.ndarray | None = None

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Average the training split in one pass, which is a single step; a resumed run has already done it."""
        if loop.step:
            return
        total = np.zeros((3, self.config.resolution, self.config.resolution))
        for index in range(len(loop.dataset)):
            sample = select(loop.dataset[index], self.card.trains_on, loop.settings.inputs)
            crop, positions = np.asarray(sample["crop"]), np.asarray(sample["position_map"])
            total += resample(positions, self.config.resolution) / crop.shape[-1]
        self.mean_map = (total / len(loop.dataset)).astype(np.float32)
        yield Step(loss=0.0)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Place the mean map in the crop of the detector box. Raises UserError before training."""
        if self.mean_map is None:
            raise UserError("mean_face has no mean yet: train it, which is one pass over the training split")
        size = self.config.resolution
        crop_from_image = crop_from_detector_box(given["box"], size)
        return reconstruction_of_map(positions_to_image(self.mean_map * size, crop_from_image), self.atlas, given["image"])

    def state_dict(self) -> dict[str, Any]:
        """Return the mean map, if there is one."""
        return {} if self.mean_map is None else {"mean_map": torch.from_numpy(self.mean_map)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the mean map."""
        self.mean_map = state["mean_map"].cpu().numpy() if "mean_map" in state else None
