"""What the platform expects of a suite: how a run's reconstructions are scored and pictured."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from deep3dmap.core.card import SuiteCard
from deep3dmap.core.dataset import Split
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.method import Views
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.core.reconstruction import Reconstruction

# Draws samples of a method: (indices, **controls) to a tensor (len(indices), 3, H, W) of RGB in [0, 1].
Sampler = Callable[..., Any]
Renderer = Callable[[Sequence[Camera]], Views]


class Evaluation(ABC):
    """The evaluation of one run: scores scene after scene and holds what pools over them, such as features of samples."""

    def queries(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> Sequence[Camera]:
        """Return the cameras that the method is to render, asked after it has reconstructed. The default asks for none.

        They are in the frame of the reconstruction: where poses were unknown, the suite aligns the test cameras first.
        """
        return ()

    @abstractmethod
    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return {metric name: value} of one scene. `truth` is the whole sample; `views` answers the queries, if any."""

    def add_refined(
        self, scene: str, reconstruction: Reconstruction, render: Renderer, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return {metric name: value} of views that a suite finds by rendering as often as it likes. The default has none.

        Asked for a method that answered the queries; `render(cameras)` is the method's own.
        """
        return {}

    def add_samples(self, scene: str, sample: Sampler, truth: dict[str, Any]) -> Mapping[str, float]:
        """Return {metric name: value} of the samples of a method that generates, asked where a suite wants "samples".

        `sample(indices, **controls)` draws them in portions as large as the suite likes, so that not all lie in memory.
        """
        raise TypeError(f"{type(self).__name__} wants samples and does not evaluate them")

    def picture_samples(self, sample: Sampler, folder: Path) -> list[Path]:
        """Write pictures of samples drawn as a suite likes into `folder` and return their paths. The default writes none."""
        return []

    def finish(self) -> Mapping[str, float]:
        """Return the metrics that are not means over scenes. The default has none."""
        return {}


class Protocol(ABC):
    """Scores reconstructions of one task. Built without arguments; the suite's tiers and datasets are in its suite.yaml."""

    card: ClassVar[SuiteCard]

    def scenes(self, split: Split) -> Split:
        """Return the scenes of a test split, one per sample by default; a suite that scores a set as a whole makes it one."""
        return split

    def offered(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return what of a sample methods may choose from, all of it by default; views to test on may be held back here."""
        return sample

    @abstractmethod
    def begin(self) -> Evaluation:
        """Begin the evaluation of one run."""

    @abstractmethod
    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write PNG pictures (input, prediction, ground truth, error map) into `folder` and return their paths."""

    def view_pictures(self, views: Views, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write PNG pictures of what answered a scene's queries into `folder` and return their paths. The default has none."""
        return []

    def surfaces(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> tuple[Mesh | None, Mesh | None]:
        """Return the predicted and the true surface as this suite compares them, in one frame, for people to look at.

        A mesh without faces is a cloud of points. The default takes the mesh, or else the points, and the sample's mesh.
        """
        points = reconstruction.points
        cloud = None if points is None else Mesh(points, np.zeros((0, 3), np.int64))
        return cloud if reconstruction.mesh is None else reconstruction.mesh, truth.get("mesh")
