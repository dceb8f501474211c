"""Nodes that die in mid-training, on a cluster of several raylets on loopback."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

STORE_BYTES = 80 << 20
STEPS, EVERY = 300, 10
CURRENT_CLUSTER = Path("/tmp/ray/ray_current_cluster")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without CPUs, and two nodes of one CPU each."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    )
    made.workers = [made.add_node(num_cpus=1, object_store_memory=STORE_BYTES) for _ in range(2)]
    yield made
    made.shutdown()
    # It would draw every later Ray of this machine to a cluster that is gone.
    CURRENT_CLUSTER.unlink(missing_ok=True)


def train(cluster: Any, results: Path) -> subprocess.Popen[str]:
    run = ["train", "method=prnet/mini", "dataset=heads/smoke", "method.width=4", "seed=3", f"results={results}"]
    budget = [f"trainer.max_steps={STEPS}", f"trainer.checkpoint_every={EVERY}", "trainer.max_failures=3", "--json"]
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    command = [sys.executable, "-m", "deep3dmap.cli", *run, *budget]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, error = process.communicate(timeout=400)
    assert process.returncode == 0, error
    # Ray itself says on the standard output that a node is gone.
    found: dict[str, Any] = json.loads(out[out.index("{\n") :])
    return found


def node_of_the_worker(cluster: Any) -> Any:
    import psutil

    for node in cluster.workers:
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        for child in raylet.children(recursive=True):
            if any("RayTrainWorker" in word for word in child.cmdline()):
                return node
    return None


def wait_for_checkpoint(results: Path, step: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        steps = [int(path.name.removeprefix("step_")) for path in results.glob("work/*/checkpoints/step_*")]
        if max(steps, default=0) >= step:
            return
        time.sleep(0.05)
    raise AssertionError(f"no checkpoint of step {step} in {results}")


def test_a_run_whose_node_dies_ends_on_another_one_with_the_same_numbers(cluster: Any, tmp_path: Path) -> None:
    undisturbed = outcome(train(cluster, tmp_path / "undisturbed"))
    disturbed = train(cluster, tmp_path / "disturbed")
    wait_for_checkpoint(tmp_path / "disturbed", 2 * EVERY, disturbed)
    node = node_of_the_worker(cluster)
    assert node is not None
    assert disturbed.poll() is None
    cluster.remove_node(node, allow_graceful=False)
    found = outcome(disturbed)
    assert found["steps"] == undisturbed["steps"] == STEPS
    assert found["run_id"] == undisturbed["run_id"]
    assert found["metrics"] == pytest.approx(undisturbed["metrics"], rel=1e-5)
