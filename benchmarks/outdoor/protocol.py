"""The outdoor suite: depth and surface of an unbounded scene from posed photographs, in metres."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.benchmarks.outdoor import pictures
from deep3dmap.benchmarks.outdoor.range_depth import NAMES, gather, scores
from deep3dmap.core import (
    Camera,
    Evaluation,
    Mesh,
    MetricCard,
    Protocol,
    Reconstruction,
    SuiteCard,
    Task,
    UserError,
    Views,
)
from deep3dmap.core.pinhole_camera import cameras_of
from deep3dmap.geometry.cameras import invert, transform
from deep3dmap.metrics import surface_distance as surface
from deep3dmap.metrics.image_similarity import psnr, ssim
from deep3dmap.metrics.surface_points import surface_metrics
from deep3dmap.ops.rasterize import rasterize_camera

POINTS = 40_000  # samples per surface
THRESHOLD = 0.5  # metres

_DEPTH = (
    ("within_5", "", "up", "fraction of pixels with true depth whose depth is within 5 percent; missing depth counts as wrong"),
    ("complete", "", "up", "fraction of pixels with true depth that have a predicted depth"),
    ("abs_rel", "", "down", "mean of |d - g| / g where both exist"),
    ("abs_diff", "m", "down", "mean of |d - g| where both exist"),
)
_RANGES = {"0_20": "up to 20 m away", "20_50": "20 to 50 m away", "50_up": "farther than 50 m"}
_BY_RANGE = tuple(
    (f"{name}_{part}", unit, better, f"{name} of points {_RANGES[part]}") for part in NAMES for name, unit, better, _ in _DEPTH
)
_SURFACE = (
    ("chamfer", "m", "down", "mean of accuracy and completeness"),
    ("accuracy", "m", "down", "mean distance from predicted points within the bounds to the true surface"),
    ("completeness", "m", "down", "mean distance from true points within the bounds to the predicted surface"),
    ("precision_50cm", "", "up", "fraction of predicted points within half a metre of the truth"),
    ("recall_50cm", "", "up", "fraction of true points within half a metre of the prediction"),
    ("f_score_50cm", "", "up", "harmonic mean of precision and recall"),
)
_VIEWS = (
    ("psnr", "dB", "up", "per held-out view, including sky, clipped to [0, 1]; mean over views, if they are rendered"),
    ("ssim11", "", "up", "window of 11, Gaussian of sigma 1.5, borders excluded, range 1"),
)


class OutdoorProtocol(Protocol):
    """Scores depth in held-out views, rendered by the method or from its mesh, and the surface within the bounds."""

    card = SuiteCard(
        title="Outdoor: depth and surfaces of unbounded scenes from posed photographs",
        version=1,
        task=Task(
            name="outdoor",
            given=("images", "depths", "intrinsics", "world_from_camera", "bounds"),
            wanted=("views", "mesh"),
            meaning="depth in new views and the surface, from posed photographs (and depth, for methods that use it)",
            frames=("world",),
            gauges=("metric",),
        ),
        metrics=tuple(MetricCard(*row) for row in (*_DEPTH, *_BY_RANGE, *_SURFACE, *_VIEWS)),
        headline="within_5",
        reference="Knapitsch et al., Tanks and Temples, 2017 (F-score); Eigen et al., NIPS 2014 (depth)",
        datasets=("terrain",),
    )

    def begin(self) -> "OutdoorEvaluation":
        """Start the evaluation of a run."""
        return OutdoorEvaluation()

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write mesh_depth.png: photograph, depth, true depth and error in some held-out views."""
        if reconstruction.mesh is None:
            return []
        return [pictures.write(mesh_depths(reconstruction.mesh, truth), None, truth, folder / "mesh_depth.png")]

    def view_pictures(self, views: Views, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write views.png: the same pictures for the method's own renderings."""
        if views.depth is None:
            return []
        depths = [torch.from_numpy(np.asarray(depth, np.float32)) for depth in views.depth]
        return [pictures.write(depths, views.images, truth, folder / "views.png")]


class OutdoorEvaluation(Evaluation):
    """Scores one scene at a time."""

    def queries(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> Sequence[Camera]:
        """Return the cameras of the held-out views."""
        return cameras_of(truth["test_intrinsics"], truth["test_world_from_camera"], *np.shape(truth["test_images"])[-2:])

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Score one scene, using the rendered depth, or else that of the mesh.

        Raises UserError if the reconstruction is not in the world, or has neither depth nor a mesh.
        """
        if reconstruction.frame != "world":
            raise UserError(f"the outdoor suite requires frame 'world', but the reconstruction is in '{reconstruction.frame}'")
        mesh = reconstruction.mesh
        values: dict[str, float] = {}
        if views is not None:
            values |= _view_scores(views, truth)
        if views is not None and views.depth is not None:
            depths = [torch.from_numpy(np.asarray(depth, np.float32)) for depth in views.depth]
        elif mesh is not None:
            depths = mesh_depths(mesh, truth)
        else:
            raise UserError(f"the outdoor suite scores depth or a mesh, but there are only {reconstruction.produced()}")
        values |= scores(gather(depths, [torch.from_numpy(np.asarray(one)) for one in truth["test_true_depths"]]))
        if mesh is not None:
            values |= surface_scores(mesh, truth["mesh"], np.asarray(truth["bounds"], np.float64))
        return values


def mesh_depths(mesh: Mesh, truth: dict[str, Any]) -> list[Tensor]:
    """Return the depth (H, W) of a mesh in every held-out view, 0 = no surface."""
    cameras = zip(truth["test_true_depths"], truth["test_intrinsics"], truth["test_world_from_camera"])
    return [
        torch.zeros(*np.shape(true)) if mesh.is_empty else _render(mesh, intrinsics, pose, *np.shape(true))
        for true, intrinsics, pose in cameras
    ]


def surface_scores(mesh: Mesh, truth: Mesh, bounds: np.ndarray) -> dict[str, float]:
    """Compare two surfaces within the bounds (2, 3) by evenly spread points; an empty one is the bounds' diagonal away."""
    predicted, wanted = (_points_within(one, bounds) for one in (mesh, truth))
    largest = float(np.linalg.norm(bounds[1] - bounds[0]))
    found = surface_metrics(predicted, wanted, THRESHOLD, 0.0, largest)
    shares = {f"{name}_50cm": found[name] for name in ("precision", "recall", "f_score")}
    return {name: found[name] for name in ("chamfer", "accuracy", "completeness")} | shares


def _points_within(mesh: Mesh, bounds: np.ndarray) -> Tensor:
    if mesh.is_empty:
        return torch.zeros(0, 3)
    middles = mesh.vertices[mesh.faces].mean(1)
    inside = ((middles >= bounds[0]) & (middles <= bounds[1])).all(1)
    if not inside.any():
        return torch.zeros(0, 3)
    return surface.sample_surface(mesh.vertices, mesh.faces, POINTS, chosen=inside).points.float()


def _view_scores(views: Views, truth: dict[str, Any]) -> dict[str, float]:
    pairs = [
        (torch.from_numpy(np.asarray(one, np.float32)).clamp(0, 1), torch.from_numpy(np.asarray(true, np.float32)))
        for one, true in zip(views.images, truth["test_images"], strict=True)
    ]
    rows = [(psnr(one, true), ssim(one, true)) for one, true in pairs]
    return dict(zip(("psnr", "ssim11"), np.mean(rows, axis=0).tolist()))


def _render(mesh: Mesh, intrinsics: Any, pose: Any, height: int, width: int) -> Tensor:
    seen = transform(torch.from_numpy(mesh.vertices), invert(torch.from_numpy(np.asarray(pose, np.float64))).float())
    matrix = torch.from_numpy(np.asarray(intrinsics, np.float32))
    return rasterize_camera(seen.contiguous(), torch.from_numpy(mesh.faces), matrix, height, width).depth
