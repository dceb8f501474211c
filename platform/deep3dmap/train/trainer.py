"""A method as a Ray Train TorchTrainer: one to N workers, restarted from the newest whole checkpoint when one dies."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deep3dmap.core.errors import DivergedError, UserError
from deep3dmap.train.job import TrainingJob, train_here
from deep3dmap.train.session import TrainingSummary


def train_on_workers(
    job: TrainingJob,
    storage: Path,
    worker: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    extra: Mapping[str, Any] | None = None,
    callbacks: Sequence[Any] = (),
) -> TrainingSummary:
    """Train in a TorchTrainer and return rank 0's summary; the weights are in the job's checkpoints.

    worker: what each worker runs instead of training plainly; it is handed {"job": ..., **extra} and returns what
    `carried_out` does. callbacks: Ray Train's. Ray keeps its own bookkeeping under `storage`. Raises what the workers raised:
    UserError, DivergedError, or a RuntimeError with the cause when they died more often than trainer.max_failures allows.
    """
    import ray.train
    from ray.train.torch import TorchTrainer

    # Ray's type stubs describe its older trainer; the classes that run are those of Train V2.
    api: Any = ray.train
    trainer_type: Any = TorchTrainer

    trainer = job.trainer
    per_worker = {"CPU": trainer.cpus_per_worker, **({"GPU": trainer.gpus_per_worker} if trainer.gpus_per_worker else {})}
    # An equal name would make Ray resume its own record; ours is the checkpoint folder, so each attempt has a new name.
    run = api.RunConfig(
        name=f"{Path(job.folder).name}-{uuid.uuid4().hex[:8]}",
        storage_path=str(storage),
        failure_config=api.FailureConfig(max_failures=trainer.max_failures, controller_failure_limit=3),
        callbacks=list(callbacks),
    )
    scaling = api.ScalingConfig(
        num_workers=trainer.workers, use_gpu=trainer.gpus_per_worker > 0, resources_per_worker=per_worker
    )
    try:
        loop_config = {"job": asdict(job), **(extra or {})}
        result = trainer_type(worker or _worker, train_loop_config=loop_config, scaling_config=scaling, run_config=run).fit()
    except api.TrainingFailedError as error:
        raise RuntimeError(f"training failed after {trainer.max_failures} restarts: {error}") from error
    return _summary(result.return_value)


def _worker(config: dict[str, Any]) -> dict[str, Any]:
    from deep3dmap.train.hosts import RayTrainHost

    job = TrainingJob(**config["job"])
    return carried_out(lambda: train_here(job, RayTrainHost(str(job.config["device"])))[1])


def carried_out(train: Callable[[], TrainingSummary]) -> dict[str, Any]:
    """Run a worker's training and return its summary, or its mistake, as plain data."""
    try:
        summary = train()
    except (UserError, DivergedError) as error:
        # Raising would make Ray restart the workers for a mistake that no restart mends.
        return {"failure": type(error).__name__, "message": str(error)}
    return {"summary": asdict(summary)}


def _summary(returned: Any) -> TrainingSummary:
    if returned and "summary" in returned:
        return TrainingSummary(**returned["summary"])
    kinds = {"UserError": UserError, "DivergedError": DivergedError}
    failure = returned or {"failure": "", "message": "the workers returned nothing"}
    raise kinds.get(failure["failure"], RuntimeError)(failure["message"])
