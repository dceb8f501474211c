"""Trains a method in a Ray Train TorchTrainer: one to N workers, restarted from the newest complete checkpoint if one dies."""

import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.errors import DivergedError, UserError
from deep3dmap.data.cache import write_file
from deep3dmap.train import ray_runtime, stage_marks
from deep3dmap.train.failures import NoResourcesError, as_plain_data, from_plain_data, workers_failure
from deep3dmap.train.job import TrainingJob, train_here
from deep3dmap.train.placement import (
    START_RETRIES,
    describe_bundle,
    elastic_start_timeout,
    fewest_workers,
    gpus_per_worker,
    shortage,
    worker_bundle,
)
from deep3dmap.train.session import TrainingSummary
from deep3dmap.train.transcript import output_folder, write_into

# File in Ray's folder of a run that records the failure of one of several workers.
FAILURE_NOTE = "deep3dmap_failure.json"


def train_on_workers(
    job: TrainingJob,
    storage: Path,
    worker: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    extra: Mapping[str, Any] | None = None,
    callbacks: Sequence[Any] = (),
) -> TrainingSummary:
    """Train in a TorchTrainer and return rank 0's summary; the weights are in the job's checkpoints. Starts Ray if necessary.

    worker: function each worker runs instead of plain training; it receives {"job": ..., **extra} and returns the same as
    `run_and_note_failure`. callbacks: of Ray Train. storage: folder for Ray's files. Raises the error of the workers:
    UserError, DivergedError, MemoryError, NoResourcesError if they cannot be placed, or a RuntimeError with the cause if they
    died more often than trainer.max_failures allows. The same limit applies to the process that directs the workers.
    """
    ray_runtime.connect()
    # Ray is imported only after its environment is set.
    import ray.train
    from ray.exceptions import RayActorError, RayError

    # Ray's type stubs describe its older trainer; the classes in use are those of Train V2.
    failed: Any = ray.train
    restarts = job.trainer.max_failures
    per_worker, fewest = worker_bundle(job), fewest_workers(job)
    lacking = shortage(per_worker, fewest)
    if lacking:
        raise NoResourcesError(lacking)
    deaths = 0
    while True:
        trainer = _trainer(job, storage, worker or _worker, extra or {}, callbacks)
        stage_marks.mark("placement and workers")
        failure_note = storage / trainer.run_config.name / FAILURE_NOTE
        try:
            with ray_runtime.environment(elastic_start_timeout() if fewest < job.trainer.workers else {}):
                return _summary(trainer.fit().return_value)
        except failed.TrainingFailedError as error:
            if failure_note.exists():
                raise from_plain_data(json.loads(failure_note.read_text())) from error
            raise workers_failure(error, describe_bundle(per_worker, fewest), restarts) from error
        except RayActorError as error:
            # Ray restarts workers, but not the process that directs them; both resume from the newest complete checkpoint.
            deaths += 1
            if deaths > restarts:
                raise RuntimeError(
                    f"training failed: the process directing the workers died {deaths} times: {error}"
                ) from error
        except RayError as error:
            raise RuntimeError(f"training failed: {str(error).strip().splitlines()[0]}") from error


def _trainer(
    job: TrainingJob,
    storage: Path,
    worker: Callable[[dict[str, Any]], dict[str, Any]],
    extra: Mapping[str, Any],
    callbacks: Sequence[Any],
) -> Any:
    import ray.train

    from deep3dmap.train.ray_trainer import OwnAddressConfig, PromptTorchTrainer

    api: Any = ray.train
    trainer_type: Any = PromptTorchTrainer
    settings, fewest = job.trainer, fewest_workers(job)
    elastic = fewest < settings.workers
    # With the same name Ray would resume its own records. We resume from our checkpoints, so each attempt has a new name.
    run = api.RunConfig(
        name=f"{Path(job.folder).name}-{uuid.uuid4().hex[:8]}",
        storage_path=str(storage),
        failure_config=api.FailureConfig(
            max_failures=settings.max_failures,
            # Each loss of a node may cost an elastic run one failed start.
            controller_failure_limit=START_RETRIES + (settings.max_failures if elastic else 0),
        ),
        callbacks=list(callbacks),
    )
    scaling = api.ScalingConfig(
        num_workers=(fewest, settings.workers) if elastic else settings.workers,
        use_gpu=gpus_per_worker(job) > 0,
        resources_per_worker=worker_bundle(job),
    )
    config = {"job": asdict(job), **extra}
    return trainer_type(
        worker, train_loop_config=config, torch_config=OwnAddressConfig(), scaling_config=scaling, run_config=run
    )


def _worker(config: dict[str, Any]) -> dict[str, Any]:
    import ray.train.v2._internal.execution.context

    from deep3dmap.train.hosts import RayTrainHost

    job = TrainingJob(**config["job"])
    # Otherwise Ray would log every report to stderr, which is shown to the user.
    logging.getLogger(ray.train.v2._internal.execution.context.__file__).setLevel(logging.WARNING)
    write_into(output_folder(job), ray.train.get_context().get_world_rank())
    return run_and_note_failure(lambda: train_here(job, RayTrainHost(str(job.config["device"])))[1])


def run_and_note_failure(train: Callable[[], TrainingSummary]) -> dict[str, Any]:
    """Run a worker's training and return its summary, or an error that a restart does not fix, as plain data."""
    import ray.train

    context = ray.train.get_context()
    failure_note = Path(context.get_storage().experiment_fs_path) / FAILURE_NOTE
    if failure_note.exists():
        failure: dict[str, Any] = json.loads(failure_note.read_text())
        return failure
    try:
        return {"summary": asdict(train())}
    except (UserError, DivergedError, MemoryError, torch.OutOfMemoryError) as error:
        if context.get_world_size() == 1:
            # Raising would make Ray restart the worker.
            return as_plain_data(error)
        # The other workers may wait for this one in a collective operation it never reaches; only raising ends them. If Ray
        # then restarts all of them, they find the note.
        with suppress(OSError, UserError):
            write_file(failure_note, json.dumps(as_plain_data(error)).encode())
        raise


def _summary(returned: Any) -> TrainingSummary:
    if returned and "summary" in returned:
        return TrainingSummary(**returned["summary"])
    raise from_plain_data(returned or {"failure": "", "message": "the workers returned nothing"})
