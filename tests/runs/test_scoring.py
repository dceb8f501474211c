"""Scoring: the calls to the suite and the method, the keys that the method receives, and the handling of failed scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scene_points import ScenePoints, ScenePointsConfig
from toys import Dots, DotsConfig

from deep3dmap.config.schema import FitConfig
from deep3dmap.core import Camera, Evaluation, MetricCard, Protocol, Reconstruction, SuiteCard, Task, UserError, Views
from deep3dmap.frameworks import LoopSettings
from deep3dmap.runs import scoring as scoring_module
from deep3dmap.runs.scoring import Scoring, scene_names, score
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.scene_fits import SceneFits, fit_settings

SPLIT = Dots(DotsConfig()).split("test")
CAMERA = Camera(np.eye(3), np.eye(4), 6, 4)


class LevelEvaluation(Evaluation):
    """Scores the mean level of a rendering, and logs its calls."""

    def __init__(self, log: list[str]) -> None:
        self.log, self.levels = log, list[float]()

    def queries(self, reconstruction: Reconstruction, truth: dict[str, Any]) -> Sequence[Camera]:
        self.log.append("queries")
        return [CAMERA]

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        assert views is not None
        assert views.images.shape == (1, 3, 4, 6)
        assert "landmarks_68" in truth
        self.log.append(f"add {scene}")
        self.levels.append(float(views.images.mean()))
        return {"level": self.levels[-1]}

    def finish(self) -> Mapping[str, float]:
        return {"spread": max(self.levels) - min(self.levels)}


class LevelProtocol(Protocol):
    """A suite that requests renderings."""

    card = SuiteCard(
        "Level", 1, Task("level", ("image",), ("views",), ""),
        (MetricCard("level", "", "up", ""), MetricCard("spread", "", "down", "")), "level", "",
    )  # fmt: skip

    def __init__(self) -> None:
        self.log: list[str] = []

    def offered(self, sample: dict[str, Any]) -> dict[str, Any]:
        self.log.append("offered")
        return {"image": sample["image"]}

    def begin(self) -> Evaluation:
        return LevelEvaluation(self.log)

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        return []


def scoring(method: ScenePoints, folder: Path, **more: Any) -> Scoring:
    fits = SceneFits(method, fit_settings(LoopSettings(), FitConfig()), LocalHost(torch.device("cpu")), folder / "fits", {})
    return Scoring(LevelProtocol(), {}, fits, folder / "kept", **more)


def test_every_scene_is_offered_fitted_queried_and_added(tmp_path: Path) -> None:
    method = ScenePoints(ScenePointsConfig())
    how = scoring(method, tmp_path, scenes=scene_names(SPLIT, 2))
    scores = score(method, SPLIT, how)
    assert how.protocol.log == ["offered", "queries", "add dot-00", "offered", "queries", "add dot-01"]
    assert scores.value("level") == pytest.approx(np.mean([s["level"] for s in scores.per_scene.values()]))
    assert scores.value("spread") == scores.summary["spread"]
    assert (scores.fit_steps, scores.rendered) == (12, 2)
    assert scores.fit_s > 0
    assert Reconstruction.load(tmp_path / "kept" / "dot-00").landmarks is not None


def test_a_scene_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    levels = [float(SPLIT[index]["image"].mean()) for index in range(len(SPLIT))]
    method = ScenePoints(ScenePointsConfig(diverge_on=sorted(levels)[-2]))
    scores = score(method, SPLIT, scoring(method, tmp_path))
    worst = SPLIT.name(int(np.argmax(levels)))
    assert list(scores.failed) == [worst]
    assert "not finite at step 1" in scores.failed[worst].error
    assert scores.status == "diverged"
    assert scores.error.startswith(f"1 of {len(SPLIT)} scenes failed: scene {worst}: the loss is not finite at step 1")
    assert len(scores.per_scene) == len(SPLIT) - 1


def test_a_scene_that_is_gone_is_said(tmp_path: Path) -> None:
    method = ScenePoints(ScenePointsConfig())
    with pytest.raises(UserError, match="no scene 'dot-99'"):
        score(method, SPLIT, scoring(method, tmp_path, scenes=("dot-99",)))


class Curious(ScenePoints):
    """A method that uses the light and the landmarks if they are given."""

    card = replace(ScenePoints.card, optional=("background", "landmarks_68"))

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        self.seen = set(given)
        return super().reconstruct(given)


class Generous(LevelProtocol):
    """A suite that offers all keys, and whose task gives the background."""

    card = replace(LevelProtocol.card, task=Task("level", ("image", "background"), ("views",), ""))

    def offered(self, sample: dict[str, Any]) -> dict[str, Any]:
        return sample | {"background": np.zeros(3)}


def test_optional_keys_are_handed_over_where_the_task_gives_them_and_the_truth_never_is(tmp_path: Path) -> None:
    method = Curious(ScenePointsConfig())
    how = replace(scoring(method, tmp_path, scenes=scene_names(SPLIT, 1)), protocol=Generous())
    scores = score(method, SPLIT, how)
    assert not scores.failed
    assert method.seen == {*ScenePoints.card.consumes, "background"}


def test_pictures_and_previews_are_made_of_the_first_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_module, "PICTURED_SCENES", 1)
    monkeypatch.setattr(scoring_module, "PREVIEWED_SCENES", 2)
    pictured: list[Path] = []
    monkeypatch.setattr(LevelProtocol, "pictures", lambda self, made, truth, folder: pictured.append(folder) or [])
    how = scoring(ScenePoints(ScenePointsConfig()), tmp_path, scenes=scene_names(SPLIT, 3))
    assert not score(ScenePoints(ScenePointsConfig()), SPLIT, how).failed
    assert [folder.name for folder in pictured] == ["dot-00"]
    assert [(tmp_path / "kept" / f"dot-0{number}" / "preview").is_dir() for number in range(3)] == [True, True, False]
