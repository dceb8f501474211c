"""The shape suite: the depth of an object from one photograph, with the protocol of Wu et al. (CVPR 2020)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.benchmarks.shape.pictures import match_scale, relief_surface, write_pictures
from deep3dmap.core import Evaluation, Mesh, MetricCard, Protocol, Reconstruction, SuiteCard, Task, UserError, Views
from deep3dmap.geometry.relief import ReliefCamera
from deep3dmap.metrics.relief_depth import common_pixels, mean_angle_deviation, scale_invariant_error

_METRICS = (
    ("side", "1e-2", "down", "scale-invariant depth error: standard deviation of the log depth error, times 100"),
    ("mad", "degrees", "down", "mean angle between the normals of predicted and true depth, as published (a little too large)"),
    ("mad_exact", "degrees", "down", "mad with unit normals: 0 for equal depth"),
    ("seen", "", "up", "fraction of the true object's pixels that could be compared"),
)


class ShapeProtocol(Protocol):
    """Scores a depth map in the view of the photograph, up to scale."""

    card = SuiteCard(
        title="Shape: depth of an object from one photograph",
        version=1,
        task=Task(
            name="shape",
            given=("image",),
            wanted=("depth",),
            meaning="the depth of an object in the view of one square photograph, up to a factor",
            frames=("relief",),
        ),
        metrics=tuple(MetricCard(*row) for row in _METRICS),
        headline="side",
        reference="Wu, Rupprecht and Vedaldi, CVPR 2020; Pan et al., ICLR 2021",
    )

    def begin(self) -> "ShapeEvaluation":
        """Start the evaluation of a run."""
        return ShapeEvaluation()

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write shape.png: photograph, depth and normals next to the true ones, and the method's own pictures."""
        return write_pictures(reconstruction, truth, folder)

    def surfaces(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> tuple[Mesh | None, Mesh | None]:
        """Return both depth maps as surfaces where both show the object, with the prediction at the scale of the truth."""
        predicted, true = (depth[0] for depth in depth_maps(reconstruction, truth))
        both = common_pixels(true[None], (predicted > 0).to(true.dtype)[None])[0] > 0
        return relief_surface(match_scale(predicted, true, both), both), relief_surface(true, both)


class ShapeEvaluation(Evaluation):
    """Scores one photograph at a time."""

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return the errors over the pixels that both depth maps show.

        Raises UserError for a depth map of a different size, or without any pixel in common with the true one.
        """
        predicted, true = depth_maps(reconstruction, truth)
        mask = common_pixels(true, (predicted > 0).float())
        if not mask.any():
            raise UserError(f"{scene}: the depth map has no depth where the object is")
        # Pixels that are not compared must not make the sums infinite.
        filled = torch.where(predicted > 0, predicted, 1.0)
        camera = ReliefCamera(true.shape[-1])
        return {
            "side": 100 * float(scale_invariant_error(filled, true, mask)),
            "mad": float(mean_angle_deviation(filled, true, mask, camera)),
            "mad_exact": float(mean_angle_deviation(filled, true, mask, camera, exact=True)),
            "seen": float(mask.sum() / common_pixels(true, torch.ones_like(true)).sum()),
        }


def depth_maps(reconstruction: Reconstruction, truth: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return predicted and true depth (1, H, W); raises UserError for different sizes, and for NaN and infinity."""
    predicted = torch.from_numpy(np.asarray(reconstruction.depth, np.float64))
    true = torch.from_numpy(np.asarray(truth["relief_depth"], np.float64))[None]
    if predicted.shape != true.shape:
        raise UserError(f"the depth map is {tuple(predicted.shape)}, but the true one is {tuple(true.shape)}")
    if not torch.isfinite(predicted).all():
        raise UserError("the depth map contains NaN or infinity; missing depth must be 0")
    return predicted, true
