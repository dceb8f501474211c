"""Runs a sweep as a Ray Tune experiment that survives its driver, because the journal, not Ray, records the trials."""

import shutil
import time
import uuid
from dataclasses import dataclass
from typing import Any

from deep3dmap.config.open_dataset import prepare_dataset
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.run_resources import check_resources, concurrency, is_nested, trial_bundle
from deep3dmap.runs.stored_cards import write_cards
from deep3dmap.train import ray_runtime
from deep3dmap.train.start_watch import run_watched
from deep3dmap.tune.journal import Journal, SweepState
from deep3dmap.tune.monitor import Follower, SweepMonitor
from deep3dmap.tune.objective import VALIDATION
from deep3dmap.tune.options import PAUSING
from deep3dmap.tune.plan import SweepPlan
from deep3dmap.tune.rows import write_sweep_card
from deep3dmap.tune.searchers import GridSearch, build_searcher
from deep3dmap.tune.sweep_trial import TrialOrder, run_trial

MAX_RESTARTS = 2
# Trials whose processes start at the same time. With more, later trials would be proposed too early, from fewer results.
MAX_PENDING = 16


@dataclass(frozen=True)
class SweepOutcome:
    """The outcome of a sweep."""

    plan: SweepPlan
    state: SweepState

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do: all trials have ended, or a limit ended the sweep."""
        return not self.state.unfinished and (bool(self.state.finish) or len(self.state.trials) >= count_trials(self.plan))


def count_trials(plan: SweepPlan) -> int:
    """Return the number of trials of a sweep; for a grid its number of points, if the limit allows."""
    return min(plan.options.trials, len(GridSearch(plan.space).points)) if plan.is_grid else plan.options.trials


def count_remaining_trials(plan: SweepPlan) -> int:
    """Return the number of trials of a sweep that have not ended yet."""
    return count_trials(plan) - len(Journal(plan.folder / "trials.jsonl").state.ended)


def run_sweep(plan: SweepPlan, follow: Follower) -> SweepOutcome:
    """Run a sweep, or the rest of it. Raises UserError if a trial needs more resources than the cluster has."""
    store, journal = ResultStore(plan.results), Journal(plan.folder / "trials.jsonl")
    proposer = build_searcher(plan.space, plan.options, plan.objectives, len(journal.state.trials))
    plan.write_description()
    write_cards(store, [plan.run])
    write_sweep_card(store, plan)
    monitor = SweepMonitor(plan, journal, proposer, store, follow)
    remaining = count_trials(plan) - len(journal.state.ended)
    if remaining > 0:
        # Trials use the validation split even if the method does not train.
        prepare_dataset(plan.run.open_dataset(), plan.run.config["data"], quiet=False, splits=["train", VALIDATION])
        available = ray_runtime.connect()
        check_resources(plan.run, available)
        # Ray is imported only after its environment is set.
        from deep3dmap.tune.ray_adapters import Listener, Searcher
        from deep3dmap.tune.schedulers import build_scheduler, replay

        for record in journal.state.unfinished:
            plan.stop_file(record.number).unlink(missing_ok=True)
        scheduler = build_scheduler(plan.options, plan.space, plan.quality, monitor.ask_to_stop, monitor.is_protected)
        replay(scheduler, journal.state.ended)
        _fit(plan, remaining, available, Searcher(monitor), scheduler, Listener(monitor))
    if journal.state.unfinished and not journal.state.finish:
        monitor.finish("interrupted")
    elif not journal.state.finish:
        monitor.finish("all trials have ended")
    return SweepOutcome(plan, journal.state)


def _fit(plan: SweepPlan, remaining: int, available: dict[str, Any], searcher: Any, scheduler: Any, listener: Any) -> None:
    from ray import tune

    name = f"sweep-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    parallel_capacity = concurrency([plan.run], available)
    limit = plan.options.concurrent or (parallel_capacity if is_nested(plan.run) else None)
    tuner = tune.Tuner(
        tune.with_resources(_trial_function(plan), tune.PlacementGroupFactory([trial_bundle(plan.run)])),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=remaining,
            max_concurrent_trials=limit,
            reuse_actors=False,
            trial_dirname_creator=lambda trial: f"trial_{trial.config['trial']}_{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(plan.folder / "ray"),
            verbose=0,
            callbacks=[listener],
            failure_config=tune.FailureConfig(max_failures=MAX_RESTARTS),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=4) if plan.options.scheduler in PAUSING else None,
        ),
    )
    environment = {
        # The final report of a failed trial has no metric, which Tune would otherwise treat as an error.
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
        # By default Tune starts the processes of a searcher's trials one after another, on any cluster.
        "TUNE_MAX_PENDING_TRIALS_PG": str(min(limit or parallel_capacity, MAX_PENDING)),
    }
    with ray_runtime.environment(environment):
        run_watched(tuner.fit, lambda: None)
    shutil.rmtree(plan.folder / "ray" / name, ignore_errors=True)


def _trial_function(plan: SweepPlan) -> Any:
    options = plan.options

    def trial(config: dict[str, Any]) -> dict[str, Any]:
        number = config["trial"]
        values = {key: value for key, value in config.items() if key != "trial"}
        run: RunPlan = plan.trial_plan(number, values)
        order = TrialOrder(plan.quality.key, str(plan.stop_file(number)), options.scenes, options.scheduler in PAUSING)
        return run_trial(run, order)

    return trial
