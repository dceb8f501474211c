"""Check that a folder is shared by all nodes of a cluster."""

import os
import uuid
from pathlib import Path

SECONDS = 60.0


def find_nodes_without(folder: Path) -> list[str]:
    """Return the addresses of the nodes that cannot see files that this process writes to `folder`, or cannot write there.

    Connects to the cluster and runs a zero-CPU task on every node. Raises OSError if this process itself cannot write.
    """
    from deep3dmap.train.ray_runtime import connect

    connect()
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / f".shared-{uuid.uuid4().hex}"
    marker.mkdir()
    try:
        nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
        write_marker = ray.remote(num_cpus=0, max_retries=0)(_write_marker)
        refs = {
            node: write_marker.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
                str(marker), node
            )
            for node in nodes
        }
        ready, _ = ray.wait(list(refs.values()), num_returns=len(refs), timeout=SECONDS)
        written = set(os.listdir(marker))
        return sorted(nodes[node] for node, ref in refs.items() if ref not in ready or node not in written)
    finally:
        for file in marker.iterdir():
            file.unlink()
        marker.rmdir()
        ray.shutdown()


def _write_marker(marker: str, node: str) -> bool:
    try:
        Path(marker, node).touch()
    except OSError:
        return False
    return True
