"""Ray resources requested by a run, and the number of runs that fit at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from deep3dmap.core.errors import UserError
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.train.placement import describe_bundle, fewest_workers, gpus_per_worker, shortage, worker_bundle

NESTED_DRIVER_CPUS = 0.1


def is_nested(plan: RunPlan) -> bool:
    """Return whether the run trains in separate workers instead of in its trial's process."""
    trainer = plan.job.trainer
    return trainer.workers > 1 or trainer.engine == "train"


def trial_bundle(plan: RunPlan) -> dict[str, float]:
    """Return the resources that the trial itself reserves; nested workers are reserved separately."""
    return {"CPU": NESTED_DRIVER_CPUS} if is_nested(plan) else worker_bundle(plan.job)


def needed(plan: RunPlan, workers: int | None = None) -> dict[str, float]:
    """Return the resources reserved by the trial and its workers (default: all of them) together."""
    trainer = plan.job.trainer
    count = trainer.workers if workers is None else workers
    return {
        "CPU": count * trainer.cpus_per_worker + (NESTED_DRIVER_CPUS if is_nested(plan) else 0.0),
        "GPU": count * gpus_per_worker(plan.job),
    }


def check_resources(plan: RunPlan, available: Mapping[str, Any]) -> None:
    """Raise UserError if a run requests more than the cluster can provide. available: total resources of the cluster."""
    reason = lacking(plan, available)
    if reason:
        raise UserError(f"{plan.title}: {reason}; change trainer.workers, trainer.cpus_per_worker or trainer.gpus_per_worker")


def lacking(plan: RunPlan, available: Mapping[str, Any]) -> str:
    """Return why the connected cluster cannot place a run, or "" if it can."""
    job = plan.job
    fewest = fewest_workers(job)
    requested = needed(plan, fewest)
    short = [kind for kind, amount in requested.items() if amount > available.get(kind, 0.0)]
    if short:
        available_text = (
            describe_bundle({kind: float(available.get(kind, 0.0)) for kind in short}) or f"no {' and no '.join(short)}"
        )
        return f"no resources: asked for {describe_bundle(requested)} in all; there is {available_text}"
    return shortage(worker_bundle(job), fewest)


def concurrency(plans: Sequence[RunPlan], available: Mapping[str, Any]) -> int:
    """Return how many runs fit at once. More would deadlock, as nested workers are reserved separately from their trial."""
    fits = []
    for kind in ("CPU", "GPU"):
        largest = max(needed(plan)[kind] for plan in plans)
        if largest:
            fits.append(int(available.get(kind, 0.0) // largest))
    return max(1, min(fits, default=1))
