"""The suite of controls: does a generator of scenes do to its objects what it is told, and to nothing else?"""

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
    ("translation_correlation", "", "up", "how well the object's centroid follows a move to the right, 1 = along its line"),
    ("rotation_background_change", "", "down", "mean change of colour, in [0, 1], of the background while the object turns"),
    ("rotation_object_change", "", "up", "the same of the object's pixels: a generator that ignores the command has 0"),
    ("appearance_mask_iou", "", "up", "agreement of the object's masks under several appearances"),
    ("appearance_object_change", "", "up", "mean change of colour of the object's pixels under them"),
    ("object_seen", "", "up", "share of scenes in which taking the object away changes the picture; the others do not count"),
)


class GenerationControlProtocol(Protocol):
    """Draws the same scenes under commands and compares the pictures."""

    card = SuiteCard(
        title="Control of generated scenes: moving, turning and recolouring an object",
        version=1,
        task=Task(
            name="generation_control",
            given=(),
            wanted=("samples",),
            meaning="pictures of scenes that answer to `translate`, `rotate`, `appearance_of`, `remove` and `object`",
        ),
        metrics=tuple(MetricCard(*row) for row in _METRICS),
        headline="translation_correlation",
        reference="after Niemeyer and Geiger, GIRAFFE, CVPR 2021, whose figures show these controls",
    )

    def scenes(self, split: Split) -> Split:
        """Return one scene: nothing of the test pictures is used."""
        return WholeSet("controls", {})

    def begin(self) -> "GenerationControlEvaluation":
        """Begin the evaluation of one run."""
        return GenerationControlEvaluation()

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write samples.png, the samples of the reconstruction."""
        if reconstruction.samples is None:
            raise UserError("the suite generation_control pictures samples, and the reconstruction has none")
        folder.mkdir(parents=True, exist_ok=True)
        tiles = [(f"{number}", torch.from_numpy(image)) for number, image in enumerate(reconstruction.samples)]
        contact_sheet(tiles, columns=8).save(folder / "samples.png")
        return [folder / "samples.png"]


class GenerationControlEvaluation(Evaluation):
    """Scores the answers to the commands."""

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return nothing: what counts is drawn anew."""
        return {}

    def add_samples(self, scene: str, sample: Sampler, truth: dict[str, Any]) -> Mapping[str, float]:
        """Return the metrics of the card; see `control_scores`."""
        return control_scores(sample)

    def picture_samples(self, sample: Sampler, folder: Path) -> list[Path]:
        """Write a sheet for every control, and the scene turned and moved as an animation."""
        return write_control_pictures(sample, folder)
