"""A training job as plain data, so that any process on any node can run it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from deep3dmap.config.compose import build_section
from deep3dmap.config.open_dataset import open_dataset
from deep3dmap.config.schema import FitConfig, OptimizerConfig, ScheduleConfig, TrainerConfig
from deep3dmap.core.dataset import Dataset
from deep3dmap.core.method import Method
from deep3dmap.core.registry import methods
from deep3dmap.frameworks import Host, LoopSettings
from deep3dmap.train import stage_marks
from deep3dmap.train.arithmetic import set_arithmetic
from deep3dmap.train.progress import report_activity
from deep3dmap.train.scene_fits import SceneFits, fit_settings
from deep3dmap.train.seeding import seed_everything
from deep3dmap.train.session import Scorer, TrainingSession, TrainingSummary
from deep3dmap.train.watched_loop import WatchedLoop


@dataclass(frozen=True)
class TrainingJob:
    """A training job. config: a resolved run (config.compose). folder: absolute, on storage that all nodes share."""

    method: str
    variant: str
    dataset: str
    dataset_variant: str
    config: Mapping[str, Any]
    folder: str

    @property
    def trainer(self) -> TrainerConfig:
        """The typed trainer section."""
        section: TrainerConfig = build_section(TrainerConfig, dict(self.config["trainer"]))
        return section

    @property
    def trains(self) -> bool:
        """Whether the method learns from the dataset in this configuration."""
        cls = methods.load(self.method)
        return bool(cls.trains(self._method_config(cls)))

    def build_method(self) -> Method:
        """Build the method with weights initialised from the run's seed."""
        cls = methods.load(self.method)
        seed_everything(int(self.config["seed"]))
        method: Method = cls(self._method_config(cls))
        return method

    def scene_fits(self, method: Method, host: Host, folder: Path | None = None) -> SceneFits | None:
        """Return the object that fits `method`, from its current state, to scenes; None for a method that is not fitted.

        folder: for the curves and checkpoints of the fits (default: the job's).
        """
        if not method.fits():
            return None
        fit: FitConfig = build_section(FitConfig, dict(self.config.get("fit", {})))
        return SceneFits(method, fit_settings(self.settings(), fit), host, folder or Path(self.folder), self.about())

    def build_dataset(self) -> Dataset:
        """Build the dataset, which is already prepared."""
        return open_dataset(self.dataset, self.config["dataset"], self.config["data"])

    def settings(self) -> LoopSettings:
        """Return the configuration sections used by the training loop."""
        return LoopSettings(
            self.trainer,
            build_section(OptimizerConfig, dict(self.config["optimizer"])),
            build_section(ScheduleConfig, dict(self.config["schedule"])),
            dict(self.config["inputs"]),
            int(self.config["seed"]),
        )

    def _method_config(self, cls: type) -> Any:
        return build_section(cls.config_type, dict(self.config["method"]))  # type: ignore[attr-defined]

    def about(self) -> dict[str, Any]:
        """Return the description of the run that is stored in its checkpoints."""
        names = {
            "method": self.method,
            "variant": self.variant,
            "dataset": self.dataset,
            "dataset_variant": self.dataset_variant,
        }
        return {**names, "config": dict(self.config)}


def train_here(job: TrainingJob, host: Host, scorer: Scorer | None = None) -> tuple[Method, TrainingSummary]:
    """Train in this process as one worker; returns the method, on the host's device. scorer: adds metrics to validations."""
    set_arithmetic(job.trainer)
    report_activity("building the method and opening the data")
    stage_marks.mark("method and data")
    method = job.build_method()
    learns = job.trains
    training: Any = []
    validation = None
    if learns:
        dataset = job.build_dataset()
        training = dataset.split("train")
        validation = dataset.split("val") if "val" in dataset.card.splits else None
    loop = WatchedLoop(host, job.settings(), training, validation)
    if isinstance(method, torch.nn.Module):
        method.to(host.device)
    report_activity("training")
    stage_marks.mark("training")
    session = TrainingSession(method, loop, Path(job.folder), job.about(), scorer)
    session.learns = learns
    return method, session.run()
