"""Fits a method to one scene after another, each from the same state, with budget, curves and checkpoints as in training."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from deep3dmap.config.schema import FitConfig
from deep3dmap.core.method import Method, Step
from deep3dmap.core.scene_names import folder_name
from deep3dmap.frameworks import Host, LoopSettings, TrainLoop
from deep3dmap.train.arithmetic import set_arithmetic
from deep3dmap.train.seeding import scene_entropy, seed_everything
from deep3dmap.train.session import TrainingSession, TrainingSummary
from deep3dmap.train.state_copies import copy_state


class SceneSession(TrainingSession):
    """A training session on one scene."""

    section = "fit"

    def __init__(
        self, method: Method, loop: TrainLoop, folder: Path, about: Mapping[str, Any], scene: str, given: dict[str, Any]
    ) -> None:
        super().__init__(method, loop, folder, {**about, "scene": scene})
        self.scene, self.given = scene, given

    def steps(self) -> Iterator[Step]:
        """Return the method's generator for the scene."""
        return self.method.fit_steps(self.given, self.loop)

    def require_budget(self) -> None:
        """Require nothing: without a budget, a fit ends with the method's own schedule."""

    def initialise_method(self) -> None:
        """Do nothing: the method is already in the state that all scenes start from."""

    def validation(self) -> dict[str, float]:
        """Return no metrics, as a scene has no validation split."""
        return {}


class SceneFits:
    """Fits one method to scenes. about: description of the run stored in checkpoints. folder: of the run.

    Every scene starts from the method's state at construction.
    """

    # Passed to each session.
    shows_progress: bool | None = None

    def __init__(self, method: Method, settings: LoopSettings, host: Host, folder: Path, about: Mapping[str, Any]) -> None:
        self.method, self.host, self.folder, self.about = method, host, folder, about
        self._settings = settings
        self._start = copy_state(method.state_dict())

    def restore(self) -> None:
        """Restore the state that all scenes start from."""
        self.method.load_state_dict(copy_state(self._start))

    def fit(self, scene: str, given: dict[str, Any]) -> TrainingSummary:
        """Fit the method to a scene, or resume an interrupted fit.

        Raises DivergedError if a loss is not finite.
        """
        set_arithmetic(self._settings.trainer)
        self.restore()
        loop = TrainLoop(self.host, self._settings, [])
        seed_everything(loop.seed, loop.rank, *scene_entropy(scene))
        folder = scene_folder(self.folder, scene)
        with torch.enable_grad():
            session = SceneSession(self.method, loop, folder, self.about, scene, given)
            session.shows_progress = self.shows_progress
            return session.run()


def fit_settings(settings: LoopSettings, fit: FitConfig) -> LoopSettings:
    """Return the settings of a fit: those of the run, with the budget of a fit, and one sample and micro-batch per step."""
    trainer = replace(
        settings.trainer,
        max_steps=fit.max_steps,
        max_epochs=None,
        max_seconds=fit.max_seconds,
        log_every=fit.log_every,
        evaluate_every=0,
        checkpoint_every=fit.checkpoint_every,
        batch_size=1,
        accumulate=1,
        workers=1,
        initialize_from=None,
    )
    return replace(settings, trainer=trainer)


def scene_folder(folder: Path, scene: str) -> Path:
    """Return the folder, inside a run's folder, of the curves and checkpoints of a scene's fit."""
    return folder / "scenes" / folder_name(scene)
