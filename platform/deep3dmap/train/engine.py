"""Chooses where a training runs: in a process of its own for one worker on this machine, else in a Ray Train TorchTrainer."""

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
    """Whether a training runs on Ray. Raises UserError for an engine that is none."""
    trainer = job.trainer
    if trainer.engine not in ENGINES:
        raise UserError(f"trainer.engine is auto or train, not '{trainer.engine}'")
    return trainer.workers > 1 or trainer.engine == "train" or bool(os.environ.get("RAY_ADDRESS"))


def check_start(job: TrainingJob) -> None:
    """Raise UserError for what could not start, as far as that is known before anything is started."""
    needs_ray(job)
    fewest_workers(job)
    # Where a cluster is joined, its nodes may have what this machine has not.
    if not os.environ.get("RAY_ADDRESS"):
        choose_device(str(job.config["device"]))


def train(job: TrainingJob, storage: Path) -> TrainingSummary:
    """Train as the job's trainer section says and return the summary; the weights are in the job's checkpoints.

    storage: for Ray's bookkeeping. Raises what `train_supervised` raises.
    """
    return train_supervised(job, storage, on_ray=needs_ray(job), on_cluster=bool(os.environ.get("RAY_ADDRESS")))
