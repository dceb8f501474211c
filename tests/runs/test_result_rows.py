"""Result rows: each number has the right metric, scene and fit, and no secrets are stored."""

import json
import math
import subprocess
from pathlib import Path

import pytest

from deep3dmap.config.compose import Layer, compose_run
from deep3dmap.core import MetricCard, SuiteCard, Task, UserError
from deep3dmap.runs.planning import plan_run
from deep3dmap.runs.result_rows import Outcome, curve_rows, curves_of, git_state, metric_rows, run_row
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.scoring import SceneFailure, Scores

CARD = SuiteCard(
    "Level", 1, Task("level", ("image",), ("views",), ""),
    (MetricCard("level", "m", "up", ""), MetricCard("spread", "", "down", "")), "level", "",
)  # fmt: skip


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> RunPlan:
    layer = Layer("test", ("trainer.max_steps=2",))
    return plan_run(compose_run("toys:Regression/mini", "toys:Dots", (layer,)), tmp_path_factory.mktemp("work"))


def test_a_row_for_every_scene_and_one_for_the_whole(plan: RunPlan) -> None:
    scores = Scores({"a": {"level": 1.0}, "b": {"level": math.nan}}, {"spread": 2})
    rows = metric_rows(plan, 3, CARD, scores)
    assert [(row.scene, row.metric, row.unit, row.better) for row in rows] == [
        ("a", "level", "m", "up"),
        ("b", "level", "m", "up"),
        ("", "spread", "", "down"),
    ]
    assert {(row.run_id, row.attempt) for row in rows} == {(plan.run_id, 3)}
    assert math.isnan(rows[1].value)
    assert isinstance(rows[2].value, float)


def test_a_metric_that_the_suite_does_not_know_is_named(plan: RunPlan) -> None:
    with pytest.raises(UserError, match="unknown metric of the suite 'Level' 'levle'; did you mean 'level'"):
        metric_rows(plan, 1, CARD, Scores({"a": {"levle": 1.0}}))


def test_a_scored_run_has_what_its_scoring_took(plan: RunPlan) -> None:
    scores = Scores(
        fit_s=4.0, fit_steps=30, cut_short="cut short at step 30 of 60", reconstruct_s=2.0, render_s=0.5, rendered=8
    )
    row = run_row(plan, 2, "level", Outcome(scores=scores, steps=0))
    assert (row.steps, row.fit_s, row.cut_short, row.render_fps) == (30, 4.0, "cut short at step 30 of 60", 16.0)
    assert (row.run_id, row.attempt, row.method, row.status) == (plan.run_id, 2, "toys:Regression", "ok")
    trained = run_row(
        plan, 2, "level", Outcome(scores=scores, steps=7, cut_short="by its limit", peak_ram_mb=1.0, peak_gpu_mb=0.0)
    )
    assert (trained.steps, trained.cut_short, trained.peak_ram_mb) == (7, "by its limit", 1.0)
    assert run_row(plan, 1, "level", Outcome()).render_fps == 0


def test_rows_keep_no_secret(plan: RunPlan) -> None:
    hidden = plan.with_config(plan.run_id, {**plan.config, "trackers": {"wandb": {"api_key": "s3cr3t-token"}}})
    row = run_row(hidden, 1, "level", Outcome("failed", "login with s3cr3t-token was refused"))
    assert "s3cr3t-token" not in row.config
    assert "s3cr3t-token" not in row.error
    assert "was refused" in row.error
    assert json.loads(row.config)["seed"] == 0


def test_curves_of_fits_say_which_scene_they_are_of(tmp_path: Path) -> None:
    point = {"step": 2, "seconds": 0.5, "name": "loss", "value": 1.25}
    for place in ("", "scenes/b", "scenes/a"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "curves.jsonl").write_text(json.dumps(point) + "\n")
    points = curves_of(tmp_path)
    assert [one.get("scene", "") for one in points] == ["", "a", "b"]
    rows = curve_rows("run", 4, points)
    assert [(row.scene, row.step, row.value, row.attempt) for row in rows] == [
        ("", 2, 1.25, 4),
        ("a", 2, 1.25, 4),
        ("b", 2, 1.25, 4),
    ]
    assert curves_of(tmp_path / "nothing") == []


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) == ("", False)


def test_a_checkout_is_dirty_once_a_tracked_file_changed(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(tmp_path), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "a.txt").write_text("a")
    git("add", "a.txt")
    git("-c", "user.name=n", "-c", "user.email=n@example.org", "commit", "-q", "-m", "first")
    (tmp_path / "new.txt").write_text("not tracked")
    assert git_state(tmp_path) == (git("rev-parse", "HEAD"), False)
    git_state.cache_clear()
    (tmp_path / "a.txt").write_text("b")
    assert git_state(tmp_path)[1]


def test_one_kind_of_failure_is_the_status_of_the_run_and_several_are_failed() -> None:
    diverged, broken = SceneFailure("diverged", "nan"), SceneFailure("failed", "no mesh")
    assert Scores({"a": {}}, failed={"b": diverged}).status == "diverged"
    assert Scores(failed={"a": diverged, "b": broken}).status == "failed"
    assert Scores({"a": {}}).status == "ok"
    assert Scores(failed={"a": broken}).error == "scene a: no mesh"
    assert Scores({"b": {}}, failed={"a": broken}).error == "1 of 2 scenes failed: scene a: no mesh"


def test_the_value_of_a_run_is_its_summary_or_the_mean_of_its_scenes() -> None:
    scores = Scores({"a": {"level": 1.0}, "b": {"level": 3.0}, "c": {}}, {"spread": 5.0})
    assert scores.value("level") == 2
    assert scores.value("spread") == 5
    assert scores.value("other") is None
