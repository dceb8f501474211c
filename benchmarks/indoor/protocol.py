"""The indoor suite: the surface of a room from a posed RGB-D scan, with the protocol of Atlas as used in NeuralRecon."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.benchmarks.indoor.pictures import write_pictures
from deep3dmap.benchmarks.indoor.surfaces import Draw, Renderer, fused, predicted_surface, rendered_depths
from deep3dmap.benchmarks.indoor.surfaces import renderer as choose_renderer
from deep3dmap.core import Evaluation, Mesh, MetricCard, Protocol, Reconstruction, SuiteCard, Task, Views
from deep3dmap.metrics.depth import depth_metrics, mean_metrics
from deep3dmap.metrics.surface_points import surface_metrics

THRESHOLD = 0.05
DOWN_SAMPLE = 0.02
MAX_DEPTH = 10.0

_SURFACE = (
    ("f_score_5cm", "", "up", "harmonic mean of precision and recall"),
    ("precision_5cm", "", "up", "fraction of predicted points within 5 cm of the truth"),
    ("recall_5cm", "", "up", "fraction of true points within 5 cm of the prediction"),
    ("accuracy", "m", "down", "mean distance from predicted points to the truth"),
    ("completeness", "m", "down", "mean distance from true points to the prediction"),
    ("chamfer", "m", "down", "mean of accuracy and completeness"),
)
_UNTRIMMED = tuple(
    (f"untrimmed_{name}", unit, better, f"{meaning}, for the mesh as predicted") for name, unit, better, meaning in _SURFACE
)
_DEPTH = (
    ("abs_rel", "", "down", "mean of |d - g| / g over the frames' pixels, d rendered, g true"),
    ("abs_diff", "m", "down", "mean of |d - g|"),
    ("sq_rel", "m", "down", "mean of (d - g)^2 / g"),
    ("rmse", "m", "down", "root of the mean of (d - g)^2"),
    ("log_rmse", "", "down", "root of the mean of (ln d - ln g)^2"),
    ("delta_1.25", "", "up", "fraction of pixels with max(d/g, g/d) below 1.25"),
    ("delta_1.25^2", "", "up", "fraction of pixels with max(d/g, g/d) below 1.25^2"),
    ("delta_1.25^3", "", "up", "fraction of pixels with max(d/g, g/d) below 1.25^3"),
    ("complete", "", "up", "fraction of all pixels with a prediction"),
)


class IndoorProtocol(Protocol):
    """Scores a mesh, or depth maps, of a room."""

    card = SuiteCard(
        title="Indoor: surfaces of rooms from posed RGB-D scans",
        version=2,
        task=Task(
            name="indoor",
            given=("images", "depths", "intrinsics", "world_from_camera"),
            wanted=("mesh", "depth"),
            meaning="the surface in the world frame from the frames of a scan with poses (and depth, for methods that use it)",
            frames=("world",),
            gauges=("metric",),
        ),
        metrics=tuple(MetricCard(*row) for row in (*_SURFACE, *_UNTRIMMED, *_DEPTH)),
        headline="f_score_5cm",
        reference="Sun et al., NeuralRecon, CVPR 2021; Murez et al., Atlas, ECCV 2020",
    )

    def __init__(self, renderer: Renderer = "native") -> None:
        """renderer: native (identical on every machine, used for the leaderboard), pyrender or auto."""
        self._draw = choose_renderer(renderer)

    def begin(self) -> "IndoorEvaluation":
        """Start the evaluation of a run."""
        return IndoorEvaluation(self._draw)

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write frames.png (input, depths, renderings, errors) and overview.png (prediction and truth from outside)."""
        return write_pictures(predicted_surface(reconstruction, truth), truth, folder)

    def surfaces(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> tuple[Mesh | None, Mesh | None]:
        """Return the predicted surface, fused if there are only depth maps, and the true one."""
        return predicted_surface(reconstruction, truth), truth.get("mesh")


class IndoorEvaluation(Evaluation):
    """Scores the surface and depth of one scan at a time."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return the depth metrics, and the surface metrics if the scan has a reference mesh.

        Raises ValueError for a reconstruction that is not in the world frame in metres or has neither a mesh nor depth.
        """
        mesh = predicted_surface(reconstruction, truth)
        drawn = rendered_depths(mesh, truth, self._draw)
        scores: dict[str, float] = {}
        if "mesh" in truth:
            scores = _surface_scores(fused(drawn, truth), truth["mesh"])
            scores |= {f"untrimmed_{name}": value for name, value in _surface_scores(mesh, truth["mesh"]).items()}
        return scores | _depth_scores(reconstruction, drawn, truth)


def _surface_scores(predicted: Mesh, truth: Mesh) -> dict[str, float]:
    scores = surface_metrics(torch.from_numpy(predicted.vertices), torch.from_numpy(truth.vertices), THRESHOLD, DOWN_SAMPLE)
    at_threshold = ("precision", "recall", "f_score")
    return {f"{name}_5cm" if name in at_threshold else name: value for name, value in scores.items()}


def _depth_scores(reconstruction: Reconstruction, drawn: list[Tensor], truth: dict[str, Any]) -> dict[str, float]:
    """Average the frames' metrics for the predicted depth maps, or else for those rendered from the mesh."""
    predicted = drawn
    if reconstruction.depth is not None:
        predicted = [torch.from_numpy(np.asarray(depth, np.float32)) for depth in reconstruction.depth]
    pairs = zip(predicted, truth["true_depths"])
    return mean_metrics([depth_metrics(depth, torch.from_numpy(np.asarray(true)), MAX_DEPTH) for depth, true in pairs])
