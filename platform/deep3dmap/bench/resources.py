"""What a run asks of Ray, and how many runs fit at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from deep3dmap.bench.plan import RunPlan
from deep3dmap.core.errors import UserError

NESTED_DRIVER_CPUS = 0.1


def is_nested(plan: RunPlan) -> bool:
    """Whether the run trains in workers of its own instead of in its trial's process."""
    trainer = plan.job().trainer
    return trainer.workers > 1 or trainer.engine == "train"


def trial_bundle(plan: RunPlan) -> dict[str, float]:
    """Return what the trial itself reserves; nested workers are reserved apart from it."""
    trainer = plan.job().trainer
    if is_nested(plan):
        return {"CPU": NESTED_DRIVER_CPUS}
    return {"CPU": trainer.cpus_per_worker, **({"GPU": trainer.gpus_per_worker} if trainer.gpus_per_worker else {})}


def needed(plan: RunPlan) -> dict[str, float]:
    """Return what the trial and its workers reserve together."""
    trainer = plan.job().trainer
    return {
        "CPU": trainer.workers * trainer.cpus_per_worker + (NESTED_DRIVER_CPUS if is_nested(plan) else 0.0),
        "GPU": trainer.workers * trainer.gpus_per_worker,
    }


def check_resources(plan: RunPlan, available: Mapping[str, Any]) -> None:
    """Raise UserError if a run asks for more than there is."""
    for kind, amount in needed(plan).items():
        there = available.get(kind, 0.0)
        if amount > there:
            fields = f"trainer.workers or trainer.{kind.lower()}s_per_worker"
            raise UserError(f"{plan.title}: needs {amount:g} {kind}, but Ray has {there:g}; change {fields}")


def concurrency(plans: Sequence[RunPlan], available: Mapping[str, Any]) -> int:
    """How many runs fit at once. Nested workers are reserved apart from their trial: too many trials would deadlock."""
    fits = []
    for kind in ("CPU", "GPU"):
        largest = max(needed(plan)[kind] for plan in plans)
        if largest:
            fits.append(int(available.get(kind, 0.0) // largest))
    return max(1, min(fits, default=1))
