"""The face suite: the 68 landmarks and the dense surface from a photograph and a detector box."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.benchmarks.face import pictures
from deep3dmap.core import Evaluation, Mesh, MetricCard, Protocol, Reconstruction, SuiteCard, Task, UserError, Views
from deep3dmap.geometry.position_maps import sample
from deep3dmap.metrics import face

PERCENT = "% of sqrt(w h)"
_BOX = "divided by sqrt(width * height) of the box of the 68 true landmarks in the image"
# Norms of coefficients in standard deviations, which split the procedural heads into halves.
_IDENTITY, _EXPRESSION = 0.95, 1.0
_SPLITS = {
    "identity_near": f"with an identity closer to the mean head: root mean square coefficient below {_IDENTITY}",
    "identity_far": "with an identity farther from the mean head",
    "expression_calm": f"with a weak expression: norm of the coefficients below {_EXPRESSION}",
    "expression_strong": "with a strong expression",
}
_BINS = {"0_30": "up to 30 degrees", "30_60": "between 30 and 60 degrees", "60_90": "beyond 60 degrees"}


def _metrics() -> tuple[MetricCard, ...]:
    metrics = [("nme_68_2d", PERCENT, f"mean distance of the 68 landmarks in the image, {_BOX}")]
    metrics += [(f"nme_68_2d_yaw_{name}", PERCENT, f"nme_68_2d of the faces turned {words}") for name, words in _BINS.items()]
    metrics += [
        ("nme_68_2d_mean_of_bins", PERCENT, "mean over the non-empty yaw bins, the `mean` column of published tables"),
        *((f"nme_68_2d_{name}", PERCENT, f"nme_68_2d of the heads {words}") for name, words in _SPLITS.items()),
        ("nme_68_3d", PERCENT, f"mean 3-D distance of the 68 landmarks after shifting z to the true mean, {_BOX}"),
        ("nme_dense_2d", PERCENT, f"mean distance in the image over all points of the face, {_BOX}"),
        ("nme_dense_3d", PERCENT, f"mean 3-D distance over all points of the face after shifting z to the true mean, {_BOX}"),
        (
            "reconstruction_nme",
            "% of interocular distance",
            "mean distance of true points to the surface after ICP, scaled by the landmarks, per outer interocular distance",
        ),
        (
            "pose_mae",
            "degrees",
            "mean absolute error of pitch, yaw and roll of the landmarks' pose relative to the true landmarks",
        ),
    ]
    return tuple(MetricCard(name, unit, "down", meaning) for name, unit, meaning in metrics)


class FaceProtocol(Protocol):
    """Scores landmarks, dense points and shape of one face, in pixels of the photograph."""

    card = SuiteCard(
        title="Faces: alignment and reconstruction from one photograph",
        version=1,
        task=Task(
            name="face",
            given=("image", "box"),
            wanted=("landmarks", "position_map"),
            meaning="the 68 landmarks and the surface of the face in a detector box, in pixels of the photograph",
            frames=("image",),
        ),
        metrics=_metrics(),
        headline="nme_68_2d",
        reference="Feng et al., ECCV 2018; Zhu et al., Face Alignment Across Large Poses, CVPR 2016 (AFLW2000-3D)",
        datasets=("heads", "aflw2000"),
    )

    def begin(self) -> "FaceEvaluation":
        """Start the evaluation of a run."""
        return FaceEvaluation()

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write the photograph with landmarks, the surface overlay, depth, the error map and a contact sheet."""
        return pictures.write(reconstruction, truth, folder)

    def surfaces(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> tuple[Mesh | None, Mesh | None]:
        """Return the predicted mesh, shifted to the mean depth of the true landmarks, and the true surface."""
        true, mesh = pictures.true_surface(truth), reconstruction.mesh
        if true is None or mesh is None or reconstruction.landmarks is None:
            return mesh, true
        farther = np.mean(np.asarray(truth["landmarks_68"])[:, 2]) - np.mean(reconstruction.landmarks[:, 2])
        return Mesh(mesh.vertices + np.array([0, 0, farther]), mesh.faces, mesh.colors), true


class FaceEvaluation(Evaluation):
    """Scores one face at a time, and pools the errors by yaw."""

    def __init__(self) -> None:
        self._errors_by_yaw: list[tuple[str, float]] = []

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Score one face; metrics without ground truth in the sample are omitted.

        Raises UserError if the reconstruction has neither landmarks nor a position map, is in another frame, or is not finite.
        """
        _check(reconstruction)
        landmarks = _tensor(truth["landmarks_68"])
        size = float(face.box_size(landmarks))
        scores: dict[str, float] = {}
        if reconstruction.landmarks is not None:
            scores |= _landmark_scores(_tensor(reconstruction.landmarks), landmarks, size, truth.get("head_pose"))
            scores |= {f"nme_68_2d_{name}": scores["nme_68_2d"] for name in _splits(truth)}
        if "dense_points" in truth:
            scores |= _dense_scores(reconstruction, truth, landmarks, size)
        prefix = "nme_68_2d_yaw_"
        self._errors_by_yaw += [(name.removeprefix(prefix), scores[name]) for name in scores if name.startswith(prefix)]
        return scores

    def finish(self) -> Mapping[str, float]:
        """Return the mean over the means of the non-empty yaw bins."""
        return {"nme_68_2d_mean_of_bins": face.mean_of_bins(self._errors_by_yaw)[1]} if self._errors_by_yaw else {}


def _landmark_scores(predicted: Tensor, truth: Tensor, size: float, head_pose: Any) -> dict[str, float]:
    flat = 100 * float(face.normalized_mean_error(predicted[:, :2], truth[:, :2], size))
    solid = 100 * float(face.normalized_mean_error(face.align_mean_depth(predicted, truth), truth, size))
    scores = {"nme_68_2d": flat, "nme_68_3d": solid}
    if head_pose is not None:
        scores[f"nme_68_2d_yaw_{face.yaw_bin(float(head_pose[1]))}"] = flat
        scores["pose_mae"] = face.pose_error(predicted, truth, np.asarray(head_pose))
    return scores


def _splits(truth: dict[str, Any]) -> list[str]:
    """Return the subsets of the test set to which a head with known coefficients belongs."""
    found = []
    if "identity" in truth:
        spread = float(np.sqrt(np.mean(np.square(truth["identity"]))))
        found.append("identity_near" if spread < _IDENTITY else "identity_far")
    if "expression" in truth:
        found.append("expression_calm" if float(np.linalg.norm(truth["expression"])) < _EXPRESSION else "expression_strong")
    return found


def _dense_scores(reconstruction: Reconstruction, truth: dict[str, Any], landmarks: Tensor, size: float) -> dict[str, float]:
    points = _tensor(truth["dense_points"])
    scores = {}
    if reconstruction.position_map is not None and "dense_uv" in truth:
        predicted = _tensor(sample(reconstruction.position_map, truth["dense_uv"]))
        scores["nme_dense_2d"] = 100 * float(face.normalized_mean_error(predicted[:, :2], points[:, :2], size))
        aligned = face.align_mean_depth(predicted, points)
        scores["nme_dense_3d"] = 100 * float(face.normalized_mean_error(aligned, points, size))
    if reconstruction.mesh is not None and reconstruction.landmarks is not None:
        surface = face.surface_points(_tensor(reconstruction.mesh.vertices), torch.from_numpy(reconstruction.mesh.faces))
        error = face.reconstruction_error(surface, points, _tensor(reconstruction.landmarks), landmarks)
        scores["reconstruction_nme"] = 100 * error
    return scores


def _check(reconstruction: Reconstruction) -> None:
    if reconstruction.landmarks is None and reconstruction.position_map is None:
        raise UserError(f"the face suite scores landmarks or a position map, but there are only {reconstruction.produced()}")
    if (reconstruction.frame, reconstruction.unit) != ("image", "pixel"):
        raise UserError(
            "the face suite requires frame 'image' and unit 'pixel', "
            f"but the reconstruction is in '{reconstruction.frame}' and '{reconstruction.unit}'"
        )
    for name in ("landmarks", "position_map"):
        value = getattr(reconstruction, name)
        if value is not None and not np.isfinite(value).all():
            raise UserError(f"the reconstruction's {name} contain NaN or infinity")


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.asarray(array, np.float64))
