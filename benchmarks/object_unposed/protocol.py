"""The suite of unposed objects: cameras and new views from photographs and their intrinsics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deep3dmap.benchmarks.object_unposed.camera_refinement import refine_cameras
from deep3dmap.benchmarks.object_unposed.found_cameras import held_out_cameras, pose_scores
from deep3dmap.benchmarks.object_unposed.pictures import write_pictures
from deep3dmap.core import Camera, Evaluation, MetricCard, Protocol, Reconstruction, SuiteCard, Task, Views
from deep3dmap.core.protocol import Renderer
from deep3dmap.metrics.image_similarity import image_similarity

_GUESSED = "of guesses on the same part of the sphere, also aligned"
_METRICS = (
    ("rotation_deg", "degrees", "down", "mean rotation error of the given images' cameras, after alignment"),
    ("rotation_median_deg", "degrees", "down", "median rotation error"),
    ("within_5_deg", "", "up", "fraction of cameras with a rotation error below 5 degrees"),
    ("within_15_deg", "", "up", "fraction of cameras with a rotation error below 15 degrees"),
    ("translation", "the dataset's unit", "down", "mean distance of camera centres, after alignment"),
    ("translation_median", "the dataset's unit", "down", "median distance of camera centres, after alignment"),
    ("translation_share", "", "down", "`translation` divided by the mean distance of the true cameras from the origin"),
    ("psnr", "dB", "up", "mean over test views, rendered from the true test cameras in the aligned frame; not refined"),
    ("ssim11", "", "up", "structural similarity of the test views, Gaussian window of 11 pixels"),
    ("psnr_refined", "dB", "up", "`psnr` after each test camera was refined on its own test image"),
    ("ssim11_refined", "", "up", "`ssim11` after this refinement"),
    ("chance_rotation_deg", "degrees", "down", f"`rotation_deg` {_GUESSED}"),
    ("chance_translation", "the dataset's unit", "down", f"`translation` {_GUESSED}"),
    ("chance_within_5_deg", "", "up", f"`within_5_deg` {_GUESSED}"),
    ("chance_within_15_deg", "", "up", f"`within_15_deg` {_GUESSED}"),
)


class ObjectUnposedProtocol(Protocol):
    """Aligns the estimated cameras with the true ones, and requests the test views in that frame."""

    card = SuiteCard(
        title="Objects from photographs without poses: cameras and new views",
        version=1,
        task=Task(
            name="object_unposed",
            given=("images", "intrinsics", "background", "bounds"),
            wanted=("cameras",),
            meaning="the cameras of photographs of one object with intrinsics, in any frame, and new views",
            frames=("world",),
        ),
        metrics=tuple(MetricCard(*row) for row in _METRICS),
        headline="rotation_deg",
        reference="Meng et al., GNeRF, ICCV 2021; alignment as in Zhang and Scaramuzza, IROS 2018",
    )

    def begin(self) -> "ObjectUnposedEvaluation":
        """Start the evaluation of a run."""
        return ObjectUnposedEvaluation()

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write cameras.png (true and aligned positions) and, if there are images, views.png (given and rendered)."""
        return write_pictures(reconstruction, truth, folder)


class ObjectUnposedEvaluation(Evaluation):
    """Scores one object at a time."""

    def queries(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> Sequence[Camera]:
        """Return the test cameras in the frame of the reconstruction.

        Raises ValueError unless every image has a camera, and if the camera centres do not determine the alignment.
        """
        return held_out_cameras(reconstruction, truth)

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return the camera errors, the chance level and, if there are views, their similarity to the test images."""
        scores = pose_scores(reconstruction, truth)
        return scores if views is None else scores | _similarities(views, truth)

    def add_refined(
        self, scene: str, reconstruction: Reconstruction, render: Renderer, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return the similarity between the test images and views from cameras refined on them."""
        cameras = refine_cameras(render, held_out_cameras(reconstruction, truth), truth["test_images"])
        return {f"{name}_refined": value for name, value in _similarities(render(cameras), truth).items()}


def _similarities(views: Views, truth: dict[str, Any]) -> dict[str, float]:
    pairs = zip(views.images, truth["test_images"], strict=True)
    rows = [image_similarity(torch.from_numpy(seen), torch.from_numpy(np.asarray(true))) for seen, true in pairs]
    return {name: float(np.mean([row[name] for row in rows])) for name in ("psnr", "ssim11")}
