"""The runs of a benchmark, their training datasets and the data they need, without anything that was not requested."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sphere_scan import sphere_scan

from deep3dmap.bench.benchmark_arguments import BenchmarkRequest, parse_arguments
from deep3dmap.bench.expansion import expand, list_skipped
from deep3dmap.bench.suite import load_suite
from deep3dmap.config.compose import build_section, compose_run, layer_of
from deep3dmap.config.variants import overlay
from deep3dmap.core import methods, suites
from deep3dmap.data.formats import sevenscenes
from deep3dmap.runs.planning import DatasetVersions, ScoredBy, plan_runs
from deep3dmap.runs.preparation import missing_preparations
from deep3dmap.runs.run_plan import RunPlan

SMALL = {"train": 2, "val": 1, "test": 1, "frames": 2, "width": 32, "height": 24, "mesh_edge": 0.1}
ROOMS = [f"dataset.rooms.{name}={value}" for name, value in SMALL.items()]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A user's own scan."""
    folder, made = tmp_path / "scan", sphere_scan(2, 24, 32)
    folder.mkdir()
    for number in range(2):
        sevenscenes.write_frame(
            folder, number, made["images"][number], made["depths"][number], np.asarray(made["world_from_camera"][number])
        )
    sevenscenes.write_intrinsics(folder, made["intrinsics"][0])
    return folder


def asked(tmp_path: Path, *words: str) -> BenchmarkRequest:
    return parse_arguments(["tier=smoke", "seeds=1", f"data.cache={tmp_path}/cache", *words])


def made(plans: list[RunPlan]) -> list[str]:
    return [preparation.title for preparation in missing_preparations(plans)]


def test_a_scan_of_ones_own_is_scored_and_no_world_is_made_for_it(scan: Path, tmp_path: Path) -> None:
    """Regression test: 44 rooms were generated, silently for 39 minutes, although no requested method trains on them."""
    request = asked(tmp_path, "suite=indoor", "datasets=[sevenscenes]", f"dataset.sevenscenes.root={scan}")
    plans = expand(request, tmp_path)
    assert {plan.method for plan in plans} >= {"tsdf_fusion", "plane_sweep"}
    assert not any(plan.job.trains for plan in plans)
    assert made(plans) == []
    trained = {name for name in load_suite("indoor").entrants() if methods.load(name).card.trains_on}
    assert "neuralrecon" in trained
    assert set(list_skipped(request)) == {(name, "sevenscenes") for name in trained}


def test_who_names_a_method_that_learns_has_it_trained_elsewhere(scan: Path, tmp_path: Path) -> None:
    words = ("suite=indoor", "datasets=[sevenscenes]", f"dataset.sevenscenes.root={scan}", "methods=[neuralrecon]", *ROOMS)
    (plan,) = expand(asked(tmp_path, *words), tmp_path)
    assert (plan.dataset, plan.job.dataset) == ("sevenscenes", "rooms")
    assert plan.job.config["dataset"]["width"] == 32
    assert made([plan]) == ["rooms (train)", "rooms (val)"]
    assert list_skipped(asked(tmp_path, *words)) == []


def test_who_learns_nothing_needs_no_more_than_the_scenes_that_are_scored(tmp_path: Path) -> None:
    plans = expand(asked(tmp_path, "suite=indoor", "datasets=[rooms]", "methods=[tsdf_fusion]", *ROOMS), tmp_path)
    assert made(plans) == ["rooms (test)"]
    plans += expand(asked(tmp_path, "suite=indoor", "datasets=[rooms]", "methods=[mean_depth_plane]", *ROOMS), tmp_path)
    assert made(plans) == ["rooms (train)", "rooms (val)", "rooms (test)"]


def test_weights_that_are_given_are_not_trained_again(tmp_path: Path) -> None:
    (tmp_path / "official.pth").write_bytes(b"weights")
    line = ("suite=face", "datasets=[heads]", "methods=[prnet]", "untrained=true")
    given = expand(asked(tmp_path, *line, f"method.prnet.weights={tmp_path}/official.pth"), tmp_path)
    assert [plan.job.trains for plan in given] == [False]
    assert made(given) == ["heads (test)"]
    plain = expand(asked(tmp_path, *line), tmp_path)
    assert [(plan.job.trains, plan.variant.endswith("-untrained")) for plan in plain] == [(True, False), (True, True)]


def test_a_method_that_only_fits_has_a_run_for_each_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression test: a failed fit of one scene ended the whole run, and a resume repeated the finished scenes."""
    protocol: Any = type("Everything", (), {"scenes": staticmethod(lambda split: split), "__module__": __name__})
    monkeypatch.setitem(suites._added, "everything", protocol)
    composed = compose_run("scene_points:ScenePoints/mini", "toys:Dots")
    plans = plan_runs(composed, tmp_path, ScoredBy("everything", 1, "smoke", 3), DatasetVersions())
    assert [plan.scene for plan in plans] == ["dot-00", "dot-01", "dot-02"]
    assert len({plan.run_id for plan in plans}) == 3
    more = plan_runs(composed, tmp_path, ScoredBy("everything", 1, "smoke", 4), DatasetVersions())
    assert [plan.run_id for plan in more[:3]] == [plan.run_id for plan in plans]
    learning = compose_run("toys:Regression/mini", "toys:Dots", (layer_of("test", {"trainer": {"max_steps": 2}}),))
    assert [plan.scene for plan in plan_runs(learning, tmp_path, ScoredBy("everything", 1, "smoke", 3), DatasetVersions())] == [
        ""
    ]


@pytest.mark.parametrize("name", suites.names())
def test_every_budget_is_in_steps_and_the_clock_a_safety_net(name: str) -> None:
    """Regression test: with a budget in seconds, a run took 94 steps and its repetition 180, with the same id."""
    suite = load_suite(name)
    learners = [entrant for entrant in suite.entrants() if methods.load(entrant).card.trains_on]
    for tier in suite.tiers.values():
        for dataset in suite.default_datasets:
            for entrant in learners:
                on = suite.train_on.get(dataset, dataset).partition("/")[0]
                variant = tier.variant_of(methods, entrant, on)
                _, _, layers = overlay(methods, f"{entrant}/{variant}")
                cls = methods.load(entrant)
                learns = cls.trains(build_section(cls.config_type, layers.get("method", {}))) and not cls.card.is_baseline
                budget = {**layers.get("trainer", {}), **tier.overlay.get("trainer", {})}
                bounded = budget.get("max_steps") or budget.get("max_epochs")
                assert bounded or not learns, f"{entrant}/{variant} at tier {tier.name} of {name}"
