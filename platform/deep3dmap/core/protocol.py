"""The suite contract: how the reconstructions of a run are scored and visualised."""

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

# Draws samples from a method: maps (indices, **controls) to a (len(indices), 3, H, W) tensor of RGB in [0, 1].
Sampler = Callable[..., Any]
Renderer = Callable[[Sequence[Camera]], Views]


class Evaluation(ABC):
    """The evaluation of one run: scores scenes one by one and accumulates pooled data, such as features of samples."""

    def queries(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> Sequence[Camera]:
        """Return the cameras that the method must render after it has reconstructed. The default requests none.

        They are in the frame of the reconstruction: if the poses were unknown, the suite first aligns the test cameras.
        """
        return ()

    @abstractmethod
    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return {metric name: value} for one scene. `truth` is the whole sample; `views` are the renderings of `queries`."""

    def add_refined(
        self, scene: str, reconstruction: Reconstruction, render: Renderer, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return {metric name: value} for views that the suite searches for by repeated rendering. The default has none.

        Called for a method that rendered the queries; `render(cameras)` is the method's own `render`.
        """
        return {}

    def add_samples(self, scene: str, sample: Sampler, truth: dict[str, Any]) -> Mapping[str, float]:
        """Return {metric name: value} for the samples of a generative method, called if the suite wants "samples".

        `sample(indices, **controls)` draws any number of samples at a time, so that they need not all fit in memory.
        """
        raise TypeError(f"{type(self).__name__} wants samples but does not evaluate them")

    def picture_samples(self, sample: Sampler, folder: Path) -> list[Path]:
        """Write pictures of samples of the suite's choice into `folder` and return their paths. The default writes none."""
        return []

    def finish(self) -> Mapping[str, float]:
        """Return {metric name: value} for metrics that are not means over scenes. The default has none."""
        return {}


class Protocol(ABC):
    """Scores reconstructions for one task. Constructed without arguments; its tiers and datasets are in suite.yaml."""

    card: ClassVar[SuiteCard]

    def scenes(self, split: Split) -> Split:
        """Return the scenes of a test split, by default one per sample; a suite that scores the whole set returns one."""
        return split

    def offered(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return the part of a sample that methods may use, by default all of it. Override it to hold out test views."""
        return sample

    @abstractmethod
    def begin(self) -> Evaluation:
        """Start the evaluation of one run."""

    @abstractmethod
    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write PNG pictures (input, prediction, ground truth, error map) into `folder` and return their paths."""

    def view_pictures(self, views: Views, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write PNG pictures of the views rendered for a scene into `folder` and return their paths. The default has none."""
        return []

    def surfaces(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> tuple[Mesh | None, Mesh | None]:
        """Return the predicted and the true surface in a common frame, as this suite compares them, for display.

        A mesh without faces is a point cloud. The default returns the predicted mesh or points, and the sample's mesh.
        """
        points = reconstruction.points
        cloud = None if points is None else Mesh(points, np.zeros((0, 3), np.int64))
        return cloud if reconstruction.mesh is None else reconstruction.mesh, truth.get("mesh")
