"""Runs that cannot be placed end in a row that reports it, whether this is known at once or only later."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deep3dmap.cli.train import compose
from deep3dmap.core import UserError
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.training_run import TrainingRun, plan_training
from deep3dmap.train import ray_runtime
from deep3dmap.train.failures import NoResourcesError
from deep3dmap.train.placement import shortage

CPUS = 4


@pytest.mark.parametrize(
    ("bundle", "count", "fits"),
    [
        ({"CPU": 1}, 3, True),
        ({"CPU": 1}, 4, False),
        ({"CPU": 2}, 1, True),
        ({"CPU": 3}, 1, False),  # three CPUs exist, but not on one node
        ({"CPU": 1, "GPU": 1}, 1, True),
        ({"CPU": 1, "GPU": 1}, 2, False),
        ({"CPU": 0.1}, 30, True),
        ({"CPU": 1, "GPU": 0}, 3, True),
        ({"scanner": 1}, 1, False),
    ],
    ids=str,
)
def test_what_fits_on_nodes(bundle: dict[str, float], count: int, fits: bool) -> None:
    said = shortage(bundle, count, [{"CPU": 2.0, "node:10.0.0.1": 1.0}, {"CPU": 1.0, "GPU": 1.0}])
    assert (said == "") == fits
    if not fits:
        assert said.startswith("no resources: asked for")
        assert said.endswith("there is on node 1: 2 CPU; on node 2: 1 CPU, 1 GPU")


def test_no_node_at_all() -> None:
    assert shortage({"CPU": 1}, 1, []) == "no resources: asked for 1 CPU; there is no node"


class TestAnExperimentWhoseNodesAreGone:
    """The monitor of an experiment's trials, on a cluster that a test can empty."""

    def watched(self, *statuses: str, reason: str = "no resources: x", patience_s: float = 0.0) -> bool:
        from deep3dmap.bench.placement_watch import PlacementTimeoutStopper, PlacementWatch

        watch = PlacementWatch(lambda config: reason, patience_s, check_interval_s=0.0)
        trials = [SimpleNamespace(status=status, config={"run": index}) for index, status in enumerate(statuses)]
        for iteration in range(2):
            watch.on_step_end(iteration, trials)
        assert watch.reasons == ({} if "RUNNING" in statuses else {i: reason for i, s in enumerate(statuses) if s == "PENDING"})
        return PlacementTimeoutStopper(watch).stop_all()

    def test_is_ended(self) -> None:
        assert self.watched("PENDING", "PENDING")
        assert self.watched("PENDING", "TERMINATED")

    def test_is_not_ended_while_a_trial_runs(self) -> None:
        assert not self.watched("PENDING", "RUNNING")

    def test_is_not_ended_while_the_cluster_is_merely_busy(self) -> None:
        assert not self.watched("PENDING", reason="")

    def test_is_not_ended_at_once(self) -> None:
        assert not self.watched("PENDING", patience_s=60.0)


@pytest.fixture(scope="module")
def ray() -> None:
    """Ray, shared by the test modules of this process."""
    ray_runtime.connect(cpus=CPUS, dashboard=False)


@pytest.fixture
def results(tmp_path: Path) -> ResultStore:
    return ResultStore(str(tmp_path / "results"))


def planned(store: ResultStore, *settings: str) -> TrainingRun:
    fixed = ["method=toys:Regression/mini", "dataset=toys:Dots", "trainer.batch_size=4", "trainer.max_steps=4"]
    return plan_training(compose([*fixed, f"results={store.uri}", *settings]), Path(store.uri) / "work")


def only_row(store: ResultStore) -> Any:
    runs = store.runs(newest_only=False)
    assert len(runs) == 1
    return runs.iloc[0]


def test_more_workers_than_the_machine_has_are_refused_at_once_with_a_row(results: ResultStore) -> None:
    with pytest.raises(UserError, match=r"no_resources: no resources: asked for 64 x \(1 CPU\); there is on node 1: \d+ CPU"):
        planned(results, "trainer.workers=64", "trainer.batch_size=64", "dataset.samples=64").execute(results)
    row = only_row(results)
    assert row.status == "no_resources"
    assert "asked for 64 x (1 CPU)" in row.error
    assert row.steps == 0


@pytest.fixture
def nothing_free(ray: None) -> Iterator[None]:
    """All CPUs are reserved by someone else."""
    from ray import cluster_resources, get
    from ray.util.placement_group import placement_group, remove_placement_group

    held = placement_group([{"CPU": cluster_resources()["CPU"]}])
    get(held.ready(), timeout=120)
    yield
    remove_placement_group(held)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("nothing_free")
def test_workers_that_find_no_place_in_time_are_given_up(results: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from deep3dmap.train.trainer import train_on_workers

    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "5")
    job = planned(results).plan.job
    with pytest.raises(NoResourcesError, match=r"no resources: asked for 1 CPU; there is .* none became free in time"):
        train_on_workers(job, Path(job.folder).parent / "ray")
