"""The body suite: the surface of a head or a body in the world, in metres, from calibrated photographs and masks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deep3dmap.benchmarks.body import pictures
from deep3dmap.benchmarks.body.scan import SeenPoints, scan_from_truth
from deep3dmap.benchmarks.body.view_split import all_but_middle_view, held_out_views, without_views
from deep3dmap.core import Evaluation, Mesh, MetricCard, Protocol, Reconstruction, SuiteCard, Task, UserError, Views
from deep3dmap.geometry.closest_points import ClosestPoints
from deep3dmap.metrics import surface_distance as surface
from deep3dmap.metrics.silhouette import silhouette_ious

MILLIMETRES = 1000.0
THRESHOLD = 0.01  # metres, for completeness, precision and F-score
ALIGNED_WITH = 500  # points of the scan used for the alignment
HALF_TURN = 180.0

_DISTANCES = ("mean", "median", "std")
_IN_WORLD = "from points of the scan to the closest point of the predicted surface, in the world, no alignment"
_ALIGNED = "after the rigid motion that aligns the scan with the prediction (NoW, metric)"
_METRICS = (
    *((f"scan_to_mesh_{name}", "mm", "down", f"{name} of the distances {_IN_WORLD}") for name in _DISTANCES),
    *((f"aligned_scan_to_mesh_{name}", "mm", "down", f"{name} of these distances {_ALIGNED}") for name in _DISTANCES),
    ("chamfer", "mm", "down", "mean of scan_to_mesh_mean and mesh_to_scan_mean"),
    ("mesh_to_scan_mean", "mm", "down", "mean distance from points of the predicted surface to the full true mesh"),
    ("completeness_10mm", "", "up", "fraction of scan points within 10 mm of the prediction"),
    ("precision_10mm", "", "up", "fraction of points of the predicted surface within 10 mm of the true mesh"),
    ("f_score_10mm", "", "up", "harmonic mean of precision and completeness"),
    ("normal_error", "degrees", "down", "mean angle between the normals of a scan point and of its closest predicted point"),
    ("vertex_error", "mm", "down", "mean distance of corresponding vertices, if the prediction has the truth's topology"),
    ("aligned_vertex_error", "mm", "down", "vertex_error after the best rigid motion of the predicted vertices"),
    ("silhouette_iou", "", "up", "intersection over union of the prediction's silhouette and the mask, in the given views"),
    ("silhouette_iou_held_out", "", "up", "silhouette_iou in the held-out views"),
)


def _card(title: str, task: str, meaning: str, views: int = 0) -> SuiteCard:
    return SuiteCard(
        title=title,
        version=1,
        task=Task(
            name=task,
            given=("images", "masks", "intrinsics", "world_from_camera"),
            wanted=("mesh",),
            meaning=meaning,
            views=views,
            frames=("world",),
            gauges=("metric",),
        ),
        metrics=tuple(MetricCard(*row) for row in _METRICS),
        headline="chamfer",
        reference="Sanyal et al., RingNet, CVPR 2019 (NoW); Knapitsch et al., Tanks and Temples, 2017 (F-score)",
        datasets=("bodies", "multiview_heads", "view_folders"),
    )


class BodyProtocol(Protocol):
    """Scores a mesh of a head, a body or an object seen by several calibrated cameras. A quarter of the views is held out."""

    card = _card(
        "Bodies: surfaces of heads and bodies from several calibrated photographs",
        "body",
        "the surface in the world, in metres, from photographs of one subject with masks, intrinsics and poses",
    )

    def held_out(self, count: int) -> list[int]:
        """Return the indices of the held-out views among `count` views."""
        return held_out_views(count)

    def offered(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return the sample without the held-out views."""
        return without_views(sample, self.held_out(len(sample["images"])))

    def begin(self) -> "BodyEvaluation":
        """Start the evaluation of a run."""
        return BodyEvaluation(self.held_out)

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write views.png (photograph, mask, prediction, truth, outlines, error) and turntable.png."""
        return pictures.write(predicted_mesh(reconstruction), truth, self.held_out(len(truth["images"])), folder)


class BodyEvaluation(Evaluation):
    """Scores one subject at a time. held_out: returns the indices of the held-out views for a number of views."""

    def __init__(self, held_out: Callable[[int], list[int]]) -> None:
        self._held_out = held_out

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Score one subject; metrics without ground truth in the sample are omitted.

        Raises UserError if the reconstruction has no mesh, is not in the world in metres, or is not finite.
        """
        mesh = predicted_mesh(reconstruction)
        scores: dict[str, float] = {}
        if "mesh" in truth:
            scores |= _surface_scores(mesh, scan_from_truth(truth), truth["mesh"])
            scores |= _vertex_scores(mesh, truth["mesh"])
        held = self._held_out(len(truth["images"]))
        given = [view for view in range(len(truth["images"])) if view not in held]
        return scores | _outline_scores(mesh, truth, {"silhouette_iou": given, "silhouette_iou_held_out": held})


class SingleViewBodyProtocol(BodyProtocol):
    """The same task from a single photograph, the middle view; all others are held out. Ranked separately."""

    card = _card(
        "Bodies: surfaces of heads and bodies from one calibrated photograph",
        "body_single_view",
        "the surface in the world, in metres, from one photograph of a subject with mask, intrinsics and pose",
        views=1,
    )

    def held_out(self, count: int) -> list[int]:
        """Return the indices of all views except the middle one."""
        return all_but_middle_view(count)


def predicted_mesh(reconstruction: Reconstruction) -> Mesh:
    """Return the mesh to score; raises UserError if it is not a finite mesh in the world in metres."""
    if reconstruction.mesh is None:
        raise UserError(f"the body suite scores a mesh, but the reconstruction only has {reconstruction.produced()}")
    if (reconstruction.frame, reconstruction.unit) != ("world", "metre"):
        raise UserError(
            "the body suite requires frame 'world' and unit 'metre', "
            f"but the reconstruction is in '{reconstruction.frame}' and '{reconstruction.unit}'"
        )
    if not np.isfinite(reconstruction.mesh.vertices).all():
        raise UserError("the reconstruction's mesh contains NaN or infinity")
    return reconstruction.mesh


def _surface_scores(mesh: Mesh, scan: SeenPoints, truth: Mesh) -> dict[str, float]:
    if mesh.is_empty or not float(surface.face_directions(mesh.vertices, mesh.faces).norm(dim=1).sum()) > 0:
        return _empty_prediction_scores(scan.size)
    predicted = ClosestPoints(mesh.vertices, mesh.faces)
    closest = predicted(scan.points)
    motion = surface.align_to_surface(_subsample(scan.points), predicted)
    aligned = predicted(motion.apply(scan.points)).distance
    back = ClosestPoints(truth.vertices, truth.faces)(
        surface.sample_surface(mesh.vertices, mesh.faces, len(scan.points)).points
    ).distance
    angles = surface.normal_angles(scan.normals, surface.face_directions(mesh.vertices, mesh.faces)[closest.face])
    shares = surface.f_score(back, closest.distance, THRESHOLD)
    return {
        "chamfer": MILLIMETRES * float(closest.distance.mean() + back.mean()) / 2,
        **_in_millimetres("scan_to_mesh", closest.distance),
        **_in_millimetres("aligned_scan_to_mesh", aligned),
        "mesh_to_scan_mean": MILLIMETRES * float(back.mean()),
        "completeness_10mm": shares["recall"],
        "precision_10mm": shares["precision"],
        "f_score_10mm": shares["f_score"],
        "normal_error": float(angles.mean()),
    }


def _empty_prediction_scores(size: float) -> dict[str, float]:
    """Score an empty prediction as if it were as far away as the subject is long, so that it never beats a bad result."""
    lengths = [f"{prefix}_{name}" for prefix in ("scan_to_mesh", "aligned_scan_to_mesh") for name in ("mean", "median")]
    distances = dict.fromkeys(["chamfer", *lengths, "mesh_to_scan_mean"], MILLIMETRES * size)
    shares = dict.fromkeys(("completeness_10mm", "precision_10mm", "f_score_10mm"), 0.0)
    return {**distances, **shares, "normal_error": HALF_TURN}


def _in_millimetres(prefix: str, distances: torch.Tensor) -> dict[str, float]:
    return {f"{prefix}_{name}": MILLIMETRES * value for name, value in surface.distance_summary(distances).items()}


def _subsample(points: torch.Tensor) -> torch.Tensor:
    return points[:: max(1, len(points) // ALIGNED_WITH)]


def _vertex_scores(mesh: Mesh, truth: Mesh) -> dict[str, float]:
    """Compare vertices one by one, only if the faces show that they correspond."""
    if len(mesh.vertices) != len(truth.vertices) or not np.array_equal(mesh.faces, truth.faces):
        return {}
    return {
        "vertex_error": MILLIMETRES * surface.vertex_error(mesh.vertices, truth.vertices),
        "aligned_vertex_error": MILLIMETRES * surface.vertex_error(mesh.vertices, truth.vertices, align=True),
    }


def _outline_scores(mesh: Mesh, truth: dict[str, Any], views: Mapping[str, Sequence[int]]) -> dict[str, float]:
    if not {"masks", "intrinsics", "world_from_camera"} <= truth.keys():
        return {}
    scores = {}
    for name, chosen in views.items():
        if chosen:
            found = silhouette_ious(
                mesh.vertices, mesh.faces, truth["masks"], truth["intrinsics"], truth["world_from_camera"], chosen
            )
            scores[name] = sum(found) / len(found)
    return scores
