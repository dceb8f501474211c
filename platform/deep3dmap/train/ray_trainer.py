"""Ray Train's TorchTrainer with a patient cleaner and a private rendezvous, without the final wait and the data service."""

import os
import queue
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ray._common.constants import HEAD_NODE_RESOURCE_NAME
from ray.train.torch import TorchConfig
from ray.train.torch.config import _set_torch_distributed_env_vars, _TorchBackend
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.controller.placement_group_cleaner import PlacementGroupCleaner
from ray.train.v2.torch.torch_trainer import TorchTrainer
from ray.util.state import get_actor
from ray.util.state.exception import RayStateApiException

# The socket on which worker 0 will listen, from when it is opened until torch takes it over.
_opened: list[socket.socket] = []


class PatientCleaner(PlacementGroupCleaner):
    """Releases a controller's reservations once the dashboard reports it dead.

    Ray's own cleaner also does so if the dashboard does not know the controller yet, which happens on a busy machine, and thus
    ends the workers of a training that has only started.
    """

    def _monitor_loop(self) -> None:
        held = None
        while not self._stop_event.is_set():
            try:
                held = self._pg_queue.get(timeout=self._check_interval_s)
            except queue.Empty:
                if self._controller_is_dead():
                    self._cleanup_placement_group(held)
                    break
        self._exit()

    def _controller_is_dead(self) -> bool:
        try:
            known = get_actor(self._controller_actor_id, timeout=int(self._get_actor_timeout_s))
        except RayStateApiException:
            return False
        return known is not None and known.state == "DEAD"


class PromptCleaner(PlacementGroupCleanerCallback):
    """Starts a patient cleaner, and kills it at the end of the run instead of asking it to stop.

    A cleaner that is querying the dashboard about the controller responds only afterwards, which would add twelve seconds to
    every run. It has no state, so it can be killed.
    """

    def after_controller_start(self, train_run_context: Any) -> None:
        """Start the cleaner, which outlives the controller."""
        import ray

        self._controller_actor_id = ray.get_runtime_context().get_actor_id()
        actor: Any = ray.remote(num_cpus=0)(PatientCleaner)
        cleaner = actor.options(lifetime="detached", resources={HEAD_NODE_RESOURCE_NAME: 0.001}, scheduling_strategy="DEFAULT")
        started: Any = cleaner.remote(
            controller_actor_id=self._controller_actor_id,
            check_interval_s=self._check_interval_s,
            get_actor_timeout_s=self._get_actor_timeout_s,
            stop_timeout=self._stop_timeout,
        )
        started.start_monitoring.remote()
        self._cleaner = started

    def _stop_cleaner(self) -> None:
        import ray

        cleaner: Any = self._cleaner
        self._cleaner = None
        if cleaner is not None:
            ray.kill(cleaner)


class PromptTorchTrainer(TorchTrainer):
    """A TorchTrainer that returns as soon as training has ended, and starts no process for Ray's datasets, which are unused."""

    def _create_default_callbacks(self) -> list[Any]:
        given: list[Any] = super()._create_default_callbacks()
        needed = [each for each in given if not isinstance(each, DatasetsCallback)]
        return [PromptCleaner() if isinstance(each, PlacementGroupCleanerCallback) else each for each in needed]


@dataclass
class OwnAddressConfig(TorchConfig):
    """Torch process group with its rendezvous on the address of worker 0's node; a single worker has no group."""

    @property
    def backend_cls(self) -> type["OwnAddressBackend"]:
        """The class that sets up the group."""
        return OwnAddressBackend


class OwnAddressBackend(_TorchBackend):
    """Sets up torch.distributed on one address. By default torch's store listens on all addresses, without authentication."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Make worker 0 listen, and all workers join the group there."""
        import ray

        worker_group.execute(_set_torch_distributed_env_vars)
        workers = len(worker_group)
        if workers == 1:
            return
        gpus = worker_group.get_resources_per_worker().get("GPU", 0)
        backend = backend_config.backend or ("nccl" if gpus else "gloo")
        address, port = worker_group.execute_single(0, listen)
        pending_joins = [
            worker_group.execute_single_async(
                rank, join_process_group, backend, address, port, rank, workers, backend_config.timeout_s
            )
            for rank in range(workers)
        ]
        ray.get(pending_joins)


def listen() -> tuple[str, int]:
    """Open the store's socket on this node's address; returns (address, port)."""
    from ray.util import get_node_ip_address

    address = get_node_ip_address()
    opened = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    _opened[:] = [opened]
    return address, int(opened.getsockname()[1])


def join_process_group(backend: str, address: str, port: int, rank: int, workers: int, timeout_s: float) -> None:
    """Join the process group of all workers through the store of worker 0."""
    # Its functions have the default group at import time as a default argument. If imported later, for example by the first
    # optimiser, it would keep the group alive, and a process that exits while the group's threads run may abort.
    import torch.distributed.nn.functional

    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = address, str(port)
    if name := interface_of(_own_address()):
        # Applies to Gloo's own sockets too.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    # Torch owns the descriptor from here on.
    listening = _opened.pop().detach() if rank == 0 else None
    timeout = timedelta(seconds=timeout_s)
    store = torch.distributed.TCPStore(
        address, port, workers, rank == 0, timeout, wait_for_workers=False, master_listen_fd=listening
    )
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=workers, timeout=timeout)


def interface_of(address: str) -> str:
    """Return the name of the network interface with an address, "" if there is none."""
    import psutil

    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == address for each in addresses):
            return str(name)
    return ""


def _own_address() -> str:
    from ray.util import get_node_ip_address

    return str(get_node_ip_address())
