"""The id of a run depends on everything that determines its results, and on nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deep3dmap.config.compose import ComposedRun, Layer, compose_run
from deep3dmap.config.open_dataset import open_dataset
from deep3dmap.core import UserError
from deep3dmap.runs import planning
from deep3dmap.runs.planning import DatasetVersions, ScoredBy, plan_run, unplaced_job
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.tuned_settings import TunedSettings


def composed(*overrides: str) -> ComposedRun:
    return compose_run("toys:Regression/mini", "toys:Dots", (Layer("test", ("trainer.max_steps=2", *overrides)),))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> RunPlan:
    return plan_run(composed(), tmp_path_factory.mktemp("work"))


def test_the_same_run_has_the_same_id_wherever_it_works(plain: RunPlan, tmp_path: Path) -> None:
    again = plan_run(composed(), tmp_path)
    assert again.run_id == plain.run_id
    assert again.work != plain.work
    assert again.job.folder == f"{tmp_path}/{plain.run_id}"


@pytest.mark.parametrize(
    "override",
    ["seed=1", "method.dropout=0.25", "trainer.max_steps=3", "trainer.batch_size=8", "optimizer.lr=0.5", "dataset.samples=12"],
)
def test_what_decides_the_numbers_changes_the_id(override: str, plain: RunPlan, tmp_path: Path) -> None:
    assert plan_run(composed(override), tmp_path).run_id != plain.run_id


@pytest.mark.parametrize("override", ["results=elsewhere", "data.cache=/elsewhere", "data.workers=2", "device=cpu"])
def test_where_things_lie_does_not(override: str, plain: RunPlan, tmp_path: Path) -> None:
    assert plan_run(composed(override), tmp_path).run_id == plain.run_id


def test_each_suite_tier_scene_and_count_has_runs_of_its_own(plain: RunPlan, tmp_path: Path) -> None:
    by = ScoredBy("face", 1, "smoke", 4)
    ways = [by, replace(by, tier="quick"), replace(by, scenes=5), replace(by, protocol_version=2)]
    ids = [plan_run(composed(), tmp_path, one).run_id for one in ways]
    ids += [plan_run(composed(), tmp_path, by, scene="dots 1").run_id, plain.run_id]
    assert len(set(ids)) == len(ids)


def test_a_title_names_what_there_is(plain: RunPlan, tmp_path: Path) -> None:
    assert plain.title == "toys:Regression/mini · toys:Dots/default · seed 0"
    scored = plan_run(composed("seed=3"), tmp_path, ScoredBy("face", 1, "smoke"), scene="dots 1")
    assert scored.title == "face · toys:Regression/mini · toys:Dots/default · dots 1 · seed 3"


def test_another_configuration_is_placed_in_a_folder_of_its_own(plain: RunPlan) -> None:
    other = plain.with_config("abc", {**plain.config, "seed": 7})
    assert (other.run_id, other.job.folder) == ("abc", f"{plain.work}/abc")
    assert other.job.config["seed"] == 7
    assert plain.config["seed"] == 0


def test_a_run_may_train_on_another_dataset_than_it_is_scored_on() -> None:
    run = composed()
    elsewhere = {"dataset": "heads", "variant": "smoke", "config": {"train": 3}}
    job = unplaced_job(replace(run, config={**run.config, "trained_on": elsewhere}))
    assert (job.dataset, job.dataset_variant, job.config["dataset"]) == ("heads", "smoke", {"train": 3})
    assert unplaced_job(run).dataset == "toys:Dots"


def test_a_dataset_is_opened_once_for_all_runs_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []

    def counted(name: str, section: dict[str, Any], data: dict[str, Any]) -> Any:
        opened.append(section)
        return open_dataset(name, section, data)

    monkeypatch.setattr(planning, "open_dataset", counted)
    versions = DatasetVersions()
    first = versions.of(composed())
    assert first
    assert versions.of(composed("seed=5")) == first
    assert len(opened) == 1
    versions.of(composed("dataset.samples=12"))
    assert [section["samples"] for section in opened[1:]] == [12]


def test_weights_to_begin_with_have_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainer\.initialize_from=nowhere: neither a checkpoint folder nor a run"):
        plan_run(composed("trainer.initialize_from=nowhere"), tmp_path)


def test_settings_of_a_sweep_are_for_one_variant_and_perhaps_one_dataset() -> None:
    layer, run = Layer("sweep", ()), composed()
    assert TunedSettings("toys:Regression/mini", layer).is_for(run)
    assert TunedSettings("toys:Regression/mini", layer, "toys:Dots").is_for(run)
    assert not TunedSettings("toys:Regression/mini", layer, "heads").is_for(run)
    assert not TunedSettings("toys:Regression/other", layer).is_for(run)
