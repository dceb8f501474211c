"""The object suite: novel views of an object and, if the method produces one, its surface, from posed photographs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.benchmarks.object import pictures
from deep3dmap.benchmarks.object.perceptual import perceptual_distances
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
from deep3dmap.geometry.closest_points import ClosestPoints
from deep3dmap.metrics import surface_distance as surface
from deep3dmap.metrics.image_similarity import MAX_DECIBELS, image_similarity, psnr

POINTS = 10_000  # samples per surface
THRESHOLD = 0.01  # fraction of the diagonal of the object's box
PERCENT = 100.0

_HELD_OUT = "held-out views at full size, over the dataset's background; poses as given, no test-time optimisation"
_SIZE = "percent of the diagonal of the true object's box"
_METRICS = (
    (
        "psnr",
        "dB",
        "up",
        f"per image, prediction clipped to [0, 1], all pixels, at most {MAX_DECIBELS:g}; mean over {_HELD_OUT}",
    ),
    ("psnr8", "dB", "up", "psnr with both images rounded to 8 bit"),
    ("psnr_object", "dB", "up", "psnr over the object's pixels only, weighted by its mask"),
    ("ssim11", "", "up", "window of 11, Gaussian of sigma 1.5, borders excluded, range 1, each channel separately"),
    ("lpips_vgg", "", "down", "LPIPS 0.1 with VGG-16, pictures in [-1, 1]; absent without its weights"),
    ("mse", "", "down", "mean squared error, prediction clipped to [0, 1]"),
    ("chamfer", "%", "down", f"mean of accuracy and completeness, {_SIZE}"),
    ("accuracy", "%", "down", f"mean distance from points of the predicted surface to the true one, {_SIZE}"),
    ("completeness", "%", "down", f"mean distance from points of the true surface, where given views show it, {_SIZE}"),
    ("precision_1", "", "up", "fraction of predicted points nearer than 1 percent of the diagonal to the true surface"),
    ("recall_1", "", "up", "fraction of true points nearer than 1 percent of the diagonal to the predicted surface"),
    ("f_score_1", "", "up", "harmonic mean of precision and recall"),
)


class ObjectProtocol(Protocol):
    """Scores renderings of held-out views, and a mesh."""

    card = SuiteCard(
        title="Objects: novel views and surfaces from posed photographs",
        version=1,
        task=Task(
            name="object",
            given=("images", "masks", "background", "bounds", "intrinsics", "world_from_camera"),
            wanted=("views", "mesh"),
            meaning="novel views and the surface of an object, from photographs with masks and poses",
            frames=("world",),
            gauges=("metric",),
        ),
        metrics=tuple(MetricCard(*row) for row in _METRICS),
        headline="psnr",
        reference="Mildenhall et al., NeRF, ECCV 2020; conventions of evaluation as in the columns' meanings",
        datasets=("objects", "blender", "dtu"),
    )

    def begin(self) -> "ObjectEvaluation":
        """Start the evaluation of a run."""
        return ObjectEvaluation()

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write turntable.png of the mesh, if there is one."""
        return pictures.write_turntable(reconstruction.mesh, truth.get("mesh"), folder)

    def view_pictures(self, views: Views, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write views.png: truth, prediction, error and depth of some held-out views."""
        return pictures.write_views(views, truth, folder)


class ObjectEvaluation(Evaluation):
    """Scores one object at a time."""

    def __init__(self) -> None:
        self._perceptual = perceptual_distances()

    def queries(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> Sequence[Camera]:
        """Return the cameras of the held-out views; empty if there are none."""
        if "test_images" not in truth:
            return []
        return cameras_of(truth["test_intrinsics"], truth["test_world_from_camera"], *np.shape(truth["test_images"])[-2:])

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Score one object; metrics without a prediction or without ground truth in the sample are omitted.

        Raises UserError for a mesh that is not finite or not in the world.
        """
        scores: dict[str, float] = {}
        if views is not None:
            scores |= self._view_scores(views, truth)
        if reconstruction.mesh is not None and "mesh" in truth:
            scores |= surface_scores(_checked(reconstruction), truth["mesh"])
        return scores

    def _view_scores(self, views: Views, truth: dict[str, Any]) -> dict[str, float]:
        rows = []
        for index, true in enumerate(truth["test_images"]):
            predicted, wanted = (torch.from_numpy(np.asarray(one, np.float32)) for one in (views.images[index], true))
            row = image_similarity(predicted, wanted, self._perceptual)
            if "test_masks" in truth:
                row["psnr_object"] = _masked_psnr(predicted, wanted, torch.from_numpy(np.asarray(truth["test_masks"][index])))
            rows.append(row)
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def surface_scores(mesh: Mesh, truth: Mesh) -> dict[str, float]:
    """Compare surfaces by evenly spread points.

    An empty mesh scores as if it were as far away as the object is long, so that a failure never beats a bad result.
    """
    size = surface.box_diagonal(truth.vertices)
    if mesh.is_empty or not float(surface.face_directions(mesh.vertices, mesh.faces).norm(dim=1).sum()) > 0:
        charged = dict.fromkeys(("chamfer", "accuracy", "completeness"), PERCENT)
        return charged | dict.fromkeys(("precision_1", "recall_1", "f_score_1"), 0.0)
    predicted, wanted = (surface.sample_surface(one.vertices, one.faces, POINTS).points for one in (mesh, truth))
    to_truth = ClosestPoints(truth.vertices, truth.faces)(predicted).distance / size
    to_predicted = ClosestPoints(mesh.vertices, mesh.faces)(wanted).distance / size
    shares = surface.f_score(to_truth, to_predicted, THRESHOLD)
    accuracy, completeness = PERCENT * float(to_truth.mean()), PERCENT * float(to_predicted.mean())
    return {
        "chamfer": (accuracy + completeness) / 2,
        "accuracy": accuracy,
        "completeness": completeness,
        **{f"{name}_1": value for name, value in shares.items()},
    }


def _masked_psnr(predicted: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Return the PSNR of the mask-weighted mean squared error; the maximum if the object is not in the picture."""
    weight = mask.double()
    if not weight.sum() > 0:
        return MAX_DECIBELS
    error = (predicted.clamp(0, 1).double() - truth.double()).square().mean(0)
    return psnr(((weight * error).sum() / weight.sum()).sqrt().reshape(1, 1, 1), torch.zeros(1, 1, 1))


def _checked(reconstruction: Reconstruction) -> Mesh:
    mesh = reconstruction.mesh
    if reconstruction.frame != "world" or mesh is None:
        raise UserError(f"the object suite requires frame 'world', but the reconstruction is in '{reconstruction.frame}'")
    if not np.isfinite(mesh.vertices).all():
        raise UserError("the reconstruction's mesh contains NaN or infinity")
    return mesh
