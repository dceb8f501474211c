"""The replaced or omitted parts of Ray Train: the wait at the end of a run, its datasets, and the rendezvous of workers."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest


class Silent:
    """An actor that never answers."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"asked for {name}")


def test_the_cleaner_is_ended_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.train import ScalingConfig
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

    from deep3dmap.train.ray_trainer import PromptCleaner, PromptTorchTrainer

    trainer: Any = PromptTorchTrainer(lambda: None, scaling_config=ScalingConfig(num_workers=1))
    cleaners = [each for each in trainer._create_default_callbacks() if isinstance(each, PlacementGroupCleanerCallback)]
    assert [type(each) for each in cleaners] == [PromptCleaner]
    ended: list[Any] = []
    monkeypatch.setattr("ray.kill", ended.append)
    actor = Silent()
    cleaners[0]._cleaner = actor
    cleaners[0].before_controller_abort()
    cleaners[0].before_controller_abort()
    assert ended == [actor]


def test_only_a_controller_that_is_known_to_be_dead_loses_its_reservations(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.util.state.exception import RayStateApiException

    from deep3dmap.train import ray_trainer

    alive, dead = SimpleNamespace(state="ALIVE"), SimpleNamespace(state="DEAD")
    answers = iter([None, RayStateApiException("the dashboard is busy"), alive, dead])
    asked: list[Any] = []

    def answer(*_: Any, **__: Any) -> Any:
        asked.append(next(answers))
        if isinstance(asked[-1], Exception):
            raise asked[-1]
        return asked[-1]

    monkeypatch.setattr(ray_trainer, "get_actor", answer)
    cleaner = ray_trainer.PatientCleaner("controller", 0.01, 1, None)
    given_back: list[Any] = []
    monkeypatch.setattr(cleaner, "_cleanup_placement_group", lambda group: given_back.append((group, len(asked))))
    monkeypatch.setattr(cleaner, "_exit", lambda: None)
    for group in ("first", "second"):
        cleaner.register_placement_group(SimpleNamespace(id=group))
    cleaner._monitor_loop()
    assert [(group.id, count) for group, count in given_back] == [("second", 4)]


def test_no_process_serves_datasets() -> None:
    from ray.train import ScalingConfig
    from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
    from ray.train.v2.torch.torch_trainer import TorchTrainer

    from deep3dmap.train.ray_trainer import PromptTorchTrainer

    served = []
    for trainer_type in (TorchTrainer, PromptTorchTrainer):
        trainer: Any = trainer_type(lambda: None, scaling_config=ScalingConfig(num_workers=1))
        served.append([type(each) for each in trainer._create_default_callbacks() if isinstance(each, DatasetsCallback)])
    assert served == [[DatasetsCallback], []]


class Group:
    """A worker group that runs everything in this process."""

    def __init__(self, workers: int) -> None:
        self.workers, self.ran = workers, list[Any]()

    def __len__(self) -> int:
        return self.workers

    def execute(self, function: Any) -> None:
        self.ran.append(function)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"asked for {name}")


def test_one_worker_needs_no_rendezvous() -> None:
    from deep3dmap.train.ray_trainer import OwnAddressBackend, OwnAddressConfig, _opened

    assert OwnAddressConfig().backend_cls is OwnAddressBackend
    group = Group(1)
    OwnAddressBackend().on_start(group, OwnAddressConfig())
    assert len(group.ran) == 1
    assert _opened == []


def test_the_store_listens_on_the_address_of_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from deep3dmap.train import ray_trainer

    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "127.0.0.1")
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
    address, port = ray_trainer.listen()
    assert address == "127.0.0.1"
    try:
        ray_trainer.join_process_group("gloo", address, port, 0, 1, 30.0)
        value = torch.ones(2)
        torch.distributed.all_reduce(value)
        assert value.tolist() == [1.0, 1.0]
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", port))
        assert ray_trainer.os.environ["GLOO_SOCKET_IFNAME"] == "lo"
    finally:
        torch.distributed.destroy_process_group()
        ray_trainer.os.environ.pop("GLOO_SOCKET_IFNAME")
