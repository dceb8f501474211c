"""The suite of controls: whether a scene generator changes its objects as commanded, and nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from deep3dmap.benchmarks.generation_control.control_scores import control_scores
from deep3dmap.benchmarks.generation_control.pictures import write_control_pictures
from deep3dmap.core import Evaluation, MetricCard, Protocol, Reconstruction, Split, SuiteCard, Task, UserError, Views, WholeSet
from deep3dmap.core.protocol import Sampler
from deep3dmap.render.visualization import contact_sheet

_METRICS = (
    ("translation_correlation", "", "up", "correlation of the object's centroid with a move to the right, 1 = along its line"),
    ("rotation_background_change", "", "down", "mean colour change, in [0, 1], of the background when the object rotates"),
    ("rotation_object_change", "", "up", "mean colour change of the object's pixels; 0 if the generator ignores the command"),
    ("appearance_mask_iou", "", "up", "agreement of the object's masks under several appearances"),
    ("appearance_object_change", "", "up", "mean colour change of the object's pixels under several appearances"),
    ("object_seen", "", "up", "fraction of scenes in which removing the object changes the picture; only these are scored"),
)


class GenerationControlProtocol(Protocol):
    """Draws the same scenes under different commands and compares the pictures."""

    card = SuiteCard(
        title="Control of generated scenes: moving, turning and recolouring an object",
        version=1,
        task=Task(
            name="generation_control",
            given=(),
            wanted=("samples",),
            meaning="pictures of scenes that respond to `translate`, `rotate`, `appearance_of`, `remove` and `object`",
        ),
        metrics=tuple(MetricCard(*row) for row in _METRICS),
        headline="translation_correlation",
        reference="after Niemeyer and Geiger, GIRAFFE, CVPR 2021, whose figures show these controls",
    )

    def scenes(self, split: Split) -> Split:
        """Return a single scene; the test pictures are not used."""
        return WholeSet("controls", {})

    def begin(self) -> "GenerationControlEvaluation":
        """Start the evaluation of a run."""
        return GenerationControlEvaluation()

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write samples.png, the samples of the reconstruction."""
        if reconstruction.samples is None:
            raise UserError("the suite generation_control draws pictures of samples, but the reconstruction has none")
        folder.mkdir(parents=True, exist_ok=True)
        tiles = [(f"{number}", torch.from_numpy(image)) for number, image in enumerate(reconstruction.samples)]
        contact_sheet(tiles, columns=8).save(folder / "samples.png")
        return [folder / "samples.png"]


class GenerationControlEvaluation(Evaluation):
    """Scores the responses to the commands."""

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return nothing: scores come from newly drawn samples."""
        return {}

    def add_samples(self, scene: str, sample: Sampler, truth: dict[str, Any]) -> Mapping[str, float]:
        """Return the metrics of the card; see `control_scores`."""
        return control_scores(sample)

    def picture_samples(self, sample: Sampler, folder: Path) -> list[Path]:
        """Write a sheet for every control, and an animation of a rotating and moving object."""
        return write_control_pictures(sample, folder)
