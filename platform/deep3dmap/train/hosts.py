"""Hosts of a training session on Ray, a Train worker or a Tune trial, and the choice of the device."""

import math
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from deep3dmap.core.errors import UserError


class TuneTrialHost:
    """A single worker that trains in the process of its Tune trial, which starts in seconds and needs no nested Ray Train run.

    stop_file: training ends once this file exists. `last` is the newest evaluation, whether reported or not.
    """

    rank = 0
    world_size = 1

    def __init__(self, device: str, report_every_s: float = 3.0, stop_file: Path | None = None) -> None:
        self.device = choose_device(device)
        self._report_every_s, self._reported, self._stop_file = report_every_s, -math.inf, stop_file
        self._stop_requested = False
        self.last: dict[str, float] = {}

    def report(self, metrics: Mapping[str, float]) -> None:
        """Report metrics to Tune, at most once every few seconds. Tune has decided about the trial when this returns."""
        self.last = dict(metrics)
        if time.monotonic() - self._reported >= self._report_every_s:
            self._send_to_tune(self.last)
            self._reported = time.monotonic()
        # Checked here rather than at every step, because the scheduler decides when it receives an evaluation.
        self._stop_requested = self._stop_file is not None and self._stop_file.exists()

    def should_stop(self) -> bool:
        """Return whether the scheduler requested an early stop; never the case in a benchmark."""
        return self._stop_requested

    def _send_to_tune(self, metrics: dict[str, float]) -> None:
        from ray import tune

        tune.report(metrics)


class RayTrainHost:
    """One of N workers of a TorchTrainer. stop_file: training ends on all workers once this file exists."""

    def __init__(self, device: str, stop_file: Path | None = None) -> None:
        import ray.train
        from ray.train.torch import get_device

        context = ray.train.get_context()
        self.rank, self.world_size = context.get_world_rank(), context.get_world_size()
        self.device = torch.device(get_device()) if device == "auto" else choose_device(device)
        self._stop_file, self._stop_requested = stop_file, False

    def report(self, metrics: Mapping[str, float]) -> None:
        """Report metrics to Ray Train; called on every rank."""
        import ray.train

        ray.train.report(dict(metrics))
        if self._stop_file:
            # All workers must stop at the same step, so rank 0 checks and broadcasts the result.
            found = torch.tensor(float(self._stop_file.exists()), device=self.device)
            if self.world_size > 1:
                torch.distributed.broadcast(found, 0)
            self._stop_requested = bool(found)

    def should_stop(self) -> bool:
        """Return whether the scheduler of a sweep requested an early stop."""
        return self._stop_requested


def choose_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`; raises UserError for a GPU that is not available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device={name}, but torch sees no CUDA device here; use device=cpu or a machine with a GPU")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device={name}: {str(error).splitlines()[0]}") from error
