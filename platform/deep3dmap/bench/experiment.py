"""A benchmark as one Ray Tune experiment: each run is a trial, as many at once as the resources allow."""

import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deep3dmap.bench.finished import Finished, Follower
from deep3dmap.bench.plan import RunPlan
from deep3dmap.bench.rows import Outcome, run_row
from deep3dmap.bench.suite import load_suite
from deep3dmap.bench.trial import carry_out
from deep3dmap.core.errors import UserError
from deep3dmap.results.store import ResultStore
from deep3dmap.train import ray_runtime

NESTED_DRIVER_CPUS = 0.1


def run_experiment(
    plans: Sequence[RunPlan], results: str, work: Path, follow: Follower, max_retries: int = 2
) -> list[Finished]:
    """Carry out `plans` on Ray and return how each ended. `follow(event, what, done, total)` hears "started" and "ended".

    A trial whose process dies is tried again from its newest whole checkpoint; one that dies too often becomes a failed row.
    Raises UserError if a run asks for more than the cluster has.
    """
    if not plans:
        return []
    available = ray_runtime.connect()
    for plan in plans:
        _check_resources(plan, available)
    # Ray is imported only now, when its environment is set.
    from ray import tune

    from deep3dmap.bench.follower import TrialFollower

    store, follower = ResultStore(results), TrialFollower(plans, follow)
    name = f"benchmark-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    packed = [plan.as_dict() for plan in plans]

    def trial(config: dict[str, Any]) -> dict[str, Any]:
        return carry_out(RunPlan(**packed[config["run"]]), results)

    bundles = [_trial_bundle(plan) for plan in plans]
    tuner = tune.Tuner(
        tune.with_resources(trial, lambda config: tune.PlacementGroupFactory([bundles[config["run"]]])),
        param_space={"run": tune.grid_search(list(range(len(plans))))},
        tune_config=tune.TuneConfig(max_concurrent_trials=_concurrency(plans, available), reuse_actors=False),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(work / "ray"),
            verbose=0,
            callbacks=[follower],
            failure_config=tune.FailureConfig(max_failures=max_retries),
        ),
    )
    ended = tuner.fit()
    for result in (ended[index] for index in range(len(ended))):
        plan = plans[(result.config or {})["run"]]
        if result.error is not None:
            _write_lost(store, plan, str(result.error))
            follower.ended(plan, {"status": "failed", "headline": None, "error": str(result.error)})
    shutil.rmtree(work / "ray" / name, ignore_errors=True)
    return follower.finished


def _trial_bundle(plan: RunPlan) -> dict[str, float]:
    trainer = plan.job().trainer
    if trainer.workers > 1 or trainer.engine == "train":
        return {"CPU": NESTED_DRIVER_CPUS}
    return {"CPU": trainer.cpus_per_worker, **({"GPU": trainer.gpus_per_worker} if trainer.gpus_per_worker else {})}


def _needed(plan: RunPlan) -> dict[str, float]:
    trainer = plan.job().trainer
    nested = trainer.workers > 1 or trainer.engine == "train"
    return {
        "CPU": trainer.workers * trainer.cpus_per_worker + (NESTED_DRIVER_CPUS if nested else 0.0),
        "GPU": trainer.workers * trainer.gpus_per_worker,
    }


def _check_resources(plan: RunPlan, available: dict[str, Any]) -> None:
    for kind, amount in _needed(plan).items():
        there = available.get(kind, 0.0)
        if amount > there:
            fields = f"trainer.workers or trainer.{kind.lower()}s_per_worker"
            raise UserError(f"{plan.title}: needs {amount:g} {kind}, but Ray has {there:g}; change {fields}")


def _concurrency(plans: Sequence[RunPlan], available: dict[str, Any]) -> int:
    """How many runs fit at once. Nested workers are reserved apart from their trial: too many trials would deadlock."""
    fits = []
    for kind in ("CPU", "GPU"):
        largest = max(_needed(plan)[kind] for plan in plans)
        if largest:
            fits.append(int(available.get(kind, 0.0) // largest))
    return max(1, min(fits, default=1))


def _write_lost(store: ResultStore, plan: RunPlan, error: str) -> None:
    outcome = Outcome(status="failed", error="\n".join(error.splitlines()[-30:]))
    attempt = store.next_attempt(plan.run_id)
    store.write_attempt(run_row(plan, attempt, load_suite(plan.suite).protocol.card.task.name, outcome), [], [])
    store.write_trial_state(plan.run_id, "failed", plan.title)
