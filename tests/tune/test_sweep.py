"""A sweep on Ray Tune: early stops, a trial whose process dies, and what is left afterwards."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deep3dmap.results.store import ResultStore
from deep3dmap.train import ray_runtime
from deep3dmap.tune.journal import read_events
from deep3dmap.tune.plan import SweepPlan
from deep3dmap.tune.sweep import SweepOutcome, run_sweep

pytestmark = pytest.mark.ray
Planner = Callable[..., SweepPlan]


@pytest.fixture(scope="module", autouse=True)
def ray() -> None:
    """Ray, left running for the following modules, because a second Ray in the same process could not train."""
    ray_runtime.connect(cpus=4, dashboard=False)


def sweep(plan: SweepPlan) -> SweepOutcome:
    """Run a sweep and wait until Ray has its CPUs back."""
    import ray

    outcome = run_sweep(plan, lambda event, record, state: None)
    end = time.monotonic() + 30
    while ray.available_resources().get("CPU", 0.0) < ray.cluster_resources()["CPU"]:
        assert time.monotonic() < end, f"CPUs are still taken: {ray.available_resources()} of {ray.cluster_resources()}"
        time.sleep(0.1)
    return outcome


def test_early_stops_and_a_death_leave_rows_and_free_cpus(planned: Planner, tmp_path: Path) -> None:
    plan = planned(
        "tune.searcher=grid",
        "tune.space.optimizer.lr=grid(0.02,0.01,1e-6,1e-7)",
        "tune.concurrent=2",
        "trainer.checkpoint_every=4",
        f"method.mark='{tmp_path / 'mark'}'",
        method="toys:KilledOnce/mini",
    )
    outcome = sweep(plan)
    assert outcome.is_complete
    assert (tmp_path / "mark").exists()
    records = outcome.state.trials
    # The second trial may end either way; the last two reach rungs where the first has reported.
    assert [records[n].status for n in (0, 2, 3)] == ["ok", "stopped", "stopped"]
    assert max(e["step"] for e in records[3].evaluations) < 40
    for record in records.values():
        steps = [evaluation["step"] for evaluation in record.evaluations]
        assert steps == sorted(set(steps))
        assert all(evaluation["memory_mb"] > 0 for evaluation in record.evaluations)

    runs = ResultStore(plan.results).runs(newest_only=False)
    assert sorted(runs.status) == sorted(record.status for record in records.values())
    assert len(set(runs.attempt)) == len(runs)
    assert (runs.peak_ram_mb > 0).all()
    curves = ResultStore(plan.results).curves()
    for _, own in curves[curves.name == "loss"].groupby("run_id"):
        assert own.step.is_unique
    assert not list((plan.folder / "ray").glob("sweep-*"))


def test_trials_for_which_there_is_room_start_together(planned: Planner) -> None:
    plan = planned(
        "tune.trials=2", "tune.scheduler=none", "tune.space.optimizer.lr=loguniform(1e-5,3e-2)", "trainer.max_steps=2"
    )
    assert sweep(plan).is_complete
    events = [(event["kind"], event["trial"]) for event in read_events(plan.folder / "trials.jsonl") if "trial" in event]
    assert events[:2] == [("created", 0), ("created", 1)]


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["median", "hyperband", "pbt", "none"])
def test_every_scheduler_comes_to_an_end(planned: Planner, scheduler: str) -> None:
    plan = planned(
        "tune.trials=5", f"tune.scheduler={scheduler}", "tune.space.optimizer.lr=loguniform(1e-5,3e-2)", "tune.seed=1"
    )
    outcome = sweep(plan)
    assert outcome.is_complete
    assert len(outcome.state.ended) == 5
    assert {record.status for record in outcome.state.ended} <= {"ok", "stopped"}
    # HyperBand halves a bracket of paused trials, which may include the default.
    assert outcome.state.trials[0].status == "ok" or scheduler == "hyperband"
    assert len(ResultStore(plan.results).runs(newest_only=False)) == 5
    if scheduler == "pbt":
        assert {record.evaluations[-1]["step"] for record in outcome.state.ended} == {40}
        assert '"changed"' in (plan.folder / "trials.jsonl").read_text()


@pytest.mark.slow
def test_trials_of_two_workers_are_stopped_without_losing_cpus(planned: Planner) -> None:
    plan = planned(
        "tune.searcher=grid",
        "tune.space.optimizer.lr=grid(0.02,1e-7)",
        "tune.concurrent=1",
        "trainer.workers=2",
        "tune.asha.reduction=2",
        "tune.evaluations=20",
    )
    outcome = sweep(plan)
    assert [outcome.state.trials[n].status for n in range(2)] == ["ok", "stopped"]
    assert outcome.state.trials[1].evaluations[-1]["step"] < 40
