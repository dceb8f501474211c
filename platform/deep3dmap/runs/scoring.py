"""Scoring of a method on the scenes of a split, shared by the commands benchmark and tune."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.dataset import Split
from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Generates, Method, RendersViews, Views
from deep3dmap.core.protocol import Evaluation, Protocol, Sampler
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.core.scene_names import folder_name
from deep3dmap.results.kept_scenes import PREVIEW
from deep3dmap.runs.scene_preview import write_preview
from deep3dmap.runs.scene_reconstruction import SceneOutcome, now, reconstruct_scene
from deep3dmap.train.failures import status_of, text_of
from deep3dmap.train.scene_fits import SceneFits

PICTURED_SCENES = 8
PREVIEWED_SCENES = 24


@dataclass(frozen=True)
class SceneFailure:
    """Why a scene could not be scored. status: a run status, such as "diverged"."""

    status: str
    error: str


@dataclass
class Scores:
    """The scores and costs of a run.

    per_scene: {scene: {metric: value}}. summary: metrics that are not means over scenes. failed: scenes without values. Times
    are in seconds, summed over the scenes. cut_short: note of the first fit that was stopped by its time limit.
    """

    per_scene: dict[str, dict[str, float]] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    failed: dict[str, SceneFailure] = field(default_factory=dict)
    fit_s: float = 0.0
    fit_steps: int = 0
    cut_short: str = ""
    reconstruct_s: float = 0.0
    evaluate_s: float = 0.0
    render_s: float = 0.0
    rendered: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """Status of the run: "ok", the common status of all failed scenes, or "failed" if their statuses differ."""
        statuses = {failure.status for failure in self.failed.values()} or {"ok"}
        return statuses.pop() if len(statuses) == 1 else "failed"

    @property
    def error(self) -> str:
        """Description of the failed scenes and their errors; "" if none failed."""
        failures = "; ".join(f"scene {scene}: {failure.error}" for scene, failure in self.failed.items())
        count = len(self.failed) + len(self.per_scene)
        return f"{len(self.failed)} of {count} scenes failed: {failures}" if self.failed and count > 1 else failures

    def value(self, metric: str) -> float | None:
        """Return a metric of the run: from the summary, otherwise the mean over scenes, or None if it has no values."""
        if metric in self.summary:
            return self.summary[metric]
        values = [scene[metric] for scene in self.per_scene.values() if metric in scene]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class Scoring:
    """Settings for scoring a method.

    mapping: {method's key: dataset's key}. fits: fits the method to scenes, None if it is not fitted per scene.
    folder: where reconstructions and pictures are saved, None = do not save. seed: seed of the run. scenes: names of the scenes
    to score, None = all.
    """

    protocol: Protocol
    mapping: Mapping[str, str]
    fits: SceneFits | None = None
    folder: Path | None = None
    seed: int = 0
    scenes: tuple[str, ...] | None = None


def score(method: Method, split: Split, scoring: Scoring, progress: Callable[[int, int], None] | None = None) -> Scores:
    """Reconstruct, evaluate and save the scenes of a split, with pictures and previews of the first few.

    A failed scene is recorded in `Scores.failed` and scoring continues. Raises UserError for scenes that are not in the split.
    """
    scores, evaluation = Scores(), scoring.protocol.begin()
    indices = _select_indices(split, scoring.scenes)
    for done, index in enumerate(indices):
        scene = split.name(index)
        try:
            _score_scene(method, split[index], scene, scoring, evaluation, scores, done)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a failure in one scene must not affect the scores of the others
            scores.failed[scene] = SceneFailure(status_of(error), text_of(error))
        if progress:
            progress(done + 1, len(indices))
    if scores.per_scene:
        scores.summary = dict(evaluation.finish())
    return scores


def scene_names(split: Split, count: int) -> tuple[str, ...]:
    """Return the names of the first `count` scenes of a split (0 = all)."""
    return tuple(split.name(index) for index in range(min(count, len(split)) if count else len(split)))


def _select_indices(split: Split, scenes: tuple[str, ...] | None) -> list[int]:
    if scenes is None:
        return list(range(len(split)))
    places = {split.name(index): index for index in range(len(split))}
    missing = [scene for scene in scenes if scene not in places]
    if missing:
        raise UserError(f"the test split has no scene '{missing[0]}' any more; plan the run again")
    return [places[scene] for scene in scenes]


def _score_scene(
    method: Method,
    sample: dict[str, Any],
    scene: str,
    scoring: Scoring,
    evaluation: Evaluation,
    scores: Scores,
    number: int,
) -> None:
    pictured = number < PICTURED_SCENES
    offered = _drop_ungiven(scoring.protocol.offered(sample), method, scoring)
    outcome = reconstruct_scene(method, offered, scene, scoring.mapping, scoring.fits, scoring.seed)
    _add_costs(scores, outcome)
    views = _render(method, evaluation, outcome.reconstruction, sample, scores)
    began = now(method)
    values = dict(evaluation.add(scene, outcome.reconstruction, views, sample))
    if views is not None and isinstance(method, RendersViews):
        with torch.no_grad():
            values |= evaluation.add_refined(scene, outcome.reconstruction, method.render, sample)
    if "samples" in scoring.protocol.card.task.wanted:
        sampler = _sampler(method, scoring.seed)
        values |= evaluation.add_samples(scene, sampler, sample)
        if scoring.folder is not None and pictured:
            evaluation.picture_samples(sampler, scoring.folder / folder_name(scene))
    scores.per_scene[scene] = values
    scores.evaluate_s += now(method) - began
    scores.notes.update(outcome.reconstruction.notes)
    if scoring.folder is not None:
        folder = scoring.folder / folder_name(scene)
        _keep(outcome.reconstruction, scoring.protocol, sample, folder, pictured)
        if views is not None and pictured:
            scoring.protocol.view_pictures(views, sample, folder)
        if number < PREVIEWED_SCENES:
            write_preview(scoring.protocol, outcome.reconstruction, views, sample, folder / PREVIEW)


def _drop_ungiven(offered: dict[str, Any], method: Method, scoring: Scoring) -> dict[str, Any]:
    """Remove keys that a method could use but that the task does not give, such as ground truth."""
    used = {scoring.mapping.get(key, key) for key in method.card.optional}
    ungiven = used - set(scoring.protocol.card.task.given)
    return {key: value for key, value in offered.items() if key not in ungiven}


def _add_costs(scores: Scores, outcome: SceneOutcome) -> None:
    scores.reconstruct_s += outcome.reconstruct_s
    if outcome.fit is not None:
        scores.fit_s += outcome.fit.seconds
        scores.fit_steps += outcome.fit.steps
        scores.cut_short = scores.cut_short or outcome.fit.cut_short


def _render(
    method: Method, evaluation: Evaluation, reconstruction: Reconstruction, sample: dict[str, Any], scores: Scores
) -> Views | None:
    cameras = evaluation.queries(reconstruction, sample)
    if not cameras or not isinstance(method, RendersViews):
        return None
    began = now(method)
    with torch.no_grad():
        views = method.render(cameras)
    scores.render_s += now(method) - began
    scores.rendered += len(cameras)
    return views


def _sampler(method: Method, seed: int) -> Sampler:
    if not isinstance(method, Generates):
        raise UserError(f"{type(method).__name__} does not generate samples, which this suite requires")

    def sample(indices: range, **controls: Any) -> Any:
        with torch.no_grad():
            return method.generate(indices, seed, **controls)

    return sample


def _keep(reconstruction: Reconstruction, protocol: Protocol, sample: dict[str, Any], folder: Path, pictured: bool) -> None:
    reconstruction.save(folder)
    if pictured:
        protocol.pictures(reconstruction, sample, folder)
