"""Scoring saved predictions again: unchanged, changed and unchecked values."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deep3dmap.config.compose import Layer, compose_run
from deep3dmap.core import Evaluation, MetricCard, Protocol, Reconstruction, SuiteCard, Task, UserError, Views
from deep3dmap.core.registry import suites
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.planning import plan_run
from deep3dmap.runs.rescoring import TOLERANCE, rescore
from deep3dmap.runs.result_rows import Outcome, metric_rows, run_row
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.scoring import Scores
from deep3dmap.runs.staleness import Freshness

SCENES = ("dot-00", "dot-01")


class HeightEvaluation(Evaluation):
    """Scores the mean x of the landmarks, and its maximum over all scenes."""

    def __init__(self) -> None:
        self.seen = list[float]()

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        assert reconstruction.landmarks is not None
        if reconstruction.landmarks.shape != (68, 3):
            raise UserError("landmarks are (68, 3)")
        self.seen.append(float(reconstruction.landmarks[:, 0].mean()))
        return {"x": self.seen[-1]}

    def finish(self) -> Mapping[str, float]:
        return {"largest": max(self.seen)}


class Heights(Protocol):
    """A suite that scores landmarks."""

    card = SuiteCard(
        "Heights", 1, Task("heights", ("image",), ("landmarks",), ""),
        (MetricCard("x", "", "up", ""), MetricCard("largest", "", "up", "")), "x", "",
    )  # fmt: skip

    def begin(self) -> Evaluation:
        return HeightEvaluation()

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        return []


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    suites.add("kept_heights", Heights)
    yield
    del suites._added["kept_heights"]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> RunPlan:
    planned = plan_run(compose_run("toys:Regression/mini", "toys:Dots", (Layer("test", ()),)), tmp_path_factory.mktemp("work"))
    return replace(planned, suite="kept_heights", protocol_version=1)


def kept(
    folder: Path, plan: RunPlan, recorded: dict[str, float], levels: dict[str, float], largest: float
) -> tuple[ResultStore, Any]:
    """Return a store with a run that recorded these values and saved landmarks at `levels`, and the row of the run."""
    store = ResultStore(str(folder))
    attempt = store.next_attempt(plan.run_id)
    scores = Scores({scene: {"x": value} for scene, value in recorded.items()}, {"largest": largest})
    for scene, level in levels.items():
        landmarks = np.full((68, 3), level, np.float32)
        Reconstruction("image", "pixel", landmarks=landmarks).save(Path(store.artifacts_path(plan.run_id, attempt)) / scene)
    row = run_row(plan, attempt, "heights", Outcome(scores=scores))
    store.write_attempt(row, metric_rows(plan, attempt, Heights.card, scores), [])
    return store, row


def problems(store: ResultStore, row: Any, plan: RunPlan) -> list[str]:
    return [one.what for one in rescore(store, Freshness(fresh=[(row, plan)]))]


def test_kept_predictions_that_score_as_they_did_are_no_problem(plan: RunPlan, tmp_path: Path) -> None:
    levels = dict(zip(SCENES, (1.0, 4.0)))
    assert problems(*kept(tmp_path, plan, levels, levels, 4.0), plan) == []


@pytest.mark.parametrize(("by", "same"), [(0.5 * TOLERANCE, True), (3 * TOLERANCE, False)])
def test_what_single_precision_may_move_is_the_same(plan: RunPlan, tmp_path: Path, by: float, same: bool) -> None:
    recorded = dict(zip(SCENES, (1.0 + by, 4.0)))
    found = problems(*kept(tmp_path, plan, recorded, dict(zip(SCENES, (1.0, 4.0))), 4.0), plan)
    assert (found == []) is same
    if not same:
        assert found == ["1 of 3 values have changed, such as x of dot-00: 1, was 1.003"]


def test_a_value_that_was_none_is_another_one(plan: RunPlan, tmp_path: Path) -> None:
    levels = dict(zip(SCENES, (1.0, 4.0)))
    (text,) = problems(*kept(tmp_path, plan, {**levels, "dot-01": float("nan")}, levels, 4.0), plan)
    assert "1 of 3 values have changed, such as x of dot-01: 4, was nan" in text


def test_without_all_predictions_nothing_is_said_of_the_whole(plan: RunPlan, tmp_path: Path) -> None:
    recorded = dict(zip(SCENES, (1.0, 4.0)))
    # The maximum over all scenes is wrong, but cannot be checked from a single scene.
    assert problems(*kept(tmp_path, plan, recorded, {"dot-00": 1.0}, 99.0), plan) == []


def test_a_scene_that_was_not_scored_is_left_alone(plan: RunPlan, tmp_path: Path) -> None:
    levels = dict(zip((*SCENES, "dot-02"), (1.0, 4.0, 77.0)))
    assert problems(*kept(tmp_path, plan, {scene: levels[scene] for scene in SCENES}, levels, 4.0), plan) == []


def test_predictions_that_no_longer_fit_are_a_problem_and_not_the_end(plan: RunPlan, tmp_path: Path) -> None:
    levels = dict(zip(SCENES, (1.0, 4.0)))
    store, row = kept(tmp_path, plan, levels, levels, 4.0)
    short = Reconstruction("image", "pixel", landmarks=np.zeros((5, 3), np.float32))
    short.save(Path(store.artifacts_path(plan.run_id, int(row.attempt))) / "dot-00")
    assert problems(store, row, plan) == ["its saved predictions cannot be scored: landmarks are (68, 3)"]


def test_runs_on_data_that_are_not_made_are_counted(plan: RunPlan, tmp_path: Path) -> None:
    levels = dict(zip(SCENES, (1.0, 4.0)))
    store, row = kept(tmp_path, plan, levels, levels, 4.0)
    absent = compose_run("toys:Regression/mini", "heads/smoke", (Layer("test", (f"data.cache='{tmp_path / 'empty'}'",)),))
    elsewhere = replace(plan, dataset="heads", dataset_variant="smoke", config=absent.config)
    freshness = Freshness(fresh=[(row, elsewhere), (row, elsewhere)])
    assert rescore(store, freshness) == []
    assert freshness.unchecked == {"predictions on heads/smoke, whose test data are not generated": 2}
