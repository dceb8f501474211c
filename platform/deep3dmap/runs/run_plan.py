"""A run described as plain data, so that any process on any node can execute it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from deep3dmap.config.open_dataset import open_dataset
from deep3dmap.core.dataset import Dataset
from deep3dmap.core.secrets import hide_in_text
from deep3dmap.train.job import TrainingJob


@dataclass(frozen=True)
class RunPlan:
    """A planned run. A standalone training run has no suite.

    job: its training part, on the dataset it trains on. inputs: keys that the method receives. scenes: maximum number of test
    scenes to score (0 = all). scene: the only scene to score, for a method that is fitted per scene and not trained on a
    dataset. checkpoint: score these weights instead of training.
    reproduces: the attempt to reproduce, 0 = none. command: the user's command line.
    """

    run_id: str
    suite: str
    protocol_version: int
    tier: str
    method: str
    variant: str
    method_version: str
    dataset: str
    dataset_variant: str
    dataset_version: str
    seed: int
    config: dict[str, Any]
    job: TrainingJob
    inputs: tuple[str, ...]
    scenes: int
    work: str
    scene: str = ""
    checkpoint: str | None = None
    reproduces: int = 0
    command: str = field(default_factory=lambda: " ".join(hide_in_text(argument) for argument in sys.argv))

    @property
    def title(self) -> str:
        """Short human-readable name."""
        method, dataset = f"{self.method}/{self.variant}", f"{self.dataset}/{self.dataset_variant}"
        return " · ".join(part for part in (self.suite, method, dataset, self.scene, f"seed {self.seed}") if part)

    def open_dataset(self) -> Dataset:
        """Open the dataset that is scored."""
        return open_dataset(self.dataset, self.config["dataset"], self.config["data"])

    def with_config(self, run_id: str, config: dict[str, Any]) -> "RunPlan":
        """Return the plan of another run that differs only in its id and configuration."""
        job = training_job(self.method, self.variant, self.dataset, self.dataset_variant, config, f"{self.work}/{run_id}")
        return replace(self, run_id=run_id, config=config, job=job)


def training_job(
    method: str, variant: str, dataset: str, dataset_variant: str, config: Mapping[str, Any], folder: str
) -> TrainingJob:
    """Return the training part of a run, on the scored dataset or on the one in the config entry `trained_on`."""
    other = config.get("trained_on")
    if not other:
        return TrainingJob(method, variant, dataset, dataset_variant, config, folder)
    return TrainingJob(method, variant, other["dataset"], other["variant"], {**config, "dataset": other["config"]}, folder)
