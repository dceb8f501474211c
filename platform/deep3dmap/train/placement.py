"""What a cluster could place at all, whoever uses it at present."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import methods

if TYPE_CHECKING:
    from deep3dmap.train.job import TrainingJob

START_TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
# How often workers may fail to start, be it that nothing is free in time. Ray's own default is: for ever.
START_RETRIES = 2
# Ray counts on a lost node for some seconds more, and places workers there that never start; fewer workers would.
ELASTIC_START_TIMEOUT_S = 20.0


def patience_s() -> float:
    """Seconds after which a run that cannot be placed is given up; $RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S is a third of it."""
    return float(os.environ.get(START_TIMEOUT, "300")) * (START_RETRIES + 1)


def elastic_start_timeout() -> dict[str, str]:
    """Return the environment in which Ray soon gives up a number of workers that cannot be placed, and counts again."""
    return {START_TIMEOUT: str(min(float(os.environ.get(START_TIMEOUT, "300")), ELASTIC_START_TIMEOUT_S))}


def shortage(bundle: Mapping[str, float], count: int = 1, nodes: Sequence[Mapping[str, float]] | None = None) -> str:
    """Return why `count` bundles, each on one node, could never be placed on the cluster, or "" where they could.

    nodes: what each node has in all, used or not (default: asked of Ray).
    """
    there = alive_nodes() if nodes is None else nodes
    wanted = {kind: amount for kind, amount in bundle.items() if amount}
    if sum(_fits(wanted, node) for node in there) >= count:
        return ""
    return f"no resources: asked for {described(wanted, count)}; there is {described_nodes(there)}"


def described(bundle: Mapping[str, float], count: int = 1) -> str:
    """Return a bundle in words."""
    text = ", ".join(f"{amount:g} {kind}" for kind, amount in bundle.items() if amount)
    return f"{count} x ({text})" if count > 1 else text


def described_nodes(nodes: Sequence[Mapping[str, float]] | None = None) -> str:
    """Return in words what each node of the cluster has in all."""
    there = alive_nodes() if nodes is None else nodes
    each = [described({kind: amount for kind, amount in node.items() if _counts(kind)}) or "nothing" for node in there]
    return "; ".join(f"on node {i}: {text}" for i, text in enumerate(each, 1)) or "no node"


def worker_bundle(job: "TrainingJob") -> dict[str, float]:
    """Return what each worker reserves."""
    gpus = gpus_per_worker(job)
    return {"CPU": job.trainer.cpus_per_worker, **({"GPU": gpus} if gpus else {})}


def gpus_per_worker(job: "TrainingJob") -> float:
    """Return how many GPUs each worker reserves: as configured, or by itself one for a method in torch where there are some."""
    asked = job.trainer.gpus_per_worker
    if asked is not None:
        return asked
    if str(job.config["device"]) == "cpu":
        return 0.0
    from torch.nn import Module

    return 1.0 if issubclass(methods.load(job.method), Module) and _gpus_there() else 0.0


def _gpus_there() -> bool:
    import ray
    import torch

    # Of a cluster, what its nodes have counts, and not what this machine has.
    if ray.is_initialized():
        return float(ray.cluster_resources().get("GPU", 0.0)) >= 1
    if os.environ.get("RAY_ADDRESS"):
        raise RuntimeError("whether the cluster of RAY_ADDRESS has GPUs shows once it is joined")
    return torch.cuda.is_available()


def fewest_workers(job: "TrainingJob") -> int:
    """Return with how many workers the job can train. Raises UserError where the batch cannot be split over any such number."""
    trainer = job.trainer
    if not trainer.min_workers:
        return trainer.workers
    if not 0 < trainer.min_workers <= trainer.workers:
        raise UserError(f"trainer.min_workers={trainer.min_workers} must be from 1 to trainer.workers={trainer.workers}, or 0")
    parts = [workers * trainer.accumulate for workers in range(trainer.min_workers, trainer.workers + 1)]
    if any(trainer.batch_size % count for count in parts):
        raise UserError(
            f"trainer.batch_size={trainer.batch_size} has to be a multiple of {', '.join(map(str, parts))} "
            f"(workers x accumulate), as trainer.min_workers={trainer.min_workers} lets the number of workers change; "
            f"{math.lcm(*parts)} is"
        )
    return trainer.min_workers


def this_machine() -> dict[str, float]:
    """Return what this machine has in all."""
    import torch

    gpus = torch.cuda.device_count()
    return {"CPU": float(os.cpu_count() or 1), **({"GPU": float(gpus)} if gpus else {})}


def alive_nodes() -> list[dict[str, float]]:
    """Return what each living node of the connected cluster has in all."""
    import ray

    found: list[dict[str, Any]] = ray.nodes()
    return [dict(node["Resources"]) for node in found if node["Alive"]]


def _fits(bundle: Mapping[str, float], node: Mapping[str, float]) -> int:
    """How many bundles a node could hold."""
    # Ray counts in ten thousandths; shares such as 0.1 must not be lost to rounding.
    return min((int(node.get(kind, 0.0) / amount + 1e-6) for kind, amount in bundle.items()), default=1 << 30)


def _counts(kind: str) -> bool:
    return not kind.startswith("node:") and kind not in ("memory", "object_store_memory")
