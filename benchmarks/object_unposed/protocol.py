"""The suite of objects without poses: photographs and their intrinsics in, cameras and new views out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deep3dmap.benchmarks.object_unposed.camera_refinement import refined_cameras
from deep3dmap.benchmarks.object_unposed.found_cameras import held_out_cameras, pose_scores
from deep3dmap.benchmarks.object_unposed.pictures import write_pictures
from deep3dmap.core import Camera, Evaluation, MetricCard, Protocol, Reconstruction, SuiteCard, Task, Views
from deep3dmap.core.protocol import Renderer
from deep3dmap.metrics.image_similarity import image_similarity

_GUESSED = "of guesses on the same part of the sphere, aligned as well"
_METRICS = (
    ("rotation_deg", "degrees", "down", "mean error of the rotations of the given images' cameras, after alignment"),
    ("rotation_median_deg", "degrees", "down", "median of the same"),
    ("within_5_deg", "", "up", "share of cameras turned by less than 5 degrees"),
    ("within_15_deg", "", "up", "share of cameras turned by less than 15 degrees"),
    ("translation", "the dataset's unit", "down", "mean distance of camera centres, after alignment"),
    ("translation_median", "the dataset's unit", "down", "median of the same"),
    ("translation_share", "", "down", "`translation` over the mean distance of the true cameras from the origin"),
    ("psnr", "dB", "up", "mean over test views, rendered from the true test cameras in the aligned frame; not refined"),
    ("ssim11", "", "up", "structural similarity of the same, Gaussian window of 11 pixels"),
    ("psnr_refined", "dB", "up", "`psnr` after each test camera was refined on its own test image"),
    ("ssim11_refined", "", "up", "`ssim11` after the same"),
    ("chance_rotation_deg", "degrees", "down", f"`rotation_deg` {_GUESSED}"),
    ("chance_translation", "the dataset's unit", "down", f"`translation` {_GUESSED}"),
    ("chance_within_5_deg", "", "up", f"`within_5_deg` {_GUESSED}"),
    ("chance_within_15_deg", "", "up", f"`within_15_deg` {_GUESSED}"),
)


class ObjectUnposedProtocol(Protocol):
    """Aligns the cameras found with the true ones, and asks for the test views in that frame."""

    card = SuiteCard(
        title="Objects from photographs without poses: cameras and new views",
        version=1,
        task=Task(
            name="object_unposed",
            given=("images", "intrinsics", "background", "bounds"),
            wanted=("cameras",),
            meaning="from photographs of one object with intrinsics, the camera of each in a frame of one's own, and new views",
            frames=("world",),
        ),
        metrics=tuple(MetricCard(*row) for row in _METRICS),
        headline="rotation_deg",
        reference="Meng et al., GNeRF, ICCV 2021; alignment as in Zhang and Scaramuzza, IROS 2018",
    )

    def begin(self) -> "ObjectUnposedEvaluation":
        """Begin the evaluation of one run."""
        return ObjectUnposedEvaluation()

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write cameras.png (true and aligned places) and, where there are images, views.png (given and rendered)."""
        return write_pictures(reconstruction, truth, folder)


class ObjectUnposedEvaluation(Evaluation):
    """Scores one object after another."""

    def queries(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> Sequence[Camera]:
        """Return the test cameras in the frame of the reconstruction.

        Raises ValueError unless every image has a camera, and where their centres leave the alignment open.
        """
        return held_out_cameras(reconstruction, truth)

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return the errors of the cameras, the chance level, and how like the test images the views are, if there are any."""
        scores = pose_scores(reconstruction, truth)
        return scores if views is None else scores | _similarities(views, truth)

    def add_refined(
        self, scene: str, reconstruction: Reconstruction, render: Renderer, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return how like the test images the views are from cameras that were refined on them."""
        cameras = refined_cameras(render, held_out_cameras(reconstruction, truth), truth["test_images"])
        return {f"{name}_refined": value for name, value in _similarities(render(cameras), truth).items()}


def _similarities(views: Views, truth: dict[str, Any]) -> dict[str, float]:
    pairs = zip(views.images, truth["test_images"], strict=True)
    rows = [image_similarity(torch.from_numpy(seen), torch.from_numpy(np.asarray(true))) for seen, true in pairs]
    return {name: float(np.mean([row[name] for row in rows])) for name in ("psnr", "ssim11")}
