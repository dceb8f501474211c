"""A benchmark as one Ray Tune experiment: each run is a trial, with as many in parallel as the resources allow."""

import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deep3dmap.bench.benchmark_trial import execute_run
from deep3dmap.bench.finished import Finished, Follower
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.recording import record, recorded
from deep3dmap.runs.result_rows import Outcome
from deep3dmap.runs.retrying_store import RetryingStore
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.run_resources import concurrency, lacking, trial_bundle
from deep3dmap.train import ray_runtime, stage_marks
from deep3dmap.train.placement import patience_s, shortage
from deep3dmap.train.start_watch import run_watched


def run_experiment(
    plans: Sequence[RunPlan], results: str, work: Path, follow: Follower, max_retries: int = 2
) -> list[Finished]:
    """Execute `plans` on Ray and return their outcomes. `follow(event, what, done, total)` receives "started" and "ended".

    A trial whose process dies is retried from its newest complete checkpoint, and after too many failures becomes a failed
    row. So does a run that requests more resources than the cluster has, initially or after losing a node.
    """
    if not plans:
        return []
    available = ray_runtime.connect()
    # Ray must be imported after its environment is set.
    from deep3dmap.bench.trial_callback import RunReporter

    store, follower = RetryingStore(results), RunReporter(plans, follow)
    attempts = [store.next_attempt(plan.run_id) for plan in plans]
    reasons = {index: reason for index, plan in enumerate(plans) if (reason := lacking(plan, available))}
    for index, reason in reasons.items():
        _record_lost_run(store, plans[index], attempts[index], Outcome("no_resources", reason), follower)
    placeable = [index for index in range(len(plans)) if index not in reasons]
    if placeable:
        lost = _fit(plans, attempts, placeable, results, work, follower, max_retries)
        for index, outcome in lost.items():
            _record_lost_run(store, plans[index], attempts[index], outcome, follower)
    return follower.finished


def _fit(
    plans: Sequence[RunPlan],
    attempts: Sequence[int],
    placeable: Sequence[int],
    results: str,
    work: Path,
    follower: Any,
    max_retries: int,
) -> dict[int, Outcome]:
    """Execute the plans with the given indices; returns the outcomes of those that could not write their own rows."""
    from ray import tune

    from deep3dmap.bench.placement_watch import PlacementTimeoutStopper, PlacementWatch

    name = f"benchmark-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    numbers, planned = list(attempts), list(plans)

    def trial(config: dict[str, Any]) -> dict[str, Any]:
        return execute_run(planned[config["run"]], results, numbers[config["run"]])

    bundles = [trial_bundle(plan) for plan in plans]
    watch = PlacementWatch(lambda config: shortage(bundles[config["run"]]), patience_s())
    max_concurrent = concurrency([plans[index] for index in placeable], ray_runtime.connect())
    tuner = tune.Tuner(
        tune.with_resources(trial, lambda config: tune.PlacementGroupFactory([bundles[config["run"]]])),
        param_space={"run": tune.grid_search(list(placeable))},
        tune_config=tune.TuneConfig(max_concurrent_trials=max_concurrent, reuse_actors=True),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(work / "ray"),
            verbose=0,
            callbacks=[follower, watch],
            stop=PlacementTimeoutStopper(watch),
            failure_config=tune.FailureConfig(max_failures=max_retries),
        ),
    )
    stage_marks.mark("placement and first process")
    # Run in a thread, so that Tune leaves Ctrl-C and SIGTERM to the command, which stops at once without writing rows.
    ended = run_watched(tuner.fit, lambda: None)
    stage_marks.mark("tables and leaving")
    shutil.rmtree(work / "ray" / name, ignore_errors=True)
    errors = {int((result.config or {})["run"]): result.error for result in (ended[index] for index in range(len(ended)))}
    lost = [index for index in placeable if errors.get(index) is not None or plans[index].run_id not in follower.ended_ids]
    return {index: _outcome_of_lost_run(errors.get(index), watch.reasons.get(index, "")) for index in lost}


def _outcome_of_lost_run(error: Exception | None, reason: str) -> Outcome:
    if error is None:
        return Outcome("no_resources", reason or "no resources: the run was never placed")
    text = "\n".join(str(error).splitlines()[-30:])
    # Ray kills processes on a node that runs out of memory, which is only reported in the error's text.
    return Outcome("out_of_memory" if "OutOfMemoryError" in str(error) else "failed", text)


def _record_lost_run(store: ResultStore, plan: RunPlan, attempt: int, outcome: Outcome, follower: Any) -> None:
    """Write the row of a run that could not do so itself, unless it had already done so before its process died."""
    follower.ended(plan, recorded(store, plan, attempt) or record(store, plan, attempt, outcome))
