"""The indoor suite: a posed RGB-D scan of a room in, its surface out. Protocol of NeuralRecon and Atlas without trimming."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.benchmarks.indoor.pictures import write_pictures
from deep3dmap.core import Mesh, MetricCard, Protocol, Reconstruction, SuiteCard, Task
from deep3dmap.geometry.cameras import invert, transform
from deep3dmap.geometry.tsdf_volume import TSDFVolume
from deep3dmap.metrics.depth import depth_metrics, mean_metrics
from deep3dmap.metrics.mesh import surface_metrics
from deep3dmap.ops.rasterize import rasterize_camera

THRESHOLD = 0.05
DOWN_SAMPLE = 0.02
MAX_DEPTH = 10.0
REFUSION_VOXEL, REFUSION_TRUNCATION, REFUSION_DEPTH = 0.04, 0.12, 5.0  # metres

_SURFACE = (
    ("f_score_5cm", "", "up", "harmonic mean of precision and recall"),
    ("precision_5cm", "", "up", "share of predicted points nearer than 5 cm to the truth"),
    ("recall_5cm", "", "up", "share of true points nearer than 5 cm to the prediction"),
    ("accuracy", "m", "down", "mean distance from predicted points to the truth"),
    ("completeness", "m", "down", "mean distance from true points to the prediction"),
    ("chamfer", "m", "down", "mean of accuracy and completeness"),
)
_DEPTH = (
    ("abs_rel", "", "down", "mean of |d - g| / g over the frames' pixels, d rendered, g true"),
    ("abs_diff", "m", "down", "mean of |d - g|"),
    ("sq_rel", "m", "down", "mean of (d - g)^2 / g"),
    ("rmse", "m", "down", "root of the mean of (d - g)^2"),
    ("log_rmse", "", "down", "root of the mean of (ln d - ln g)^2"),
    ("delta_1.25", "", "up", "share of pixels with max(d/g, g/d) below 1.25"),
    ("delta_1.25^2", "", "up", "the same below 1.25^2"),
    ("delta_1.25^3", "", "up", "the same below 1.25^3"),
    ("complete", "", "up", "share of all pixels where something was predicted"),
)


class IndoorProtocol(Protocol):
    """Scores a mesh, or depth maps, of a room."""

    card = SuiteCard(
        title="Indoor: surfaces of rooms from posed RGB-D scans",
        version=1,
        task=Task(
            name="indoor",
            given=("images", "depths", "intrinsics", "world_from_camera"),
            wanted=("mesh", "depth"),
            meaning="from the frames of a scan with poses (and depth, for methods that use it), the surface in the world frame",
        ),
        metrics=tuple(MetricCard(*row) for row in (*_SURFACE, *_DEPTH)),
        headline="f_score_5cm",
        reference="Sun et al., NeuralRecon, CVPR 2021; Murez et al., Atlas, ECCV 2020",
    )

    def evaluate(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> Mapping[str, float]:
        """Return the surface metrics, where the scan has a reference mesh, and the depth metrics.

        Raises ValueError for a reconstruction that is not in the world frame in metres or has neither mesh nor depth.
        """
        mesh = _surface(reconstruction, truth)
        scores: dict[str, float] = {}
        if "mesh" in truth:
            predicted, true = (torch.from_numpy(m.vertices) for m in (mesh, truth["mesh"]))
            scores = _renamed(surface_metrics(predicted, true, THRESHOLD, DOWN_SAMPLE))
        return scores | _depth_scores(reconstruction, mesh, truth)

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write frames.png (input, depths, renderings, errors) and overview.png (prediction and truth from outside)."""
        return write_pictures(_surface(reconstruction, truth), truth, folder)


def _surface(reconstruction: Reconstruction, truth: dict[str, Any]) -> Mesh:
    """Return the predicted mesh; depth maps alone are fused, as NeuralRecon's evaluation fuses those of single-view methods."""
    if (reconstruction.frame, reconstruction.unit) != ("world", "metre"):
        raise ValueError(f"indoor wants the world frame in metres, got {reconstruction.frame} in {reconstruction.unit}")
    if reconstruction.mesh is not None:
        return reconstruction.mesh
    if reconstruction.depth is None:
        raise ValueError(f"indoor wants a mesh or depth, got {reconstruction.produced()}")
    if len(reconstruction.depth) != len(truth["images"]):
        raise ValueError(f"there are {len(truth['images'])} frames, but {len(reconstruction.depth)} depth maps")
    intrinsics, poses = _cameras(truth)
    depths = [torch.from_numpy(np.asarray(depth, np.float32)) for depth in reconstruction.depth]
    if not any(((depth > 0) & (depth <= REFUSION_DEPTH)).any() for depth in depths):
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3)))
    volume = TSDFVolume.for_frames(
        depths, intrinsics, poses,
        voxel_size=REFUSION_VOXEL, truncation=REFUSION_TRUNCATION, max_depth=REFUSION_DEPTH, colors=False,
    )  # fmt: skip
    for depth, matrix, pose in zip(depths, intrinsics, poses):
        volume.integrate(depth, matrix, pose, max_depth=REFUSION_DEPTH)
    vertices, faces, _ = volume.extract_mesh(1.0)
    return Mesh(vertices.numpy(), faces.numpy())


def _depth_scores(reconstruction: Reconstruction, mesh: Mesh, truth: dict[str, Any]) -> dict[str, float]:
    frames = []
    for index, true in enumerate(truth["true_depths"]):
        if reconstruction.depth is not None:
            predicted = torch.from_numpy(np.asarray(reconstruction.depth[index], np.float32))
        else:
            predicted = _rendered_depth(mesh, truth["intrinsics"][index], truth["world_from_camera"][index], *true.shape)
        frames.append(depth_metrics(predicted, torch.from_numpy(np.asarray(true)), MAX_DEPTH))
    return mean_metrics(frames)


def _rendered_depth(mesh: Mesh, intrinsics: Any, pose: Any, height: int, width: int) -> Tensor:
    if mesh.is_empty:
        return torch.zeros(height, width)
    seen = transform(torch.from_numpy(mesh.vertices), invert(pose))
    lens = torch.from_numpy(np.asarray(intrinsics, np.float32))
    return rasterize_camera(seen, torch.from_numpy(mesh.faces), lens, height, width, cull="back").depth


def _cameras(truth: dict[str, Any]) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(np.asarray(truth["intrinsics"])), torch.from_numpy(np.asarray(truth["world_from_camera"]))


def _renamed(surface: Mapping[str, float]) -> dict[str, float]:
    at_threshold = ("precision", "recall", "f_score")
    return {f"{name}_5cm" if name in at_threshold else name: value for name, value in surface.items()}
