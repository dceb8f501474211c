"""Checks whether a cluster could place a run at all, regardless of its current load."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import methods

if TYPE_CHECKING:
    from deep3dmap.train.job import TrainingJob

START_TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
# How often the start of the workers is retried, for example because no resources become free. Ray's default is unlimited.
START_RETRIES = 2
# For some seconds Ray still places workers on a lost node, where they never start; retry soon with fewer workers.
ELASTIC_START_TIMEOUT_S = 20.0


def patience_s() -> float:
    """Seconds after which a run that cannot be placed is given up: three times $RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S."""
    return float(os.environ.get(START_TIMEOUT, "300")) * (START_RETRIES + 1)


def elastic_start_timeout() -> dict[str, str]:
    """Return environment variables that make Ray soon give up a number of workers it cannot place, and choose a new one."""
    return {START_TIMEOUT: str(min(float(os.environ.get(START_TIMEOUT, "300")), ELASTIC_START_TIMEOUT_S))}


def shortage(bundle: Mapping[str, float], count: int = 1, nodes: Sequence[Mapping[str, float]] | None = None) -> str:
    """Return why `count` bundles, each on one node, could never be placed on the cluster, or "" if they could.

    nodes: total resources of each node, used or not (default: queried from Ray).
    """
    available = alive_nodes() if nodes is None else nodes
    requested = {kind: amount for kind, amount in bundle.items() if amount}
    if sum(_fits(requested, node) for node in available) >= count:
        return ""
    return f"no resources: asked for {describe_bundle(requested, count)}; there is {describe_nodes(available)}"


def describe_bundle(bundle: Mapping[str, float], count: int = 1) -> str:
    """Return a description of `count` bundles."""
    text = ", ".join(f"{amount:g} {kind}" for kind, amount in bundle.items() if amount)
    return f"{count} x ({text})" if count > 1 else text


def describe_nodes(nodes: Sequence[Mapping[str, float]] | None = None) -> str:
    """Return a description of the total resources of each node."""
    available = alive_nodes() if nodes is None else nodes
    each = [
        describe_bundle({kind: amount for kind, amount in node.items() if _counts(kind)}) or "nothing" for node in available
    ]
    return "; ".join(f"on node {i}: {text}" for i, text in enumerate(each, 1)) or "no node"


def worker_bundle(job: "TrainingJob") -> dict[str, float]:
    """Return the resources that each worker reserves."""
    gpus = gpus_per_worker(job)
    return {"CPU": job.trainer.cpus_per_worker, **({"GPU": gpus} if gpus else {})}


def gpus_per_worker(job: "TrainingJob") -> float:
    """Return the GPUs each worker reserves: as configured; by default one for a torch method if GPUs are available."""
    asked = job.trainer.gpus_per_worker
    if asked is not None:
        return asked
    if str(job.config["device"]) == "cpu":
        return 0.0
    from torch.nn import Module

    return 1.0 if issubclass(methods.load(job.method), Module) and _has_gpus() else 0.0


def _has_gpus() -> bool:
    import ray
    import torch

    # On a cluster the GPUs of its nodes count, not those of this machine.
    if ray.is_initialized():
        return float(ray.cluster_resources().get("GPU", 0.0)) >= 1
    if os.environ.get("RAY_ADDRESS"):
        raise RuntimeError("whether the cluster at RAY_ADDRESS has GPUs is unknown until it is joined")
    return torch.cuda.is_available()


def fewest_workers(job: "TrainingJob") -> int:
    """Return the fewest workers the job can train with, which is the number of all of them unless trainer.min_workers is set.

    Raises UserError if the batch cannot be split evenly over every number of workers from the fewest to all.
    """
    trainer = job.trainer
    if not trainer.min_workers:
        return trainer.workers
    if not 0 < trainer.min_workers <= trainer.workers:
        raise UserError(f"trainer.min_workers={trainer.min_workers} must be from 1 to trainer.workers={trainer.workers}, or 0")
    parts = [workers * trainer.accumulate for workers in range(trainer.min_workers, trainer.workers + 1)]
    if any(trainer.batch_size % count for count in parts):
        raise UserError(
            f"trainer.batch_size={trainer.batch_size} must be a multiple of {', '.join(map(str, parts))} "
            f"(workers x accumulate), because trainer.min_workers={trainer.min_workers} lets the number of workers change; "
            f"{math.lcm(*parts)} is"
        )
    return trainer.min_workers


def this_machine() -> dict[str, float]:
    """Return the total resources of this machine."""
    import torch

    gpus = torch.cuda.device_count()
    return {"CPU": float(os.cpu_count() or 1), **({"GPU": float(gpus)} if gpus else {})}


def alive_nodes() -> list[dict[str, float]]:
    """Return the total resources of each live node of the connected cluster."""
    import ray

    found: list[dict[str, Any]] = ray.nodes()
    return [dict(node["Resources"]) for node in found if node["Alive"]]


def _fits(bundle: Mapping[str, float], node: Mapping[str, float]) -> int:
    """Return how many bundles fit on a node."""
    # Ray counts in ten-thousandths; the tolerance keeps fractions such as 0.1 from being lost to rounding.
    return min((int(node.get(kind, 0.0) / amount + 1e-6) for kind, amount in bundle.items()), default=1 << 30)


def _counts(kind: str) -> bool:
    return not kind.startswith("node:") and kind not in ("memory", "object_store_memory")
