"""A method under test: its `mini` variant, trained in the current process on the smallest dataset that has its keys."""

import tempfile
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from deep3dmap.config.compose import ComposedRun, Layer, compose_run, layer_of
from deep3dmap.config.plugins import list_working
from deep3dmap.config.variants import variants
from deep3dmap.core.card import MethodCard
from deep3dmap.core.dataset import Dataset, Sample
from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method, RendersViews, Views
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.core.registry import datasets, methods
from deep3dmap.runs.scene_reconstruction import reconstruct_scene
from deep3dmap.train.job import TrainingJob, train_here
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.session import TrainingSummary

SMALL_VARIANTS = ("smoke", "mini", "default")
FIT_STEPS = 4
SCENE = "scene"


class OwnProcessHost(LocalHost):
    """A CPU host that can stop a run after a given number of steps."""

    def __init__(self, stop_after: int = 0) -> None:
        super().__init__(torch.device("cpu"))
        self._left = stop_after or -1

    def should_stop(self) -> bool:
        """Return whether `stop_after` steps have been taken; the loop calls this once per step."""
        self._left -= 1
        return self._left == 0


class Subject:
    """A method under test. folder: scratch folder. overrides: `key=value` for every run, e.g. data.cache=DIR."""

    def __init__(self, method: str, folder: Path, dataset: str = "", overrides: tuple[str, ...] = ()) -> None:
        self.name, _, variant = method.partition("/")
        self.cls = methods.load(self.name)
        self.variant, self.folder, self.overrides = variant or "mini", folder, overrides
        self.dataset_choice = dataset or smallest_dataset(self.card)
        self._composed: dict[Any, ComposedRun] = {}

    @property
    def card(self) -> MethodCard:
        """The method's card."""
        card: MethodCard = self.cls.card
        return card

    @property
    def learns(self) -> bool:
        """Whether the method trains on a dataset, in its configured variant."""
        return self.job("built").trains

    @property
    def fits(self) -> bool:
        """Whether the method is optimised on each scene."""
        return bool(self.cls.fits())

    def composed(self, overrides: tuple[str, ...] = (), **trainer: Any) -> ComposedRun:
        """Compose a run of the variant under test with additional overrides and values for the trainer section."""
        request = (overrides, *sorted(trainer.items()))
        if request not in self._composed:
            self._composed[request] = self._compose(overrides, trainer)
        # Cached, because the checks request the same few runs dozens of times, and Hydra takes 0.1 s for each.
        found = self._composed[request]
        return replace(found, config=deepcopy(found.config))

    def _compose(self, overrides: tuple[str, ...], trainer: dict[str, Any]) -> ComposedRun:
        small = {"batch_size": 4, "log_every": 1, "checkpoint_every": 0, "max_seconds": 0, **trainer}
        fit = {"max_steps": FIT_STEPS, "log_every": 1, "checkpoint_every": 0, "max_seconds": 0}
        layers = (layer_of("contract", {"trainer": small, "fit": fit}), Layer("command line", (*self.overrides, *overrides)))
        return compose_run(f"{self.name}/{self.variant}", self.dataset_choice, layers)

    def job(self, run: str, overrides: tuple[str, ...] = (), **trainer: Any) -> TrainingJob:
        """Return a training job with its checkpoints and curves in `folder/run`."""
        composed = self.composed(overrides, **trainer)
        folder = str((self.folder / run).resolve())
        return TrainingJob(self.name, self.variant, composed.dataset, composed.dataset_variant, composed.config, folder)

    def train(self, run: str, steps: int, stop_after: int = 0, **trainer: Any) -> tuple[Method, TrainingSummary]:
        """Train to `steps` in this process, resuming from `folder/run`. stop_after: steps before an interruption (0 = none)."""
        return train_here(self.job(run, max_steps=steps, **trainer), OwnProcessHost(stop_after))

    def build(self) -> Method:
        """Construct the method with its initial weights."""
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

    def reconstruct(self, method: Method, run: str = "", stop_after: int = 0) -> Reconstruction:
        """Reconstruct the test sample as in a benchmark, after fitting the method to it if it is optimised per scene.

        run: name of the folder for the fit's checkpoints, from which it resumes; "" = a temporary folder. stop_after: interrupt
        the fit after this many steps, 0 = never.
        """
        return self._run_reconstruction(method, run, stop_after)[0]

    def rendered(self, method: Method) -> Views | None:
        """Render the test sample as in a benchmark, while the method is fitted to it; None if it cannot be rendered."""
        return self._run_reconstruction(method, cameras=self.cameras())[1]

    def _run_reconstruction(
        self, method: Method, run: str = "", stop_after: int = 0, cameras: Sequence[Camera] = ()
    ) -> tuple[Reconstruction, Views | None]:
        mapping, views = dict(self.composed().config["inputs"]), None
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            folder = self.folder / run if run else Path(temporary)
            fits = self.job("built").scene_fits(method, OwnProcessHost(stop_after), folder)
            outcome = reconstruct_scene(method, self.sample, SCENE, mapping, fits, 0)
            if cameras and isinstance(method, RendersViews):
                with torch.no_grad():
                    views = method.render(cameras)
            if fits and not run:
                # Restore the trained state for subsequent comparisons.
                fits.restore()
        return outcome.reconstruction, views

    def cameras(self) -> list[Camera]:
        """Return a list with the first camera of the test sample, or an empty list if it has none."""
        if not {"images", "intrinsics", "world_from_camera"} <= self.sample.keys() or not len(self.sample["images"]):
            return []
        height, width = self.sample["images"][0].shape[-2:]
        return [Camera(self.sample["intrinsics"][0], self.sample["world_from_camera"][0], width, height)]

    def fitted(self, run: str, stop_after: int = 0) -> Method:
        """Construct the method with its initial weights and fit it to the test sample in `folder/run`."""
        method = self.build()
        self.reconstruct(method, run, stop_after)
        return method


def smallest_dataset(card: MethodCard) -> str:
    """Return `name/variant` of the first embedded dataset with all keys that a method consumes and trains on.

    Only the datasets in `card.tried_on` are considered, if there are any. Raises UserError if no dataset has all keys.
    """
    needed = {*card.consumes, *card.trains_on}
    for name in card.tried_on or list_working(datasets):
        dataset_card = datasets.load(name).card
        if not dataset_card.needs_root and needed <= set(dataset_card.provides):
            known = variants(datasets, name)
            return f"{name}/{next(variant for variant in SMALL_VARIANTS if variant in known)}"
    raise UserError(f"no embedded dataset provides {sorted(needed)}; specify one with dataset=NAME/VARIANT")
