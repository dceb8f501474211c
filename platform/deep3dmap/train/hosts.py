"""The two processes a training session may run in: a Ray Train worker and a Ray Tune trial."""

import time
from collections.abc import Mapping

import torch

from deep3dmap.core.errors import UserError


class TuneTrialHost:
    """One worker that trains in the process of its Tune trial: starts in seconds, and nothing is nested."""

    rank = 0
    world_size = 1

    def __init__(self, device: str, report_every_s: float = 3.0) -> None:
        self.device = choose_device(device)
        self._report_every_s, self._reported = report_every_s, 0.0

    def report(self, metrics: Mapping[str, float]) -> None:
        """Tell Tune, at most every few seconds."""
        from ray import tune

        if time.monotonic() - self._reported >= self._report_every_s:
            self._reported = time.monotonic()
            tune.report(dict(metrics))

    def should_stop(self) -> bool:
        """Nobody asks a benchmark's trial to stop early."""
        return False


class RayTrainHost:
    """One of N workers of a TorchTrainer."""

    def __init__(self, device: str) -> None:
        import ray.train
        from ray.train.torch import get_device

        context = ray.train.get_context()
        self.rank, self.world_size = context.get_world_rank(), context.get_world_size()
        self.device = torch.device(get_device()) if device == "auto" else choose_device(device)

    def report(self, metrics: Mapping[str, float]) -> None:
        """Tell Ray Train; every rank comes here."""
        import ray.train

        ray.train.report(dict(metrics))

    def should_stop(self) -> bool:
        """A trainer that is stopped ends its workers itself."""
        return False


def choose_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`; raises UserError for a GPU that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device={name}, but torch sees no CUDA device here; use device=cpu or a machine with a GPU")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device={name}: {str(error).splitlines()[0]}") from error
