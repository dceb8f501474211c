"""Nodes that die, are reclaimed, or disappear for good during training, on a cluster of several raylets on loopback."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import HEADS, ended, start, wait_for

from deep3dmap.results.store import ResultStore
from deep3dmap.testing import Subject

pytestmark = [pytest.mark.ray, pytest.mark.slow]

STORE_BYTES = 80 << 20
STEPS, EVERY = 40, 4
CURRENT_CLUSTER = Path("/tmp/ray/ray_current_cluster")
SUPPORT = Path(__file__).resolve().parents[1] / "support"
# Workers draw their own random numbers; without dropout two workers give the same result as one.
NO_DRAWS = ("method.dropout=0.0", "trainer.batch_size=4")
ELASTIC = ("trainer.workers=2", "trainer.min_workers=1", *NO_DRAWS)
SOON = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "5"}


@pytest.fixture(scope="module")
def head() -> Iterator[Any]:
    """A head without CPUs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH", "")])))
        # Set by the Ray of an earlier module.
        patch.delenv("RAY_GCS_SERVER_PORT", raising=False)
        from ray.cluster_utils import Cluster

        made = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES}
        )
        yield made
        made.shutdown()
        # Otherwise every later Ray on this machine would try to join a cluster that no longer exists.
        CURRENT_CLUSTER.unlink(missing_ok=True)


@pytest.fixture
def cluster(head: Any) -> Iterator[Any]:
    """The head and two nodes of one CPU each."""
    head.workers = [head.add_node(num_cpus=1, object_store_memory=STORE_BYTES) for _ in range(2)]
    yield head
    for node in list(head.worker_nodes):
        head.remove_node(node, allow_graceful=False)


def train(cluster: Any, folder: Path, *settings: str, **variables: str) -> Any:
    fixed = ["train", "method=faulty_methods:Accident/mini", "dataset=toys:Dots", "trainer.batch_size=4", "method.delay=0.2"]
    budget = [f"trainer.max_steps={STEPS}", f"trainer.checkpoint_every={EVERY}", "results=results", "--json"]
    return start(folder, *fixed, *budget, *settings, RAY_ADDRESS=cluster.address, **variables)


def undisturbed(folder: Path, *settings: str, steps: int = STEPS) -> dict[str, float]:
    """The metrics of the same training without faults, in this process."""
    _, summary = Subject("toys:Regression/mini", folder, "toys:Dots", settings).train("undisturbed", steps)
    return summary.metrics


def steps_taken(folder: Path) -> int:
    return max((int(path.name.removeprefix("step_")) for path in folder.glob("results/work/*/checkpoints/step_*")), default=0)


def node_of(cluster: Any, title: str) -> Any:
    """Return the node that runs a process with this title."""
    import psutil

    for node in cluster.workers:
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        for child in raylet.children(recursive=True):
            if title in " ".join(child.as_dict(["cmdline"], ad_value=[])["cmdline"]):
                return node
    raise AssertionError(f"no node runs {title}")


def rows(folder: Path) -> list[str]:
    return list(ResultStore(str(folder / "results")).runs(newest_only=False).status)


def check_ended_as_if_nothing_had_happened(process: Any, folder: Path, *settings: str, steps: int = STEPS) -> None:
    out, _ = ended(process)
    # Ray itself reports on stdout that a node is gone.
    found = json.loads(out[out.index("{\n") :])
    assert found["steps"] == steps
    assert found["metrics"] == pytest.approx(undisturbed(folder, *settings, steps=steps), rel=1e-5)
    assert rows(folder) == ["ok"]


def test_a_run_whose_node_dies_ends_on_another_one_with_the_same_numbers(cluster: Any, tmp_path: Path) -> None:
    process = train(cluster, tmp_path)
    wait_for(lambda: steps_taken(tmp_path) >= 2 * EVERY, process)
    cluster.remove_node(node_of(cluster, "RayTrainWorker"), allow_graceful=False)
    assert steps_taken(tmp_path) < STEPS
    check_ended_as_if_nothing_had_happened(process, tmp_path)


def test_a_node_that_is_reclaimed_costs_no_restart(cluster: Any, tmp_path: Path) -> None:
    from ray._raylet import GcsClient
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    # No worker may die by itself, and none does.
    process = train(cluster, tmp_path, "trainer.max_failures=0")
    wait_for(lambda: steps_taken(tmp_path) >= 2 * EVERY, process)
    node = node_of(cluster, "RayTrainWorker")
    reason, deadline = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"), time.time() + 2
    accepted, why_not = GcsClient(address=cluster.address).drain_node(node.node_id, reason, "reclaimed", int(deadline * 1000))
    assert accepted, why_not
    time.sleep(3)
    assert steps_taken(tmp_path) < STEPS
    cluster.remove_node(node, allow_graceful=False)
    check_ended_as_if_nothing_had_happened(process, tmp_path)


def test_an_elastic_run_goes_on_with_the_workers_that_are_left(cluster: Any, tmp_path: Path) -> None:
    mark = tmp_path / "starts"
    process = train(cluster, tmp_path, *ELASTIC, f"method.mark='{mark}'")
    wait_for(lambda: steps_taken(tmp_path) >= 2 * EVERY, process)
    cluster.remove_node(cluster.workers[0], allow_graceful=False)
    assert steps_taken(tmp_path) < STEPS
    check_ended_as_if_nothing_had_happened(process, tmp_path, *NO_DRAWS)
    step, workers = map(int, mark.read_text().splitlines()[-1].split())
    assert step >= 2 * EVERY
    assert workers == 1


def test_an_elastic_run_takes_the_workers_that_come_later(cluster: Any, tmp_path: Path) -> None:
    mark, steps = tmp_path / "starts", 4 * STEPS
    cluster.remove_node(cluster.workers[0], allow_graceful=False)
    cluster.wait_for_nodes()
    # Ray checks once a minute whether there is room for more workers.
    longer = ("method.delay=0.7", f"trainer.max_steps={steps}")
    process = train(cluster, tmp_path, *ELASTIC, *longer, f"method.mark='{mark}'")
    wait_for(lambda: steps_taken(tmp_path) >= EVERY, process)
    cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    check_ended_as_if_nothing_had_happened(process, tmp_path, *NO_DRAWS, steps=steps)
    assert [line.split()[1] for line in mark.read_text().splitlines()] == ["1", "2", "2"]


def test_a_run_whose_nodes_are_gone_for_good_is_a_row_that_says_so(cluster: Any, tmp_path: Path) -> None:
    process = train(cluster, tmp_path, **SOON)
    wait_for(lambda: steps_taken(tmp_path) >= EVERY, process)
    for node in list(cluster.worker_nodes):
        cluster.remove_node(node, allow_graceful=False)
    _, error = ended(process, code=2)
    assert rows(tmp_path) == ["no_resources"]
    assert "no resources: asked for 1 CPU; there is on node 1: nothing" in " ".join(error.split())
    assert steps_taken(tmp_path) >= EVERY


def test_a_benchmark_whose_nodes_are_gone_for_good_has_a_row_per_run(cluster: Any, tmp_path: Path) -> None:
    what = ("benchmark", "suite=face", "tier=smoke", "methods=[toy_faces:ToyFace]", *HEADS, "seeds=3", "results=results")
    budget = ("trainer.max_steps=30", "trainer.batch_size=4", "trainer.checkpoint_every=2", "method.ToyFace.delay=1.0")
    # The nodes have a different environment, so the cache is given on the command line.
    process = start(tmp_path, *what, *budget, f"data.cache={tmp_path / 'cache'}", RAY_ADDRESS=cluster.address, **SOON)
    wait_for(lambda: steps_taken(tmp_path) >= 2, process)
    for node in list(cluster.worker_nodes):
        cluster.remove_node(node, allow_graceful=False)
    _, error = ended(process, code=1)
    assert rows(tmp_path) == ["no_resources"] * 3
    assert "no resources: asked for 1 CPU; there is on node 1: nothing" in " ".join(error.split())
