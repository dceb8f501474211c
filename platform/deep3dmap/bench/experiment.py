"""A benchmark as one Ray Tune experiment: each run is a trial, as many at once as the resources allow."""

import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deep3dmap.bench.finished import Finished, Follower
from deep3dmap.bench.plan import RunPlan
from deep3dmap.bench.resources import check_resources, concurrency, trial_bundle
from deep3dmap.bench.rows import Outcome, run_row
from deep3dmap.bench.suite import load_suite
from deep3dmap.bench.trial import carry_out
from deep3dmap.results.store import ResultStore
from deep3dmap.train import ray_runtime


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
        check_resources(plan, available)
    # Ray is imported only now, when its environment is set.
    from ray import tune

    from deep3dmap.bench.follower import TrialFollower

    store, follower = ResultStore(results), TrialFollower(plans, follow)
    name = f"benchmark-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    packed = [plan.as_dict() for plan in plans]

    def trial(config: dict[str, Any]) -> dict[str, Any]:
        return carry_out(RunPlan(**packed[config["run"]]), results)

    bundles = [trial_bundle(plan) for plan in plans]
    tuner = tune.Tuner(
        tune.with_resources(trial, lambda config: tune.PlacementGroupFactory([bundles[config["run"]]])),
        param_space={"run": tune.grid_search(list(range(len(plans))))},
        tune_config=tune.TuneConfig(max_concurrent_trials=concurrency(plans, available), reuse_actors=False),
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


def _write_lost(store: ResultStore, plan: RunPlan, error: str) -> None:
    outcome = Outcome(status="failed", error="\n".join(error.splitlines()[-30:]))
    attempt = store.next_attempt(plan.run_id)
    store.write_attempt(run_row(plan, attempt, load_suite(plan.suite).protocol.card.task.name, outcome), [], [])
    store.write_trial_state(plan.run_id, "failed", plan.title)
