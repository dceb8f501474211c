"""A method under test: its `mini` variant on the smallest data that feed it, trained in this process."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from deep3dmap.config.compose import ComposedRun, Layer, compose_run, layer_of
from deep3dmap.config.plugins import working
from deep3dmap.config.variants import variants
from deep3dmap.core.card import MethodCard
from deep3dmap.core.dataset import Dataset, Sample
from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.core.registry import datasets, methods
from deep3dmap.frameworks.inputs import select
from deep3dmap.train.job import TrainingJob, train_here
from deep3dmap.train.session import TrainingSummary

SMALL_VARIANTS = ("smoke", "mini", "default")


class OwnProcessHost:
    """A host that trains in this process, reports to a list, and can be told to stop after a step count."""

    rank = 0
    world_size = 1

    def __init__(self, stop_after: int = 0) -> None:
        self.device = torch.device("cpu")
        self.reports: list[dict[str, float]] = []
        self._left = stop_after or -1

    def report(self, metrics: Mapping[str, float]) -> None:
        """Keep what was reported."""
        self.reports.append(dict(metrics))

    def should_stop(self) -> bool:
        """Whether as many steps were taken as `stop_after` says; the loop asks once a step."""
        self._left -= 1
        return self._left == 0


class Subject:
    """A method under test. folder: scratch space. overrides: `key=value` for every run, e.g. data.cache=DIR."""

    def __init__(self, method: str, folder: Path, dataset: str = "", overrides: tuple[str, ...] = ()) -> None:
        self.name, _, variant = method.partition("/")
        self.cls = methods.load(self.name)
        self.variant, self.folder, self.overrides = variant or "mini", folder, overrides
        self.dataset_choice = dataset or smallest_dataset(self.card)

    @property
    def card(self) -> MethodCard:
        """The method's card."""
        card: MethodCard = self.cls.card
        return card

    @property
    def learns(self) -> bool:
        """Whether there is anything to train."""
        return bool(self.card.trains_on)

    def composed(self, overrides: tuple[str, ...] = (), **trainer: Any) -> ComposedRun:
        """Compose a run of the variant under test with further overrides and values of the trainer section."""
        small = {"batch_size": 4, "log_every": 1, "checkpoint_every": 0, "max_seconds": 0, **trainer}
        layers = (layer_of("contract", {"trainer": small}), Layer("command line", (*self.overrides, *overrides)))
        return compose_run(f"{self.name}/{self.variant}", self.dataset_choice, layers)

    def job(self, run: str, overrides: tuple[str, ...] = (), **trainer: Any) -> TrainingJob:
        """Return a job whose checkpoints and curves go to `folder/run`."""
        composed = self.composed(overrides, **trainer)
        folder = str((self.folder / run).resolve())
        return TrainingJob(self.name, self.variant, composed.dataset, composed.dataset_variant, composed.config, folder)

    def train(self, run: str, steps: int, stop_after: int = 0, **trainer: Any) -> tuple[Method, TrainingSummary]:
        """Train to `steps` in this process, from what `folder/run` holds; stop_after: be interrupted after so many steps."""
        return train_here(self.job(run, max_steps=steps, **trainer), OwnProcessHost(stop_after))

    def build(self) -> Method:
        """Build the method with its initial weights."""
        return self.job("built").build_method()

    @cached_property
    def dataset(self) -> Dataset:
        """The prepared dataset."""
        dataset = self.job("data").build_dataset()
        dataset.prepare(workers=1)
        return dataset

    @cached_property
    def sample(self) -> Sample:
        """One test sample."""
        return self.dataset.split("test")[0]

    def reconstruct(self, method: Method) -> Reconstruction:
        """Reconstruct the test sample from the keys the method consumes."""
        if isinstance(method, torch.nn.Module):
            torch.nn.Module.train(method, False)
        with torch.no_grad():
            return method.reconstruct(select(self.sample, self.card.consumes, self.composed().config["inputs"]))


def smallest_dataset(card: MethodCard) -> str:
    """Return `name/variant` of an embedded dataset that has all keys a method consumes and trains on, its own choice first.

    Raises UserError if no registered dataset feeds the method.
    """
    needed = {*card.consumes, *card.trains_on}
    for name in card.tried_on or working(datasets):
        described = datasets.load(name).card
        if not described.needs_root and needed <= set(described.provides):
            known = variants(datasets, name)
            return f"{name}/{next(variant for variant in SMALL_VARIANTS if variant in known)}"
    raise UserError(f"no embedded dataset provides {sorted(needed)}; name one with dataset=NAME/VARIANT")
