"""Chooses where training runs: in a separate process for one worker on this machine, else in a Ray Train TorchTrainer."""

import os
from pathlib import Path

from deep3dmap.core.errors import UserError
from deep3dmap.train.hosts import choose_device
from deep3dmap.train.job import TrainingJob
from deep3dmap.train.placement import fewest_workers
from deep3dmap.train.session import TrainingSummary
from deep3dmap.train.supervisor import train_supervised

ENGINES = ("auto", "train")


def needs_ray(job: TrainingJob) -> bool:
    """Return whether a job trains on Ray. Raises UserError for an unknown engine."""
    trainer = job.trainer
    if trainer.engine not in ENGINES:
        raise UserError(f"trainer.engine must be auto or train, not '{trainer.engine}'")
    return trainer.workers > 1 or trainer.engine == "train" or bool(os.environ.get("RAY_ADDRESS"))


def check_start(job: TrainingJob) -> None:
    """Raise UserError if the job cannot start, as far as this is known before anything is started."""
    needs_ray(job)
    fewest_workers(job)
    # The nodes of a cluster may have devices that this machine lacks.
    if not os.environ.get("RAY_ADDRESS"):
        choose_device(str(job.config["device"]))


def train(job: TrainingJob, storage: Path) -> TrainingSummary:
    """Train with the engine chosen by the job's trainer section; returns the summary. The weights are in its checkpoints.

    storage: folder for Ray's files. Raises the same errors as `train_supervised`.
    """
    return train_supervised(job, storage, on_ray=needs_ray(job), on_cluster=bool(os.environ.get("RAY_ADDRESS")))
