"""Scores a method on the scenes of a split, for benchmark and tune alike."""

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
    """Why a scene has no numbers. status: as of a run, such as "diverged"."""

    status: str
    error: str


@dataclass
class Scores:
    """per_scene: {scene: {metric: value}}. summary: metrics that are not scene means. failed: the scenes that have no values.

    Seconds are totals over the scenes. cut_short: of the first fit that its limit in seconds ended.
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
        """The status of a run with these scores: "ok", or that of its failed scenes, "failed" where they failed differently."""
        statuses = {failure.status for failure in self.failed.values()} or {"ok"}
        return statuses.pop() if len(statuses) == 1 else "failed"

    @property
    def error(self) -> str:
        """Which scenes failed, of how many, and why; "" where none did."""
        told = "; ".join(f"scene {scene}: {failure.error}" for scene, failure in self.failed.items())
        count = len(self.failed) + len(self.per_scene)
        return f"{len(self.failed)} of {count} scenes failed: {told}" if self.failed and count > 1 else told

    def value(self, metric: str) -> float | None:
        """Return a metric of the run: the summary's, else the mean over scenes, else None."""
        if metric in self.summary:
            return self.summary[metric]
        values = [scene[metric] for scene in self.per_scene.values() if metric in scene]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class Scoring:
    """How a method is scored.

    mapping: the method's own keys to the dataset's. fits: what fits it to scenes, None where it does not learn from them.
    folder: where reconstructions and pictures are kept, None keeps none. seed: of the run. scenes: the names of those that are
    scored, None for all.
    """

    protocol: Protocol
    mapping: Mapping[str, str]
    fits: SceneFits | None = None
    folder: Path | None = None
    seed: int = 0
    scenes: tuple[str, ...] | None = None


def score(method: Method, split: Split, scoring: Scoring, progress: Callable[[int, int], None] | None = None) -> Scores:
    """Reconstruct, evaluate and keep the scenes of a split; the first few are pictured, and some more have previews.

    A scene that fails is named in `failed` and the others go on. Raises UserError for scenes that the split has not.
    """
    scores, evaluation = Scores(), scoring.protocol.begin()
    chosen = _chosen(split, scoring.scenes)
    for done, index in enumerate(chosen):
        scene = split.name(index)
        try:
            _score_scene(method, split[index], scene, scoring, evaluation, scores, done)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a method does on one scene, the other scenes keep their numbers
            scores.failed[scene] = SceneFailure(status_of(error), text_of(error))
        if progress:
            progress(done + 1, len(chosen))
    if scores.per_scene:
        scores.summary = dict(evaluation.finish())
    return scores


def scene_names(split: Split, count: int) -> tuple[str, ...]:
    """Return the names of the first `count` scenes of a split (0 = all)."""
    return tuple(split.name(index) for index in range(min(count, len(split)) if count else len(split)))


def _chosen(split: Split, scenes: tuple[str, ...] | None) -> list[int]:
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
    offered = _without_ungiven(scoring.protocol.offered(sample), method, scoring)
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


def _without_ungiven(offered: dict[str, Any], method: Method, scoring: Scoring) -> dict[str, Any]:
    """Leave out what a method could use and the task does not give, such as the truth."""
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
        raise UserError(f"{type(method).__name__} does not generate samples, which this suite wants")

    def sample(indices: range, **controls: Any) -> Any:
        with torch.no_grad():
            return method.generate(indices, seed, **controls)

    return sample


def _keep(reconstruction: Reconstruction, protocol: Protocol, sample: dict[str, Any], folder: Path, pictured: bool) -> None:
    reconstruction.save(folder)
    if pictured:
        protocol.pictures(reconstruction, sample, folder)
