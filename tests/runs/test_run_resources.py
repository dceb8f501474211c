"""Resources that runs reserve, how many runs fit at once, and the message for a run that can never be placed."""

from pathlib import Path

import pytest

from deep3dmap.config.compose import Layer, compose_run
from deep3dmap.core import UserError
from deep3dmap.runs import run_resources
from deep3dmap.runs.planning import plan_run
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.run_resources import (
    NESTED_DRIVER_CPUS,
    check_resources,
    concurrency,
    is_nested,
    lacking,
    needed,
    trial_bundle,
)


def plan(tmp_path: Path, *overrides: str) -> RunPlan:
    layer = Layer("test", ("trainer.max_steps=2", "device=cpu", *overrides))
    return plan_run(compose_run("toys:Regression/mini", "toys:Dots", (layer,)), tmp_path)


def test_a_run_in_its_trial_reserves_its_one_worker(tmp_path: Path) -> None:
    single = plan(tmp_path, "trainer.cpus_per_worker=3")
    assert not is_nested(single)
    assert trial_bundle(single)["CPU"] == 3
    assert needed(single) == {"CPU": 3, "GPU": 0}


def test_workers_of_their_own_are_reserved_apart(tmp_path: Path) -> None:
    nested = plan(tmp_path, "trainer.workers=4", "trainer.cpus_per_worker=2")
    assert is_nested(nested)
    assert trial_bundle(nested) == {"CPU": NESTED_DRIVER_CPUS}
    assert needed(nested)["CPU"] == pytest.approx(8 + NESTED_DRIVER_CPUS)
    assert needed(nested, 1)["CPU"] == pytest.approx(2 + NESTED_DRIVER_CPUS)
    assert is_nested(plan(tmp_path, "trainer.engine=train"))


@pytest.mark.parametrize(("cpus", "fit"), [(1, 1), (2, 1), (6, 3), (7, 3), (0, 1)])
def test_as_many_fit_as_the_largest_leaves_room_for(cpus: int, fit: int, tmp_path: Path) -> None:
    small, large = plan(tmp_path), plan(tmp_path, "trainer.cpus_per_worker=2")
    assert concurrency([small, large], {"CPU": cpus, "GPU": 0}) == fit


def test_the_driver_of_nested_workers_counts(tmp_path: Path) -> None:
    nested = plan(tmp_path, "trainer.workers=2", "trainer.engine=train")
    assert concurrency([nested], {"CPU": 4}) == 1
    assert concurrency([nested], {"CPU": 4 + 2 * NESTED_DRIVER_CPUS}) == 2


def test_a_run_that_never_fits_is_told_what_it_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_resources, "shortage", lambda bundle, workers: "")  # capacity of single nodes
    large = plan(tmp_path, "trainer.cpus_per_worker=64")
    assert lacking(plan(tmp_path), {"CPU": 1}) == ""
    assert "asked for 64 CPU" in lacking(large, {"CPU": 2})
    with pytest.raises(UserError, match=r"toys:Regression/mini · .*: no resources: .*; change trainer.workers"):
        check_resources(large, {"CPU": 2})


def test_elastic_runs_are_asked_for_their_fewest_workers_only(tmp_path: Path) -> None:
    elastic = plan(tmp_path, "trainer.workers=4", "trainer.min_workers=2", "trainer.batch_size=12")
    assert "asked for 2.1 CPU" in lacking(elastic, {"CPU": 2})
    assert needed(elastic)["CPU"] == pytest.approx(4 + NESTED_DRIVER_CPUS)
