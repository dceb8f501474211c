"""What the platform expects of a suite: how a reconstruction is scored and pictured."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from deep3dmap.core.card import SuiteCard
from deep3dmap.core.reconstruction import Reconstruction


class Protocol(ABC):
    """Scores reconstructions of one task. Built without arguments; the suite's tiers and datasets are in its suite.yaml."""

    card: ClassVar[SuiteCard]

    def offered(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return what of a sample methods may choose from, all of it by default; views to test on may be held back here."""
        return sample

    @abstractmethod
    def evaluate(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> Mapping[str, float]:
        """Return {metric name: value} for one sample. `truth` is the whole sample, given keys and ground truth."""

    @abstractmethod
    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write PNG pictures (input, prediction, ground truth, error map) into `folder` and return their paths."""

    def summarise(self, per_scene: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
        """Return metrics that are not means over scenes, such as a mean of bin means. The default has none."""
        return {}
